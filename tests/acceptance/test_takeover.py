"""Several registries share one history: killed, stopped, joined and left under load, everything is in it once."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import psutil
import pytest
import sqlalchemy as sa
from nats.aio.client import Client

from mdevreg import subjects
from mdevreg_server.amendments import NOBODY
from mdevreg_server.broker import Broker
from mdevreg_server.tables import RecordLog
from support.bus_client import stream_info, with_client
from support.histories import assert_exactly_once, assert_gapless, assert_rebuild_changes_nothing, assert_undisturbed
from support.hosts import look, mtty
from support.machine import Machine
from support.postgres import Cluster
from support.processes import Program
from support.publisher import Publisher
from support.scene import OpenScene, Scene

pytestmark = pytest.mark.acceptance

PARTITIONS = 4
#: A process looks every two seconds; the rest is for a busy machine.
TAKEN_OVER_WITHIN_S = 10.0

StartWorker = Callable[[], Program]


@pytest.fixture
def scene(open_scene: OpenScene, postgresql_database_url: str) -> Scene:
    """A scene on PostgreSQL."""
    return open_scene(postgresql_database_url)


@pytest.fixture
def start_worker(scene: Scene) -> Iterator[StartWorker]:
    """Starts registries that share the scene's database; ``scene.registry`` is the newest."""
    with ExitStack() as stack:

        def start() -> Program:
            where = ["--database", scene.database, "--nats", scene.broker.url, "--partitions", str(PARTITIONS)]
            worker = Program(["mdevreg-server", "serve", *where], home=scene.home)
            stack.callback(worker.process.send_signal, signal.SIGCONT)
            stack.push(worker)
            scene.registry = worker
            return worker

        yield start


def test_a_killed_registry_s_partitions_are_taken_over_in_mid_backlog(scene: Scene, start_worker: StartWorker) -> None:
    """``kill -9`` while both write: what was published is in the history once, per host in order, without gaps."""
    first, second = _pair(start_worker)
    count = _backlog(scene.broker, hosts=150, changes=40)
    scene.wait(lambda: _position(scene) > 0, "the backlog is being consumed")
    assert first.kill() == -signal.SIGKILL
    killed_at, done = time.monotonic(), _position(scene)
    assert done < count, "it was killed after the backlog"
    second.wait_for("leader.taken", TAKEN_OVER_WITHIN_S)
    scene.wait(lambda: _held(second) == PARTITIONS, "the other has them all", TAKEN_OVER_WITHIN_S)
    print(f"killed at {done} of {count}; taken over after {time.monotonic() - killed_at:.1f} s")
    scene.wait(lambda: len(scene.logged()) >= count, "everything is in the history")
    _assert_in_order(scene, count)
    assert_undisturbed(scene)
    assert_rebuild_changes_nothing(scene)


def test_registries_join_leave_and_die_under_load(scene: Scene, start_worker: StartWorker) -> None:
    """Real agents all the time; nothing of theirs is lost or doubled, and every outbox is empty in the end."""
    chance = random.Random(5)
    workers = [*_pair(start_worker)]
    scene.add(4)
    scene.wait(lambda: len(scene.states()) == 4, "every host is known")
    with scene.load(chance):
        workers.append(start_worker())
        workers[-1].wait_for("registry.ready")
        time.sleep(2.5)
        assert workers.pop(0).terminate() == 0
        time.sleep(1)
        assert workers.pop(0).kill() == -signal.SIGKILL
        workers.append(start_worker())
        time.sleep(2.5)
    scene.settle()
    assert_exactly_once(scene)
    assert_gapless(scene.written())
    _assert_in_order(scene, len(scene.written()))
    assert_undisturbed(scene)
    assert workers.pop(0).terminate() == 0
    assert_rebuild_changes_nothing(scene)


