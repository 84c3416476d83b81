"""The query service: found by NATS' own tools, errors with headers, statistics, load shared and handed over."""

from __future__ import annotations

import asyncio
import json
import resource
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa
from nats.aio.client import Client
from nats.aio.msg import Msg

from mdevreg import subjects
from mdevreg.compatibility import Rules
from mdevreg.errors import UsageError
from mdevreg.facts import Moment, Retention
from mdevreg.query.batch import Asked, BriefAnswers, one_by_one
from mdevreg.query.door import Door
from mdevreg.query.pages import PageAsked, TargetPage, targets_page
from mdevreg.query.requests import Changed
from mdevreg_server.answers import MAX_INLINE_PAIRS, NearbyDoor
from mdevreg_server.broker import Broker
from mdevreg_server.engine import open_engine
from mdevreg_server.responder import Responder
from mdevreg_server.sql_door import SqlDoor
from support.bus_client import ask, publish
from support.databases import sqlite_url
from support.door_fleet import FLEET, fill, memory_door
from support.hosts import look, mtty, uuid_of
from support.memory_door import MemoryDoor
from support.nats_server import brokers
from support.processes import StartCli, eventually
from support.publisher import Publisher
from support.registry import logged, migrated
from support.serving import serving

PAIR = json.dumps({"device": uuid_of(1), "host": "beta", "stale_after_s": 1e9}).encode()


def test_the_service_is_found_and_its_questions_are_answered(engine: sa.Engine, nats_server: Broker) -> None:
    """`nats micro ls` asks on these subjects (NATS ADR-32)."""
    fill(engine)
    with serving(engine.url.render_as_string(hide_password=False), nats_server.url):
        ping = json.loads(ask(nats_server.url, "$SRV.PING.mdevreg").data)
        info = json.loads(ask(nats_server.url, "$SRV.INFO.mdevreg").data)
        answer = ask(nats_server.url, subjects.query("hosts"))
        verdict = json.loads(ask(nats_server.url, subjects.query("can-migrate"), PAIR).data)
    assert ping["name"] == "mdevreg"
    assert {each["name"] for each in info["endpoints"]} >= {"hosts", "host", "pair", "candidates", "can-migrate"}
    assert len(json.loads(answer.data)["hosts"]) == len(FLEET)
    assert verdict["verdict"]["outcome"] == "compatible"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of a database with the fleet of all doors."""
    place = tmp_path_factory.mktemp("answered")
    with migrated(sqlite_url(place)) as engine:
        fill(engine)
    return sqlite_url(place)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker of these tests."""
    with brokers(tmp_path_factory.mktemp("broker")) as start:
        yield start()


class Slow(MemoryDoor):
    """A door that takes its time; ``begun`` counts, ``threads`` tells who asked."""

    def __init__(self, takes_s: float = 0.0, error: Exception | None = None) -> None:
        super().__init__((), ask=self._wait)
        self._inner, self._takes_s, self._error = memory_door(), takes_s, error
        self._hosts, self._believed = self._inner._hosts, self._inner._believed
        self.threads: list[str] = []

    def _wait(self) -> None:
        self.threads.append(threading.current_thread().name)
        time.sleep(self._takes_s)
        if self._error is not None:
            raise self._error


class Near(Slow):
    """A door in memory that says whether it is ready, and makes batches and pages."""

    ready = True

    def briefs(self, pairs: Sequence[Asked], moment: Moment, *, stale_after_s: float, now: datetime) -> BriefAnswers:
        return one_by_one(self, pairs, now=now, moment=moment, rules=Rules(stale_after_s=stale_after_s))

    def targets_page(self, asked: PageAsked, *, now: datetime) -> TargetPage:
        self._wait()
        return targets_page(self._inner, asked.device, now=now, moment=asked.moment, limit=asked.limit)


class NoDecisions:
    """Nobody decides anything here."""

    def add_rule(self, draft: Any) -> Any:
        raise UsageError("no")

    def end_rule(self, rule: str, *, at: datetime | None, author: str) -> Any:
        raise UsageError("no")

    def set_retention(self, bodies: Any, *, author: str) -> Retention:
        raise UsageError("no")

    def import_entries(self, entries: Any, *, author: str) -> Changed:
        raise UsageError("no")

    def remove_entries(self, names: Any, *, author: str) -> Changed:
        raise UsageError("no")

    def record(self, draft: Any) -> Any:
        raise UsageError("no")

    def report(self, draft: Any) -> Any:
        raise UsageError("no")

    def create_campaign(self, draft: Any) -> Any:
        raise UsageError("no")

    def end_campaign(self, name: str, *, author: str, reason: str) -> Any:
        raise UsageError("no")

    def put_baseline(self, draft: Any) -> Any:
        raise UsageError("no")

    def end_baseline(self, name: str, *, author: str, reason: str) -> Any:
        raise UsageError("no")

    def add_webhook(self, draft: Any) -> Any:
        raise UsageError("no")

    def remove_webhook(self, webhook: str, *, author: str) -> Any:
        raise UsageError("no")

    def redeliver(self, delivery: str, *, author: str) -> Any:
        raise UsageError("no")

    def ping_webhook(self, webhook: str, *, author: str) -> Any:
        raise UsageError("no")

    def through(self, _via: Any) -> NoDecisions:
        return self


