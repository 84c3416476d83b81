"""The registry's database comes back from an older copy: agents and registry heal by themselves (design section 3)."""

from __future__ import annotations

import random
import time

import msgspec
import pytest

from mdevreg import query
from mdevreg.facts import NOW
from support.copies import copied
from support.histories import (
    assert_exactly_once,
    assert_gapless,
    assert_rebuild_changes_nothing,
    assert_undisturbed,
    declared_skipped,
)
from support.machine import Written
from support.nats_server import wipe
from support.scene import OpenScene, Scene

pytestmark = pytest.mark.acceptance


def test_what_the_copy_lacks_is_read_from_the_stream_again(scene: Scene) -> None:
    """The broker still has the records: after the restore the history is whole, as if nothing had happened."""
    _restored(scene, wiped=False)
    assert_exactly_once(scene)
    assert_gapless(scene.written())
    assert_undisturbed(scene)
    assert_rebuild_changes_nothing(scene)


def test_a_failover_to_an_older_copy_under_a_running_registry(
    open_scene: OpenScene, postgresql_database_url: str
) -> None:
    """The history goes back while it looks, as with a standby that lagged: it believes the database, and goes on."""
    scene = open_scene(postgresql_database_url)
    _restored(scene, wiped=False, running=True)
    assert scene.registry is not None
    assert scene.registry.running
    assert_exactly_once(scene)
    assert_undisturbed(scene)


def test_what_nobody_has_any_more_is_a_hole_that_shows(open_scene: OpenScene, postgresql_database_url: str) -> None:
    """Broker wiped as well: snapshots make the state right; the hole is declared in the log, and never closed."""
    scene = open_scene(postgresql_database_url)
    lost = _restored(scene, wiped=True)
    missing = scene.written() - set(scene.logged())
    assert missing, "some records were in the lost database only"
    assert missing <= lost, "and only such are missing"
    assert {(record.host, record.seq) for record in missing} == declared_skipped(scene)
    assert {(record.host, record.seq) for record in missing} == _holes(scene)
    with query.open(scene.broker.url) as door:
        told = {host.evidence.host: host.evidence.missing for host in door.hosts(NOW).hosts}
    assert told == {host: sum(record.host == host for record in missing) for host in told}
    assert_gapless(scene.written())
    assert_undisturbed(scene)
    assert_rebuild_changes_nothing(scene)


def _restored(scene: Scene, *, wiped: bool, running: bool = False) -> set[Written]:
    """A copy, more history (with a host that the copy does not know), and back to the copy. What that lost."""
    chance = random.Random(1)
    scene.start_registry()
    scene.add(2)
    with scene.load(chance):
        time.sleep(1.0)
    scene.settle()
    scene.stop_registry()
    restore, kept = copied(scene.database), set(scene.logged())
    scene.start_registry()
    scene.add(1)
    with scene.load(chance):
        time.sleep(1.0)
    scene.settle()
    lost = set(scene.logged()) - kept
    if not running:
        scene.kill_registry()
    restore()
    if wiped:
        wipe(scene.broker)
    if not running:
        scene.start_registry()
    with scene.load(chance):
        time.sleep(0.5)
    took_s = scene.settle()
    print(f"wiped={wiped}: {len(lost)} records lost with the database, settled after {took_s:.1f} s")
    return lost


def _holes(scene: Scene) -> set[tuple[str, int]]:
    """(host, seq) of what the registry itself knows that it never got."""
    holes = set()
    for host, state in scene.states().items():
        received = msgspec.json.decode(state.received, type=list[tuple[int, int]])
        seen = {seq for first, last in received for seq in range(first, last + 1)}
        holes |= {(host, seq) for seq in range(1, state.last_seq + 1) if seq not in seen}
    return holes