def test_a_stopped_registry_is_replaced_and_harms_nothing_when_it_goes_on(
    scene: Scene, start_worker: StartWorker, postgres_cluster: Cluster
) -> None:
    """SIGSTOP keeps its connections. The database ends them (here at once: ``test_partitions`` has the timeout)."""
    first, second = _pair(start_worker)
    count = _backlog(scene.broker, hosts=100, changes=30)
    scene.wait(lambda: _position(scene) > 0, "the backlog is being consumed")
    ports = [connection.laddr.port for connection in psutil.Process(first.pid).net_connections()]
    first.process.send_signal(signal.SIGSTOP)
    with postgres_cluster.connect() as connection:
        ended = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE client_port = ANY(%s)"
        assert connection.execute(ended, [ports]).fetchall()[0][0] >= 2
    scene.wait(lambda: _held(second) == PARTITIONS, "the other has them all", TAKEN_OVER_WITHIN_S)
    scene.wait(lambda: len(scene.logged()) >= count, "everything is in the history")
    first.process.send_signal(signal.SIGCONT)
    scene.wait(lambda: _held(first) == _held(second) == PARTITIONS // 2, "they share again", TAKEN_OVER_WITHIN_S)
    more = _backlog(scene.broker, hosts=20, changes=5, name="later")
    scene.wait(lambda: len(scene.logged()) >= count + more, "both go on")
    _assert_in_order(scene, count + more)
    assert_undisturbed(scene)


def test_agents_wait_while_the_stream_is_full(scene: Scene) -> None:
    """No registry, and the broker refuses: outboxes keep everything. A registry makes room: all of it arrives, once."""
    max_bytes = 1_000_000
    scene.start_registry(max_bytes=max_bytes)
    machines = scene.add(2)
    scene.wait(lambda: len(scene.states()) == 2, "every host is known")
    scene.kill_registry()
    scene.registry = None
    with_client(scene.broker.url, lambda client: _fill(client, ["x" * 5_000] * (max_bytes // 5_000)))
    with scene.load(random.Random(6)):
        scene.wait(lambda: all(map(_is_refused, machines)), "both are refused")
        time.sleep(1)
    before = len(scene.logged())
    assert len(scene.written()) > before
    assert stream_info(scene.broker.url, subjects.RECORDS_STREAM).state.bytes <= max_bytes
    scene.start_registry(max_bytes=max_bytes).wait_for("stream.trimmed")
    scene.settle()
    assert_exactly_once(scene)
    assert_gapless(scene.written())


def _is_refused(machine: Machine) -> bool:
    return machine.agent is not None and "maximum bytes exceeded" in machine.agent.output


def _pair(start_worker: StartWorker) -> tuple[Program, Program]:
    """Two that stand and have half of the partitions each; the first one leads."""
    first = start_worker()
    first.wait_for("registry.ready")
    second = start_worker()
    second.wait_for("registry.ready")
    deadline = time.monotonic() + TAKEN_OVER_WITHIN_S
    while (_held(first), _held(second)) != (PARTITIONS // 2, PARTITIONS // 2):
        assert time.monotonic() < deadline, f"{first.output}\n{second.output}"
        time.sleep(0.05)
    return first, second


def _held(worker: Program) -> int:
    said = worker.output
    return said.count("partition.taken") - said.count("partition.left")


def _backlog(broker: Broker, *, hosts: int, changes: int, name: str = "host") -> int:
    """Publish the snapshots of hosts, and changes, interleaved; how many records."""
    publishers = [Publisher(f"{name}-{number}") for number in range(hosts)]
    rounds = [[record for each in publishers for record in each.snapshot(look(mtty(), hostname=each.host))]]
    for number in range(changes):
        free = mtty(free=number % 2 + 1)
        rounds.append([record for each in publishers for record in each.changes(look(free, hostname=each.host))])
    records = [(publisher_of(record), record) for each in rounds for record in each]
    with_client(broker.url, lambda client: _publish(client, records))
    return len(records)


def publisher_of(record: bytes) -> str:
    return subjects.record(record.split(b'"host":"', 1)[1].split(b'"', 1)[0].decode())


async def _publish(client: Client, records: list[tuple[str, bytes]]) -> None:
    js = client.jetstream()
    before = (await js.stream_info(subjects.RECORDS_STREAM)).state.last_seq
    for subject, record in records[:-1]:
        await client.publish(subject, record)
        if client.pending_data_size > 500_000:
            await client.flush()
    ack = await js.publish(*records[-1], timeout=30)
    assert ack.seq - before == len(records)


async def _fill(client: Client, payloads: list[str]) -> None:
    """What is no record: it fills the stream, and ends in quarantine."""
    for payload in payloads:
        await client.publish(subjects.record("filler"), payload.encode())
    await client.flush()


def _position(scene: Scene) -> int:
    records = sa.select(sa.func.count()).select_from(RecordLog).where(RecordLog.host != NOBODY)
    return int(scene.rows(records)[0][0])


def _assert_in_order(scene: Scene, count: int) -> None:
    """``count`` records, positions without gaps, each host's in the order of their numbers."""
    columns = (RecordLog.position, RecordLog.host, RecordLog.epoch, RecordLog.seq)
    rows = scene.rows(sa.select(*columns).order_by(RecordLog.position))
    assert [row.position for row in rows] == list(range(1, len(rows) + 1))
    records = [row for row in rows if row.host != NOBODY]
    assert len(records) == len({(row.host, row.epoch, row.seq) for row in records}) == count
    last: dict[tuple[str, str], int] = {}
    for row in records:
        assert row.seq == last.get((row.host, row.epoch), 0) + 1, row
        last[row.host, row.epoch] = row.seq
