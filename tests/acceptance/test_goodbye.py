"""Ended as they should be: a goodbye, nothing held back, exit code 0. And how long an event takes to be an answer."""

from __future__ import annotations

import signal
import statistics
import time

import pytest

from mdevreg.facts import NOW
from mdevreg_server.engine import open_engine
from mdevreg_server.sql_door import SqlDoor
from support.scene import Scene

pytestmark = pytest.mark.acceptance


def test_an_agent_says_goodbye_and_the_registry_keeps_it(scene: Scene) -> None:
    """SIGTERM to the agent, then to the registry before its next flush: the host is known to have left."""
    scene.start_registry()
    machine, other = scene.add(2)
    scene.settle()
    assert machine.agent is not None
    assert machine.agent.terminate() == 0, machine.agent.output
    machine.agent = None
    time.sleep(0.2)  # the goodbye has reached the registry, which writes such signs every 2 s
    scene.stop_registry()
    with SqlDoor(open_engine(scene.database, writer=False)) as door:
        left = {each.evidence.host: each.evidence.leaving for each in door.hosts(NOW).hosts}
        assert left == {machine.id: True, other.id: False}
        assert door.host(machine.id, NOW).parents, "it left, its facts are not gone"


@pytest.mark.parametrize("pause_s", [0, 1])
def test_a_registry_ends_well_while_its_broker_is_away(scene: Scene, pause_s: float) -> None:
    """A machine that shuts down stops both, in any order: exit 0, and no trace of an exception."""
    registry = scene.start_registry()
    registry.wait_for("registry.ready")
    scene.broker.kill()
    time.sleep(pause_s)
    scene.stop_registry()
    assert "Traceback" not in registry.output


def test_how_long_an_event_takes_to_be_an_answer(scene: Scene) -> None:
    """From the change and the poke (SIGHUP, which goes the way of a uevent) to the SQL door's answer. Only printed."""
    scene.start_registry()
    scene.add(1, "--rescan-s", "60", "--debounce-s", "0.1")
    scene.settle()
    with SqlDoor(open_engine(scene.database, writer=False)) as door:
        times_ms = sorted(_answered_ms(scene, door, free) for free in range(2, 14))
    middle = statistics.median(times_ms)
    print(
        f"event to answer, debounce 100 ms included: p50 {middle:.0f} ms, worst of {len(times_ms)} {times_ms[-1]:.0f}"
    )
    scene.settle()


def _answered_ms(scene: Scene, door: SqlDoor, free: int) -> float:
    (machine,) = scene.machines
    assert machine.agent is not None
    began = time.perf_counter()
    machine.root.set_free(free)
    machine.agent.process.send_signal(signal.SIGHUP)
    scene.wait(lambda: _free(door, machine.id) == free, "the answer has changed")
    return (time.perf_counter() - began) * 1000


def _free(door: SqlDoor, host: str) -> int | None:
    return door.host(host, NOW).parents[0].types[0].available_instances
