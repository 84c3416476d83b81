"""Backup and restore as they are documented, of a registry whose records were pruned, under load."""

from __future__ import annotations

import random
import time

import pytest

from mdevreg_server.engine import open_engine
from support.backups import backed_up
from support.histories import (
    assert_exactly_once,
    assert_gapless,
    assert_rebuild_changes_nothing,
    assert_undisturbed,
)
from support.pruned import emptied
from support.scene import OpenScene, Scene

pytestmark = pytest.mark.acceptance


def test_a_backup_that_is_made_under_load_is_whole_and_the_registry_goes_on_from_it(
    open_scene: OpenScene, database_url: str
) -> None:
    """Restored, checked, started: the broker's records are read again, agents come back by themselves."""
    scene, chance = open_scene(database_url), random.Random(5)
    scene.start_registry()
    scene.add(2)
    _loaded(scene, chance)
    scene.stop_registry()
    assert scene.server("prune", "--before", "now") == 0, scene.said
    gone = _emptied(scene)
    assert gone, scene.said
    scene.start_registry()
    with scene.load(chance):
        time.sleep(0.5)
        restore = backed_up(scene)
        time.sleep(0.5)
    scene.settle()
    scene.add(1)
    _loaded(scene, chance)
    scene.kill_registry()
    restore()
    assert scene.server("db", "check") == 0, scene.said
    assert _emptied(scene) == gone
    scene.start_registry()
    _loaded(scene, chance)
    assert_exactly_once(scene)
    assert_gapless(scene.written())
    assert_undisturbed(scene)
    assert_rebuild_changes_nothing(scene)


def _loaded(scene: Scene, chance: random.Random) -> None:
    with scene.load(chance):
        time.sleep(1.0)
    scene.settle()


def _emptied(scene: Scene) -> set[int]:
    engine = open_engine(scene.database, writer=False)
    try:
        return emptied(engine)
    finally:
        engine.dispose()
