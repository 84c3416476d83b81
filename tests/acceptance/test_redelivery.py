"""What was delivered and not acknowledged comes again; nothing is acknowledged on its behalf."""

from __future__ import annotations

import random
import signal
import time

import pytest

from support.histories import assert_exactly_once, assert_undisturbed
from support.scene import Scene

pytestmark = pytest.mark.acceptance


def test_a_registry_that_dies_with_messages_in_its_hands_gets_them_again(scene: Scene) -> None:
    """The broker delivered them, nobody read them: with ack policy *all* a later ack must not count for them."""
    registry = scene.start_registry()
    scene.add(2)
    scene.wait(lambda: len(scene.states()) == 2, "every host is known")
    with scene.load(random.Random(1)):
        registry.process.send_signal(signal.SIGSTOP)
        time.sleep(1.0)
        scene.kill_registry()
        scene.start_registry().wait_for("registry.ready")
        time.sleep(1.0)
    scene.settle()
    assert_exactly_once(scene)
    assert_undisturbed(scene)


def test_a_registry_that_stood_still_for_a_while_goes_on(scene: Scene) -> None:
    """SIGSTOP, SIGCONT: a host that swaps, a suspended VM. Agents send again meanwhile; nothing is doubled."""
    registry = scene.start_registry()
    scene.add(2)
    scene.wait(lambda: len(scene.states()) == 2, "every host is known")
    with scene.load(random.Random(2)):
        registry.process.send_signal(signal.SIGSTOP)
        time.sleep(4.0)
        registry.process.send_signal(signal.SIGCONT)
        time.sleep(1.0)
    scene.settle()
    assert_exactly_once(scene)
    assert_undisturbed(scene)


def test_a_broker_that_dies_with_messages_on_the_wire_sends_them_again(scene: Scene) -> None:
    """The registry lives on: it must see that messages are missing between two that it got."""
    registry = scene.start_registry()
    scene.add(2)
    scene.wait(lambda: len(scene.states()) == 2, "every host is known")
    with scene.load(random.Random(3)):
        registry.process.send_signal(signal.SIGSTOP)
        time.sleep(1.0)
        scene.broker.kill()
        scene.broker.start()
        registry.process.send_signal(signal.SIGCONT)
        time.sleep(1.0)
    scene.settle()
    assert_exactly_once(scene)
    assert_undisturbed(scene)
