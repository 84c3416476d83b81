"""What was delivered and not acknowledged comes again; nothing is acknowledged on its behalf."""

from __future__ import annotations

import random
import signal
import time

import pytest

from support.histories import assert_exactly_once, assert_undisturbed
from support.scene import Scene
from support.wire import Wire

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
        time.sleep(2.5)
        registry.process.send_signal(signal.SIGCONT)
        time.sleep(1.0)
    scene.settle()
    assert_exactly_once(scene)
    assert_undisturbed(scene)


def test_what_was_lost_on_the_wire_is_sent_again_soon(scene: Scene) -> None:
    """Delivered, says the broker, but the connection broke. No later message shows the gap, nothing that the registry
    asked was left unanswered, and the consumer's own ack wait would be a minute."""
    with Wire(scene.broker.port) as wire:
        scene.start_registry(wire.url)
        (machine,) = scene.add(1)
        scene.settle()
        before = machine.standing().last_seq
        wire.swallow.set()
        machine.root.set_free(5)
        scene.wait(lambda: machine.standing().last_seq > before, "the record is written")
        scene.wait(lambda: wire.swallowed > 500, "the record is lost on the wire")
        wire.cut()
        wire.swallow.clear()
        scene.settle(within_s=20)
        assert_exactly_once(scene)
        assert_undisturbed(scene)
        scene.stop_registry()
