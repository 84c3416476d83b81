"""A client's side of the bench of questions over a network."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from urllib.parse import urlsplit

import history
import msgspec
from nats.aio.client import Client
from network_server import EMPTY
from questions import Questions
from rounds import FLOOR, OURS, Cell

from mdevreg import subjects
from mdevreg.query.batch import Asked, BriefAnswers, Problem
from support.processes import Program

NATS_PAIR, NATS_BATCH, NATS_PAGE = "NATS: a pair with every reason", "NATS: 1,000 pairs", "NATS: first 100 targets"
HTTP_PAIR, HTTP_BATCH = "HTTP: a pair", "HTTP: 1,000 pairs"

#: Questions per round, and pairs in a batch.
TIMES, BATCH = 200, 1_000
#: No more of them after this time.
MOST_S = 2.0
WHOLE_TIMEOUT_S, ANSWER_TIMEOUT_S = 300.0, 120.0
#: So many pairs that take longer are answered by the database.
FEW, FROM_MEMORY_S = 20, 0.05
#: Half of the silence after which a host is stale; and how long the registry takes to tell of beats, at most.
BEAT_EVERY_S, SETTLES_S = 30.0, 8.0


class Network:
    """A client's side: one connection to the broker, one to the registry's HTTP, one to the empty handler's."""

    def __init__(self, runner: asyncio.Runner, client: Client, registry: Program, agents: history.Agents) -> None:
        self.runner, self.client, self.agents = runner, client, agents
        self.asked = Questions(agents.fleet)
        pairs = [Asked(pair.mdev, pair.target) for pair in self.asked.pairs[:BATCH]]
        self._ones = [msgspec.json.encode({"device": pair.device, "host": pair.to}) for pair in pairs]
        self._batch = msgspec.json.encode({"pairs": pairs})
        self._page = msgspec.json.encode({"device": self.asked.hot.mdev, "limit": 100})
        self._single_s, self._beaten_at = 0.0, -BEAT_EVERY_S
        self.beats_s: list[float] = []  # how long it took the registry to take in a beat of every host
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
        self._kept_alive()
        deadline = time.monotonic() + WHOLE_TIMEOUT_S
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
        yield Cell((NATS_PAIR, NATS_PAGE), FLOOR, self._empty_endpoint)
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

    def _kept_alive(self) -> None:
        """Nobody becomes stale while a round is measured, and no beat is still on its way."""
        if time.monotonic() - self._beaten_at < BEAT_EVERY_S:
            return
        started = time.perf_counter()
        self.beat()
        self._nats(subjects.query("rules"), [b"{}"])  # comes after the beats
        self.beats_s.append(time.perf_counter() - started)
        time.sleep(SETTLES_S)
        self._beaten_at = time.monotonic()

    def _empty_endpoint(self) -> float:
        self._kept_alive()
        return self._nats(EMPTY, self._ones[:TIMES])

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