@asynccontextmanager
async def answering(
    url: str, door: Door, near: NearbyDoor | None = None, threads: int = 4
) -> AsyncIterator[tuple[Client, Responder]]:
    """A responder on a connection of its own; its client and itself."""
    client = Client()
    await client.connect(url)
    with ThreadPoolExecutor(threads, thread_name_prefix="answers") as pool:
        responder = Responder(client, door, pool, decisions=NoDecisions(), version="1.2.3", near=near)
        await responder.start()
        try:
            yield client, responder
        finally:
            if not client.is_closed:
                await responder.stop()
                await client.close()


@asynccontextmanager
async def asking(url: str) -> AsyncIterator[Client]:
    """Somebody who asks."""
    client = Client()
    await client.connect(url)
    try:
        yield client
    finally:
        await client.close()


async def _stats(client: Client) -> dict[str, dict[str, Any]]:
    reply = await client.request("$SRV.STATS.mdevreg", b"", timeout=5)
    return {each["name"]: each for each in json.loads(reply.data)["endpoints"]}


async def _hosts(client: Client, timeout_s: float = 10) -> Msg:
    return await client.request(subjects.query("hosts"), b"", timeout=timeout_s)


def test_statistics_count_requests_errors_and_the_time_until_they_are_answered(broker: Broker) -> None:
    """Although an endpoint answers in tasks: the handler of nats.micro would have returned at once, without error."""

    async def scene() -> dict[str, dict[str, Any]]:
        async with answering(broker.url, Slow(0.05)), asking(broker.url) as client:
            await asyncio.gather(*(_hosts(client) for _ in range(6)))
            await client.request(subjects.query("host"), b'{"host": "nobody"}', timeout=5)
            await client.request(subjects.query("host"), b'{"host": "alpha"}', timeout=5)
            await client.request(subjects.query("host"), b"nonsense", timeout=5)
            await client.request(subjects.decision("end-rule"), b'{"name": "r1", "author": "me"}', timeout=5)
            return await _stats(client)

    stats = asyncio.run(scene())
    hosts, host = stats["hosts"], stats["host"]
    assert (hosts["num_requests"], hosts["num_errors"], hosts["last_error"]) == (6, 0, "")
    assert 6 * 50e6 < hosts["processing_time"] < 6 * 2e9
    assert hosts["average_processing_time"] == hosts["processing_time"] // 6
    assert (host["num_requests"], host["num_errors"], host["last_error"]) == (3, 2, "BAD_REQUEST")
    assert (stats["end-rule"]["num_requests"], stats["end-rule"]["num_errors"]) == (1, 1)
    assert (stats["drivers"]["num_requests"], stats["drivers"]["average_processing_time"]) == (0, 0)
    assert {each["queue_group"] for each in stats.values()} == {"q"}


def test_info_tells_the_protocol_and_where_its_schemas_are(broker: Broker) -> None:
    """Enough for a client that knows nothing but the name of the service."""

    async def scene() -> tuple[dict[str, Any], Msg]:
        async with answering(broker.url, Slow()), asking(broker.url) as client:
            info = json.loads((await client.request("$SRV.INFO.mdevreg", b"", timeout=5)).data)
            reply = await client.request(info["metadata"]["schema"], b'{"name": "hosts.reply"}', timeout=5)
            return info, reply

    info, reply = asyncio.run(scene())
    assert info["version"] == "1.2.3"
    assert info["metadata"]["protocol"].startswith("1.")
    told = {each["name"]: each for each in info["endpoints"]}
    assert told["hosts"]["metadata"] == {"request_schema": "hosts.request", "reply_schema": "hosts.reply"}
    assert told["add-rule"]["subject"] == "mdevreg.v1.decide.add-rule"
    assert json.loads(reply.data)["schema"]["$id"] == "urn:mdevreg:v1:hosts.reply"


