"""Two that claim to be one: refused where it can be refused, flagged where it can't (design section 7)."""

from __future__ import annotations

import itertools
import time

import pytest

from support.histories import assert_exactly_once, assert_undisturbed
from support.host_root import HostRoot
from support.machine import Machine
from support.processes import Program, run_cli
from support.scene import OpenScene, Scene

pytestmark = pytest.mark.acceptance

CAN_MIGRATE = ["mdevreg", "can-migrate", "host-1/mtty/mtty-1", "--to", "host-1"]


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
    """One id, one epoch, two machines: what they write differs. Whichever is kept begins a new epoch."""
    (machine, clone, root) = _cloned(scene)
    with clone:
        began, frees = time.monotonic(), itertools.count()

        def flagged() -> bool:
            machine.root.set_free(next(frees))
            root.set_free(next(frees))
            codes = {item.code for item in scene.refused()}
            return set(scene.disputes()) == {"host-1"} and codes == {"IDENTITY_CONFLICT"}

        scene.wait(flagged, "the conflict is flagged, and refused records are kept")
        print(f"clone that writes: flagged after {time.monotonic() - began:.1f} s: {scene.disputes()['host-1']}")
        asked = run_cli([*CAN_MIGRATE, "--url", scene.broker.url], home=scene.home)
        assert (asked.returncode, "two live agents claim to be hv-01" in asked.stdout) == (3, True), asked
    machine.kill()
    assert scene.server("conflict", "list") == 0
    assert scene.said.startswith("1 disputed\nhost-1")
    assert scene.server("conflict", "clear", "host-1") == 0, scene.said
    machine.lose_outbox()
    machine.start()
    scene.settle()
    assert scene.disputes() == {}


def test_a_clone_that_only_beats_is_flagged_too(scene: Scene) -> None:
    """It has nothing to say, but its heart goes on in an epoch that was left."""
    (machine, clone, _root) = _cloned(scene)
    with clone:
        machine.kill()
        machine.lose_outbox()
        machine.start()
        began = time.monotonic()
        scene.wait(lambda: set(scene.disputes()) == {"host-1"}, "the conflict is flagged")
        print(f"clone that beats: flagged after {time.monotonic() - began:.1f} s: {scene.disputes()['host-1']}")
        assert "beats on" in scene.disputes()["host-1"]


def _cloned(scene: Scene) -> tuple[Machine, Program, HostRoot]:
    """A host, and its clone's agent and root. Both run, and agree with the registry."""
    scene.start_registry()
    (machine,) = scene.add(1)
    scene.settle()
    machine.kill()
    state_dir, root = machine.clone()
    machine.start()
    clone = machine.run_agent(state_dir, root=root)
    clone.wait_for("link.up")
    return machine, clone, root
