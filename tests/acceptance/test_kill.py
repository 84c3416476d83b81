"""Killed anywhere, restarted: everything written is in the history exactly once (design section 7)."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable

import pytest

from support.histories import (
    assert_events_are_told_once,
    assert_exactly_once,
    assert_gapless,
    assert_nothing_was_changed,
    assert_rebuild_changes_nothing,
    assert_undisturbed,
)
from support.postgres import Cluster
from support.scene import OpenScene, Scene

pytestmark = pytest.mark.acceptance


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_whatever_is_killed_everything_written_is_in_the_history_once(scene: Scene, seed: int) -> None:
    """``kill -9`` of agents, broker and registry in turn, at random moments under load, on SQLite."""
    _survives(scene, seed, _kills(scene) * 2)


def test_the_same_on_postgresql_whose_backends_are_killed_too(
    open_scene: OpenScene, postgresql_database_url: str, postgres_cluster: Cluster
) -> None:
    """A killed backend takes the whole cluster down into crash recovery: every connection breaks, as in an
    immediate shutdown."""
    scene = open_scene(postgresql_database_url)

    def crash_database(_pause_s: float) -> None:
        assert scene.registry is not None
        scene.registry.wait_for("registry.ready")  # without a database none starts, by design (exit 5)
        _kill_a_backend(postgres_cluster, scene.database.rpartition("/")[2])

    _survives(scene, 4, [*_kills(scene), crash_database, crash_database])


def _survives(scene: Scene, seed: int, kills: list[Callable[[float], None]]) -> None:
    chance = random.Random(seed)
    scene.start_registry()
    scene.add(3)
    scene.wait(lambda: len(scene.states()) == 3, "every host is known")
    with scene.load(random.Random(seed)):
        for kill in chance.sample(kills, len(kills)):
            time.sleep(chance.uniform(0.2, 0.6))
            kill(chance.uniform(0, 0.4))
    took_s = scene.settle()
    print(f"seed {seed}: {len(scene.logged())} records, settled after {took_s:.1f} s")
    assert_exactly_once(scene)
    assert_gapless(scene.written())
    assert_undisturbed(scene)
    assert_nothing_was_changed(scene)
    assert_events_are_told_once(scene)
    assert_rebuild_changes_nothing(scene)


def _kills(scene: Scene) -> list[Callable[[float], None]]:
    """Each kills one thing and starts it again after a pause in seconds."""

    def agent(pause_s: float) -> None:
        machine = scene.machines[0]
        machine.kill()
        time.sleep(pause_s)
        machine.start()

    def broker(pause_s: float) -> None:
        scene.broker.kill()
        time.sleep(pause_s)
        scene.broker.start()

    def registry(pause_s: float) -> None:
        scene.kill_registry()
        time.sleep(pause_s)
        scene.start_registry()

    return [agent, broker, registry]


def _kill_a_backend(cluster: Cluster, database: str) -> None:
    """One of the registry's, or the one that asks: PostgreSQL then ends all of them and recovers."""
    find = "SELECT pid FROM pg_stat_activity WHERE datname = %s UNION ALL SELECT pg_backend_pid()"
    with cluster.connect() as connection:
        pid = connection.execute(find, [database]).fetchall()[0][0]
        os.kill(pid, signal.SIGKILL)