def test_several_responders_share_the_load(broker: Broker, folder: str) -> None:
    """Each question is answered once, by one of them; both have their part, and STATS adds up."""

    async def scene() -> tuple[list[Msg], list[int]]:
        door = SqlDoor(open_engine(folder, writer=False))
        async with answering(broker.url, door), answering(broker.url, door), asking(broker.url) as client:
            replies = await asyncio.gather(*(_hosts(client) for _ in range(200)))
            parts: list[int] = []
            inbox = client.new_inbox()
            told = await client.subscribe(inbox)
            await client.publish("$SRV.STATS.mdevreg", b"", reply=inbox)
            for _ in range(2):
                stats = json.loads((await told.next_msg(timeout=5)).data)
                parts += [each["num_requests"] for each in stats["endpoints"] if each["name"] == "hosts"]
            return replies, parts

    replies, parts = asyncio.run(scene())
    assert {len(json.loads(reply.data)["hosts"]) for reply in replies} == {len(FLEET)}
    assert sum(parts) == 200
    assert min(parts) > 20


def test_a_responder_that_is_killed_costs_only_what_it_was_answering(broker: Broker) -> None:
    """Its connection breaks in the midst of the load; what is asked once the broker has noticed, the other answers."""

    async def scene() -> tuple[float, list[tuple[float, bool]]]:
        door = Slow(0.01)
        async with (
            answering(broker.url, door) as (doomed, _),
            answering(broker.url, door),
            asking(broker.url) as client,
        ):
            load = asyncio.ensure_future(_load(client, 400))
            await asyncio.sleep(0.3)
            killed = time.monotonic()
            await _cut(doomed)
            return killed, await load

    killed, asked = asyncio.run(scene())
    lost = [begun for begun, answered in asked if not answered]
    assert len(asked) == 400
    assert len(lost) <= LANES
    assert [begun - killed for begun in lost if begun > killed + 0.25] == []
    assert sum(begun > killed + 0.25 for begun, _ in asked) > 50


async def _cut(client: Client) -> None:
    """As ``kill -9`` looks to the broker: the socket is gone, and nobody comes back."""
    client.options["allow_reconnect"] = False
    connection: Any = client._transport
    connection._io_writer.transport.abort()
    await asyncio.sleep(0)


#: So many questions are in flight.
LANES = 20


async def _load(client: Client, count: int) -> list[tuple[float, bool]]:
    """Questions one after the other in each lane: when each was asked, and whether it was answered."""
    waiting = list(range(count))
    done: list[tuple[float, bool]] = []

    async def lane() -> None:
        while waiting:
            waiting.pop()
            begun = time.monotonic()
            (reply,) = await asyncio.gather(_hosts(client, 2.0), return_exceptions=True)
            done.append((begun, not isinstance(reply, BaseException)))

    await asyncio.gather(*(lane() for _ in range(LANES)))
    return done


def test_a_responder_that_stops_answers_what_it_was_asked(broker: Broker) -> None:
    """Questions wait for its one thread and in its subscription; each gets its answer, and no more are taken."""

    async def scene() -> tuple[list[Any], list[str]]:
        async with answering(broker.url, Slow(0.005), threads=1) as (own, responder), asking(broker.url) as client:
            questions = [asyncio.ensure_future(_hosts(client, 30)) for _ in range(120)]
            while client.stats["out_msgs"] < len(questions):
                await asyncio.sleep(0.001)
            await client.flush()  # the broker has them all
            await responder.stop()
            await own.close()
            late = await asyncio.gather(_hosts(client, 1), return_exceptions=True)
            return await asyncio.gather(*questions, return_exceptions=True), [type(each).__name__ for each in late]

    replies, late = asyncio.run(scene())
    assert [reply for reply in replies if isinstance(reply, Exception)] == []
    assert late == ["NoRespondersError"]


def test_a_fault_of_ours_is_answered_counted_and_reported(broker: Broker) -> None:
    """Nobody waits for a time-out; the traceback goes where the event loop reports such things."""
    reported: list[dict[str, Any]] = []

    async def scene() -> tuple[Msg, dict[str, Any]]:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
        async with answering(broker.url, Slow(error=ZeroDivisionError("oops"))), asking(broker.url) as client:
            return await _hosts(client), (await _stats(client))["hosts"]

    reply, stats = asyncio.run(scene())
    headers = reply.headers or {}
    assert (headers["Nats-Service-Error-Code"], headers["Mdevreg-Code"]) == ("500", "INTERNAL")
    assert "ZeroDivisionError: oops" in headers["Nats-Service-Error"]
    assert (stats["num_errors"], stats["last_error"]) == (1, "INTERNAL")
    assert [type(context["exception"]) for context in reported] == [ZeroDivisionError]


