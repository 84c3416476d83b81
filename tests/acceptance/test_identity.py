"""Two that claim to be one: refused where it can be refused, flagged where it can't (design section 7)."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from support.histories import assert_exactly_once, assert_undisturbed
from support.host_root import HostRoot
from support.processes import Program, eventually, run_cli
from support.scene import OpenScene, Scene

pytestmark = pytest.mark.acceptance


def test_a_second_registry_refuses_and_the_first_is_unharmed(open_scene: OpenScene, database_url: str) -> None:
    """Started by mistake on the same database: it leaves before it takes a single message from the first."""
    scene = open_scene(database_url)
    first = scene.start_registry()
    first.wait_for("registry.ready")
    where = ["--database", scene.database, "--nats", scene.broker.url]
    second = run_cli(["mdevreg-server", "serve", *where], home=scene.home, timeout_s=20)
    assert second.returncode == 2
    assert second.stderr.startswith("mdevreg-server: SECOND_WRITER: another registry writes to ")
    scene.add(1)
    scene.settle()
    assert first.running
    assert "ingest.detached" not in first.output
    assert_exactly_once(scene)


def test_a_second_agent_in_one_state_folder_refuses_and_the_first_is_unharmed(scene: Scene) -> None:
    """The folder is the identity; whoever holds it is the host."""
    scene.start_registry()
    (machine,) = scene.add(1)
    scene.settle()
    with machine.run_agent(machine.state_dir) as second:
        assert second.process.wait(20) == 2
        assert "STATE_IN_USE" in second.output
    machine.root.set_free(3)
    scene.settle()
    assert_exactly_once(scene)
    assert_undisturbed(scene)


def test_a_clone_that_writes_is_flagged_and_a_person_decides(scene: Scene) -> None:
    """One id, one epoch, two machines: what they write differs. Nothing is merged until one of them is stopped."""
    with _cloned(scene) as (clone, root):
        scene.machines[0].root.set_free(5)
        root.set_free(7)
        began = time.monotonic()
        scene.wait(lambda: set(scene.disputes()) == {"host-1"}, "the conflict is flagged")
        print(f"clone that writes: flagged after {time.monotonic() - began:.1f} s: {scene.disputes()['host-1']}")
        assert "IDENTITY_CONFLICT" in {item.code for item in scene.refused()}
        asked = _can_migrate(scene)
        assert asked.returncode == 3
        assert "CONFLICT" in asked.stdout + asked.stderr
        clone.kill()
    assert scene.server("conflict", "list") == 0
    assert "host-1" in scene.said
    assert scene.server("conflict", "clear", "host-1") == 0, scene.said
    scene.machines[0].root.set_free(9)
    scene.settle()
    assert scene.disputes() == {}


def test_a_clone_that_only_beats_is_flagged_too(scene: Scene) -> None:
    """It has nothing to say, but its heart goes on in an epoch that was left."""
    with _cloned(scene) as (clone, _root):
        machine = scene.machines[0]
        machine.kill()
        (machine.state_dir / "outbox.sqlite3").unlink()
        machine.start()  # begins a new epoch
        began = time.monotonic()
        scene.wait(lambda: set(scene.disputes()) == {"host-1"}, "the conflict is flagged")
        print(f"clone that beats: flagged after {time.monotonic() - began:.1f} s: {scene.disputes()['host-1']}")
        assert "beats on" in scene.disputes()["host-1"]
        assert clone.running


@contextmanager
def _cloned(scene: Scene) -> Iterator[tuple[Program, HostRoot]]:
    """A host and its clone, both running and in agreement with the registry. The clone's agent and root."""
    scene.start_registry()
    (machine,) = scene.add(1)
    scene.settle()
    machine.kill()
    state_dir, root = machine.clone()
    machine.start()
    with machine.run_agent(state_dir, root=root) as clone:
        eventually(lambda: "receipt.taken" in clone.output, "the clone has its receipt")
        yield clone, root


def _can_migrate(scene: Scene) -> subprocess.CompletedProcess[str]:
    asked = ["can-migrate", "host-1/mtty/mtty-1", "--to", "host-1", "--url", scene.broker.url]
    return run_cli(["mdevreg", *asked], home=scene.home)
