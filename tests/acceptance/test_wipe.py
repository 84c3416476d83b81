"""The broker may lose everything, or be away for long: nothing is lost, nothing doubled (design section 3)."""

from __future__ import annotations

import random
import time

import pytest

from support.histories import (
    assert_exactly_once,
    assert_gapless,
    assert_rebuild_changes_nothing,
    assert_undisturbed,
    declared_skipped,
)
from support.nats_server import wipe
from support.scene import Scene

pytestmark = pytest.mark.acceptance


def test_a_store_wiped_in_mid_flight_heals_by_itself(scene: Scene) -> None:
    """Streams, consumer and fleet are gone, twice: outboxes, digests and SQL bring back all that was in them."""
    scene.start_registry()
    scene.add(3)
    scene.wait(lambda: len(scene.states()) == 3, "every host is known")
    with scene.load(random.Random(1)):
        for _ in range(2):
            time.sleep(1.0)
            wipe(scene.broker)
        time.sleep(1.0)
    took_s = scene.settle()
    print(f"wiped twice: {len(scene.logged())} records, settled after {took_s:.1f} s")
    assert_exactly_once(scene)
    assert_gapless(scene.written())
    assert_undisturbed(scene)
    assert_rebuild_changes_nothing(scene)


def test_an_outbox_that_overflowed_says_what_it_gave_up(scene: Scene) -> None:
    """The broker is away for long, the outbox is small: the end is right, and the history names what is missing."""
    scene.start_registry()
    scene.add(2, "--max-unsent", "8")
    scene.settle()
    scene.broker.kill()
    with scene.load(random.Random(2), every_s=0.01):
        scene.wait(
            lambda: all(machine.standing().dropped > 8 for machine in scene.machines),
            "every outbox overflowed",
        )
    scene.broker.start()
    scene.settle()
    missing = {(record.host, record.seq) for record in scene.written() - set(scene.logged())}
    assert missing, "something was given up"
    assert missing == declared_skipped(scene)
    assert set(scene.logged()) <= scene.written()
    assert_gapless(scene.written())
    assert_undisturbed(scene)
    assert_rebuild_changes_nothing(scene)
