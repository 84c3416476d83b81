"""Questions over a network, and a registry's start: ours against an empty handler in the same process.

One registry over SQLite with a seeded fleet, one real broker, one client; rounds interleaved. Aims: issue 4.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import history
import nats
import peers_nats
from fleets import Fleet, everyday
from nats.aio.client import Client
from nats.errors import NoRespondersError
from network_client import HTTP_BATCH, HTTP_PAIR, NATS_BATCH, NATS_PAGE, NATS_PAIR, Network
from query_lines import KV
from rounds import OURS, Cell, Table, durations

from mdevreg import subjects
from mdevreg.query.replica_door import ReplicaDoor, open_replica
from mdevreg_server.broker import Broker
from support.databases import sqlite_url
from support.processes import Program

HERE = Path(__file__).resolve().parent
CHANGE = "from a record published to a client's answer"
ANSWERS, PUBLISHED = "registry's start, until it answers", "registry's start, until the whole fleet is published"
ANSWERS_AGAIN, PUBLISHED_AGAIN = "again, until it answers", "again, until it stands"

START_TIMEOUT_S = 300.0


def report(folder: Path, *, rounds: int, hosts: int) -> list[Table]:
    """Measure and print; the tables."""
    agents = history.Agents(Fleet(hosts))
    database = sqlite_url(_made(folder / "network"))
    started = time.perf_counter()
    position = history.fill(database, agents)
    filled = f"The log has {position:,} records, taken in within {time.perf_counter() - started:.1f} s."
    starts = Table(f"A registry's start, {hosts:,} hosts from SQLite", order=(ANSWERS, PUBLISHED))
    asked = Table(f"Questions over a network, {hosts:,} hosts, {rounds} rounds", order=_LINES)
    with ExitStack() as stack:
        broker = stack.enter_context(Broker(folder / "network-broker"))
        runner = stack.enter_context(asyncio.Runner())
        client = runner.run(nats.connect(broker.url))
        stack.callback(lambda: runner.run(client.close()))
        start = partial(_start, runner, client, folder, database, broker.url)
        fresh, again = Starting(start), Starting(start)
        starts.measure([Cell((ANSWERS, PUBLISHED), OURS, fresh.once, 1)], 1)
        starts.measure([Cell((ANSWERS_AGAIN, PUBLISHED_AGAIN), OURS, again.once, 1)], 1)
        starts.notes.append(filled)
        starts.show()
        registry = stack.enter_context(start()[0])
        network = Network(runner, client, registry, agents)
        stack.callback(network.close)
        network.wait_until_whole()
        asked.measure([*network.cells(), *_change(stack, broker.url, network), *_kv(network)], rounds)
        asked.notes.append(
            f"After a heartbeat of every host at once, the registry answers again within {durations(network.beats_s)}."
        )
    asked.show()
    return [starts, asked]


_LINES = (NATS_PAIR, NATS_PAGE, NATS_BATCH, HTTP_PAIR, HTTP_BATCH, CHANGE)
Start = Callable[[], tuple[Program, float, float]]


class Starting:
    """A start that is ended again."""

    def __init__(self, start: Start) -> None:
        self._start = start

    def once(self) -> tuple[float, float]:
        """Seconds until it answers, and until it stands."""
        registry, answers_s, stands_s = self._start()
        with registry:
            return answers_s, stands_s


def _start(
    runner: asyncio.Runner, client: Client, folder: Path, database: str, url: str
) -> tuple[Program, float, float]:
    started = time.perf_counter()
    registry = Program(["python", HERE / "network_server.py", database, url], home=folder)
    try:
        runner.run(_until_answered(client, registry))
        answers_s = time.perf_counter() - started
        registry.wait_for("registry.ready", START_TIMEOUT_S)
        return registry, answers_s, time.perf_counter() - started
    except BaseException:
        registry.kill()
        raise


async def _until_answered(client: Client, registry: Program) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and registry.running:
        try:
            await client.request(subjects.query("rules"), b"{}", timeout=5)
        except (NoRespondersError, TimeoutError):
            await asyncio.sleep(0.01)
        else:
            return
    raise TimeoutError(f"the registry does not answer:\n{registry.output}")


def _change(stack: ExitStack, url: str, network: Network) -> Iterator[Cell]:
    """From an agent's record, over the registry's commit, to the view of a replica in this process."""
    door = stack.enter_context(open_replica(f"replica+{url}", timeout_s=60.0, creds=None))
    hosts = iter(network.agents.fleet.hosts)

    async def publish(subject: str, records: list[bytes]) -> None:
        for data in records:
            await network.client.publish(subject, data)
        await network.client.flush()

    def once() -> float:
        host = everyday(next(hosts))
        records = network.agents.records(host, "uevent")
        wanted = door.view.position + len(records)
        started = time.perf_counter()
        network.runner.run(publish(subjects.record(host.id), records))
        _until(door, wanted)
        return time.perf_counter() - started

    yield Cell((CHANGE,), OURS, lambda: sum(once() for _ in range(10)) / 10)


def _until(door: ReplicaDoor, position: int) -> None:
    deadline = time.monotonic() + 10
    while door.view.position < position:
        assert time.monotonic() < deadline, f"the replica stays at {door.view.position}, not {position}"
        time.sleep(0.0002)


def _kv(network: Network) -> Iterator[Cell]:
    """A bucket with few hosts, for how long its messages take: two gets for a pair, and from a put to a watcher."""
    runner, client = network.runner, network.client
    fleet = Fleet(200)
    runner.run(peers_nats.publish(client, fleet))
    bucket = runner.run(client.jetstream().key_value(peers_nats.BUCKET))
    hosts = [host for host in fleet.hosts if host.fitting == 0]
    key = f"{hosts[0].hostname}.{hosts[0].types[0]}"

    async def pair() -> None:
        for host in hosts[:2]:
            await bucket.get(f"{host.hostname}.{host.types[0]}")

    async def change() -> None:
        watcher = await bucket.watch(key)
        async for entry in watcher:
            if entry is None:
                break
        started.append(time.perf_counter())
        await bucket.put(key, peers_nats.values_of(hosts[0])[hosts[0].types[0]])
        await anext(watcher)
        ended.append(time.perf_counter())

    started: list[float] = []
    ended: list[float] = []

    def changed() -> float:
        started.clear()
        ended.clear()
        for _ in range(10):
            runner.run(change())
        return (sum(ended) - sum(started)) / len(ended)

    yield Cell((NATS_PAIR,), KV, partial(_mean, runner, pair, 50))
    yield Cell((CHANGE,), KV, changed)


def _mean(runner: asyncio.Runner, work: Callable[[], Awaitable[None]], times: int) -> float:
    async def all_of_them() -> float:
        started = time.perf_counter()
        for _ in range(times):
            await work()
        return (time.perf_counter() - started) / times

    return runner.run(all_of_them())


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