def test_a_request_without_a_reply_subject_harms_nobody(broker: Broker) -> None:
    """It counts as an error."""

    async def scene() -> tuple[dict[str, Any], Msg]:
        async with answering(broker.url, Slow()), asking(broker.url) as client:
            await client.publish(subjects.query("hosts"), b"")
            reply = await _hosts(client)
            return (await _stats(client))["hosts"], reply

    stats, reply = asyncio.run(scene())
    assert (stats["num_requests"], stats["num_errors"]) == (2, 1)
    assert stats["last_error"] == "the request had no reply subject"
    assert reply.headers is None


PAIRS = [{"device": uuid_of(1), "to": "beta"}]


@pytest.mark.parametrize(
    ("endpoint", "request_body", "where"),
    [
        ("can-migrate", {"device": uuid_of(1), "host": "beta"}, "at once"),
        ("can-migrate-batch", {"pairs": PAIRS * 3}, "at once"),
        ("can-migrate-batch", {"pairs": PAIRS * (MAX_INLINE_PAIRS + 1)}, "thread"),
        ("targets-page", {"device": uuid_of(1)}, "thread"),
        ("targets", {"device": uuid_of(1)}, "thread"),
        ("hosts", {}, "far"),
        ("pair", {"device": uuid_of(1), "host": "beta"}, "far"),
        ("can-migrate", {"device": uuid_of(1), "host": "beta", "known_at": 99}, "far"),
        ("targets-page", {"device": uuid_of(1), "as_of": "2026-11-24T00:30:00Z"}, "far"),
    ],
)
def test_a_door_nearby_answers_verdicts_about_now(
    broker: Broker, endpoint: str, request_body: dict[str, Any], where: str
) -> None:
    """Short ones in the event loop, long ones in a thread; everything else is asked of the database."""

    async def scene(near: Near, far: Slow) -> Msg:
        async with answering(broker.url, far, near), asking(broker.url) as client:
            return await client.request(subjects.query(endpoint), json.dumps(request_body).encode(), timeout=10)

    near, far = Near(), Slow()
    assert asyncio.run(scene(near, far)).headers is None
    (asked, other) = (far, near) if where == "far" else (near, far)
    assert other.threads == []
    assert {name.startswith("answers") for name in asked.threads} == {where != "at once"}
    near.ready, before = False, len(far.threads)
    assert asyncio.run(scene(near, far)).headers is None
    assert len(far.threads) > before


@pytest.mark.parametrize("error", [UsageError("not that", code="NOT_THAT"), ZeroDivisionError("oops")])
def test_an_error_of_a_door_nearby_is_told_too(broker: Broker, error: Exception) -> None:
    """Although no thread is there to carry it."""

    async def scene() -> Msg:
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        async with answering(broker.url, Slow(), Near(error=error)), asking(broker.url) as client:
            return await client.request(subjects.query("can-migrate"), PAIR, timeout=5)

    code = (asyncio.run(scene()).headers or {})["Mdevreg-Code"]
    assert code == ("NOT_THAT" if isinstance(error, UsageError) else "INTERNAL")


def test_questions_about_the_past_do_not_keep_those_about_now_waiting(broker: Broker) -> None:
    """Both come to one endpoint; slow ones wait for a thread, and only they."""

    async def scene() -> int:
        async with answering(broker.url, Slow(0.2), Near(), threads=1), asking(broker.url) as client:
            past = json.dumps({"device": uuid_of(1), "host": "beta", "as_of": datetime.now(UTC).isoformat()}).encode()
            subject = subjects.query("can-migrate")
            slow = [asyncio.ensure_future(client.request(subject, past, timeout=20)) for _ in range(20)]
            await client.flush()
            await client.request(subject, PAIR, timeout=20)
            waiting = sum(not each.done() for each in slow)
            await asyncio.gather(*slow)
            return waiting

    assert asyncio.run(scene()) >= 10


def test_a_disk_that_is_full_is_waited_for_and_nothing_is_lost(
    sqlite_database_url: str, nats_server: Broker, start_cli: StartCli
) -> None:
    """The kernel itself refuses to let the file grow (RLIMIT_FSIZE); then there is room again."""
    with migrated(sqlite_database_url) as engine:
        registry = start_cli(["mdevreg-server", "serve", "--database", sqlite_database_url, "--nats", nats_server.url])
        registry.wait_for("registry.ready")
        _, most = resource.prlimit(registry.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(registry.pid, resource.RLIMIT_FSIZE, (4_096, most))
        publish(nats_server.url, Publisher().snapshot(look(mtty())))
        registry.wait_for("code=DISK_FULL")
        assert logged(engine) == []
        resource.prlimit(registry.pid, resource.RLIMIT_FSIZE, (most, most))
        eventually(lambda: len(logged(engine)) == 3, "the records are there")
        assert registry.terminate() == 0
