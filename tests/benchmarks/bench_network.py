"""Questions over a network, and a registry's start: ours against an empty handler in the same process.

One registry over SQLite with a seeded fleet, one real broker, one client; rounds interleaved. Aims: issue 4.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import history
import msgspec
import nats
import peers_nats
from fleets import Fleet, everyday
from nats.aio.client import Client
from nats.errors import NoRespondersError
from network_server import EMPTY
from query_lines import KV
from questions import Questions
from rounds import FLOOR, OURS, Cell, Table

from mdevreg import subjects
from mdevreg.query.batch import Asked, BriefAnswers, Problem
from mdevreg.query.replica_door import ReplicaDoor, open_replica
from mdevreg_server.broker import Broker
from support.databases import sqlite_url
from support.processes import Program

HERE = Path(__file__).resolve().parent
NATS_PAIR, NATS_BATCH, NATS_PAGE = "NATS: a pair with every reason", "NATS: 1,000 pairs", "NATS: first 100 targets"
HTTP_PAIR, HTTP_BATCH = "HTTP: a pair", "HTTP: 1,000 pairs"
CHANGE = "from a record published to a client's answer"
ANSWERS, PUBLISHED = "registry's start, until it answers", "registry's start, until the whole fleet is published"
ANSWERS_AGAIN, PUBLISHED_AGAIN = "again, until it answers", "again, until it stands"

#: Questions per round, and pairs in a batch.
TIMES, BATCH = 200, 1_000
#: No more of them after this time.
MOST_S = 2.0
START_TIMEOUT_S, ANSWER_TIMEOUT_S = 300.0, 120.0
#: So many pairs that take longer are answered by the database.
FEW, FROM_MEMORY_S = 20, 0.05


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


class Network:
    """A client's side: one connection to the broker, one to the registry's HTTP, one to the empty handler's."""

    def __init__(self, runner: asyncio.Runner, client: Client, registry: Program, agents: history.Agents) -> None:
        self.runner, self.client, self.agents = runner, client, agents
        self.asked = Questions(agents.fleet)
        pairs = [Asked(pair.mdev, pair.target) for pair in self.asked.pairs[:BATCH]]
        self._ones = [msgspec.json.encode({"device": pair.device, "host": pair.to}) for pair in pairs]
        self._batch = msgspec.json.encode({"pairs": pairs})
        self._page = msgspec.json.encode({"device": self.asked.hot.mdev, "limit": 100})
        self._single_s = 0.0
        url = registry.wait_for("http.listening").rpartition("url=")[2]
        port = int(registry.wait_for("empty.listening").rpartition("port=")[2])
        self._http = HTTPConnection("127.0.0.1", urlsplit(url).port, timeout=30)
        self._empty = HTTPConnection("127.0.0.1", port, timeout=30)

    def close(self) -> None:
        """Let go of the HTTP connections."""
        self._http.close()
        self._empty.close()

    def wait_until_whole(self) -> None:
        """Until the registry answers every pair from memory: only then is what is measured what is meant."""
        self.beat()
        deadline = time.monotonic() + START_TIMEOUT_S
        few = msgspec.json.encode({"pairs": msgspec.json.decode(self._batch)["pairs"][:FEW]})
        while True:
            started = time.perf_counter()
            problems = self._problems(few)
            near = time.perf_counter() - started < FROM_MEMORY_S
            if near and not problems and not (problems := self._problems(self._batch)):
                return
            assert time.monotonic() < deadline, f"still {len(problems)} problems, near: {near}: {problems[:2]}"
            time.sleep(0.5)

    def _problems(self, pairs: bytes) -> list[Problem]:
        answers = msgspec.json.decode(self._batched(pairs), type=BriefAnswers).answers
        return [answer.problem for answer in answers if answer.problem is not None]

    def cells(self) -> Iterator[Cell]:
        """All but the changes."""
        one, many = {"pairs": [{"device": self.asked.hot.mdev, "to": self.asked.hot.target}]}, self._batch
        body = msgspec.json.encode(one)
        yield Cell((NATS_PAIR, NATS_PAGE), FLOOR, lambda: self._beaten_and(self._nats(EMPTY, self._ones[:TIMES])))
        yield Cell((NATS_PAIR,), OURS, self._pair)
        yield Cell((NATS_PAGE,), OURS, lambda: self._nats(subjects.query("targets-page"), [self._page] * 50))
        yield Cell((NATS_BATCH,), FLOOR, self._one_and_serialisation)
        yield Cell((NATS_BATCH,), OURS, lambda: self._nats(subjects.query("can-migrate-batch"), [many] * 5))
        yield Cell((HTTP_PAIR,), FLOOR, lambda: _posted(self._empty, "/empty", body, TIMES))
        yield Cell((HTTP_PAIR,), OURS, self._http_pair(body))
        yield Cell((HTTP_BATCH,), FLOOR, self._one_and_serialisation)
        yield Cell((HTTP_BATCH,), OURS, lambda: _posted(self._http, "/v1/can-migrate", many, 5))

    def beat(self) -> None:
        """Everybody is alive."""

        async def beat() -> None:
            for subject, data in self.agents.beats():
                await self.client.publish(subject, data)
                if self.client.pending_data_size > 500_000:
                    await self.client.flush(60)
            await self.client.flush(60)

        self.runner.run(beat())

    def _beaten_and(self, taken_s: float) -> float:
        """Nobody becomes stale while a round is measured."""
        self.beat()
        return taken_s

    def _pair(self) -> float:
        self._single_s = self._nats(subjects.query("can-migrate"), self._ones[:TIMES])
        return self._single_s

    def _http_pair(self, body: bytes) -> Callable[[], float]:
        def ask() -> float:
            self._single_s = _posted(self._http, "/v1/can-migrate", body, TIMES)
            return self._single_s

        return ask

    def _one_and_serialisation(self) -> float:
        """One question as it was just measured, and what reading and writing the messages of a batch takes."""
        read = msgspec.json.decode(self._batched(self._batch), type=BriefAnswers)
        started = time.perf_counter()
        for _ in range(5):
            msgspec.json.encode(read)
            msgspec.json.decode(self._batch)
        return self._single_s + (time.perf_counter() - started) / 5

    def _batched(self, pairs: bytes) -> bytes:
        return self.runner.run(self._reply(subjects.query("can-migrate-batch"), pairs))

    async def _reply(self, subject: str, request: bytes) -> bytes:
        reply = await self.client.request(subject, request, timeout=ANSWER_TIMEOUT_S)
        assert not (reply.headers and "Nats-Service-Error" in reply.headers), reply.data[:500]
        return bytes(reply.data)

    def _nats(self, subject: str, requests: list[bytes]) -> float:
        async def ask() -> float:
            started, taken_s, done = time.perf_counter(), 0.0, 0
            while done < len(requests) and taken_s < MOST_S:
                await self._reply(subject, requests[done])
                taken_s, done = time.perf_counter() - started, done + 1
            return taken_s / done

        return self.runner.run(ask())


def _posted(connection: HTTPConnection, path: str, body: bytes, times: int) -> float:
    connection.close()  # idle ones are closed by the server
    connection.connect()
    started, taken_s, done = time.perf_counter(), 0.0, 0
    while done < times and taken_s < MOST_S:
        connection.request("POST", path, body, {"Content-Type": "application/json"})
        reply = connection.getresponse()
        data = reply.read()
        assert reply.status == 200, data[:500]
        taken_s, done = time.perf_counter() - started, done + 1
    return taken_s / done


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
