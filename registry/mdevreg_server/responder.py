"""Answers questions over NATS with the services API: `nats micro ls` finds it (NATS ADR-32).

Endpoints ``hosts``, ``host``, ``pair``, ``candidates``, ``history``, ``drivers``, ``loading`` and ``rules`` hand out
facts, as every door does; ``can-migrate`` and ``targets`` hand out the verdicts that ``judge`` makes of them. Decisions
come on subjects of their own, so that a broker's permissions can tell who may take them. Requests and replies are
JSON; an error has the headers ``Nats-Service-Error`` and ``Nats-Service-Error-Code``, and a body with its code.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta
from nats.aio.client import Client
from nats.micro import add_service
from nats.micro.request import Request
from nats.micro.service import EndpointConfig, Service, ServiceConfig

from mdevreg import subjects
from mdevreg.catalog import Entry
from mdevreg.compatibility import DEFAULT_STALE_AFTER_S, Rules
from mdevreg.errors import AuthError, DecodeError, MdevregError, NotFoundError, UnreachableError, UsageError
from mdevreg.facts import Moment
from mdevreg.knowledge import MAX_ENTRIES
from mdevreg.query import questions
from mdevreg.query.door import Door
from mdevreg.rules import Rule
from mdevreg.shapes import Line, Name, Path, Strict, Time
from mdevreg.verdict import Outcome
from mdevreg_server.rulebook import Decisions

#: Questions answered at the same time; the rest waits in the endpoint's subscription.
CONCURRENT = 8


class Ask(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A request. Which fields an endpoint needs: ``docs/protocol.md``."""

    format: Name | None = None
    device: Path | None = None  # HOST/PARENT/TYPE is longer than any one name
    host: Path | None = None
    name: Path | None = None
    limit: int | None = None
    outcome: Outcome | None = None
    as_of: Time | None = None
    known_at: int | None = None
    stale_after_s: float = DEFAULT_STALE_AFTER_S

    @property
    def moment(self) -> Moment:
        """The two times of the question."""
        return Moment(self.as_of, self.known_at)

    def need(self, field: str) -> str:
        """A field that the endpoint can't do without. Raises ``UsageError``."""
        value = getattr(self, field)
        if value is None:
            raise UsageError(f"the request has no {field!r}")
        return str(value)


T = TypeVar("T")
Endpoint = Callable[[Door, Ask], Any]

ENDPOINTS: dict[str, Endpoint] = {
    "hosts": lambda door, ask: door.hosts(ask.moment),
    "host": lambda door, ask: door.host(ask.need("host"), ask.moment),
    "pair": lambda door, ask: door.pair(ask.need("device"), ask.need("host"), ask.moment),
    "candidates": lambda door, ask: door.candidates(ask.need("device"), ask.moment),
    "history": lambda door, ask: door.history(ask.need("name"), ask.moment, 100 if ask.limit is None else ask.limit),
    "drivers": lambda door, ask: door.drivers(ask.moment),
    "loading": lambda door, ask: door.loading(ask.need("format"), ask.moment),
    "rules": lambda door, ask: door.rules(ask.moment),
    "can-migrate": lambda door, ask: questions.can_migrate(
        door,
        ask.need("device"),
        ask.need("host"),
        now=datetime.now(UTC),
        moment=ask.moment,
        rules=Rules(stale_after_s=ask.stale_after_s),
    ),
    "targets": lambda door, ask: questions.targets(
        door,
        ask.need("device"),
        now=datetime.now(UTC),
        moment=ask.moment,
        rules=Rules(stale_after_s=ask.stale_after_s),
        limit=ask.limit,
        outcome=ask.outcome,
    ),
}


class Decide(Strict, frozen=True):
    """A decision. Which fields an endpoint needs: ``docs/protocol.md``."""

    rule: Rule | None = None
    entries: Annotated[tuple[Entry, ...], Meta(max_length=MAX_ENTRIES)] | None = None
    names: Annotated[tuple[Name, ...], Meta(max_length=MAX_ENTRIES)] | None = None
    name: Path | None = None
    at: Time | None = None
    author: Line | None = None


Decision = Callable[[Decisions, Decide], Any]

DECISIONS: dict[str, Decision] = {
    "add-rule": lambda decisions, asked: decisions.add_rule(_need(asked.rule, "rule")),
    "end-rule": lambda decisions, asked: decisions.end_rule(
        _need(asked.name, "name"), at=asked.at, author=_need(asked.author, "author")
    ),
    "import-catalog": lambda decisions, asked: decisions.import_entries(
        _need(asked.entries, "entries"), author=_need(asked.author, "author")
    ),
    "remove-catalog": lambda decisions, asked: decisions.remove_entries(
        _need(asked.names, "names"), author=_need(asked.author, "author")
    ),
}

_ask = msgspec.json.Decoder(Ask)
_decide = msgspec.json.Decoder(Decide)


def _need(value: T | None, field: str) -> T:
    if value is None:
        raise UsageError(f"the request has no {field!r}")
    return value


class Responder:
    """The service. One instance per process; several share the load by their queue group."""

    def __init__(self, client: Client, door: Door, pool: Executor, *, decisions: Decisions, version: str) -> None:
        self._client, self._door, self._pool, self._version = client, door, pool, version
        self._decisions = decisions
        self._free = asyncio.Semaphore(CONCURRENT)
        self._running: set[asyncio.Task[None]] = set()
        self._service: Service | None = None

    async def start(self) -> None:
        """Register the service and its endpoints."""
        about = "compatibility of mediated devices: can this migration stream be loaded there, and why (not)?"
        config = ServiceConfig(name=subjects.SERVICE, version=self._version, description=about)
        self._service = await add_service(self._client, config)
        for name, endpoint in ENDPOINTS.items():
            await self._add(name, subjects.query(name), partial(self._reply, endpoint))
        for name, decision in DECISIONS.items():
            await self._add(name, subjects.decision(name), partial(self._decided, decision))

    async def _add(self, name: str, subject: str, reply: Callable[[bytes], bytes]) -> None:
        assert self._service is not None
        config = EndpointConfig(name=name, subject=subject, handler=self._handler(reply))
        await self._service.add_endpoint(config)

    async def stop(self) -> None:
        """Finish what was asked, then leave."""
        if self._running:
            await asyncio.wait(self._running, timeout=5)
        if self._service is not None and not self._client.is_closed:
            await self._service.stop()

    def _handler(self, reply: Callable[[bytes], bytes]) -> Callable[[Request], Awaitable[None]]:
        async def handle(request: Request) -> None:
            # nats.micro serves one request at a time per endpoint; a task per request lets them overlap.
            await self._free.acquire()
            task = asyncio.ensure_future(self._answer(reply, request))
            self._running.add(task)
            task.add_done_callback(self._done)

        return handle

    def _done(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._free.release()

    async def _answer(self, reply: Callable[[bytes], bytes], request: Request) -> None:
        try:
            data = await asyncio.get_running_loop().run_in_executor(self._pool, reply, request.data)
        except MdevregError as error:
            await request.respond_error(str(_http(error)), _line(error.message), _error_body(error))
            return
        if len(data) > self._client.max_payload:
            way_out = "raise its max_payload, or ask a database door"
            text = f"the answer has {len(data)} bytes, the broker allows {self._client.max_payload}; {way_out}"
            await request.respond_error("413", _line(text), _error_body(UsageError(text, code="ANSWER_TOO_LARGE")))
            return
        await request.respond(data)

    def _reply(self, endpoint: Endpoint, data: bytes) -> bytes:
        return msgspec.json.encode(endpoint(self._door, _read(_ask, data or b"{}")))

    def _decided(self, decision: Decision, data: bytes) -> bytes:
        return msgspec.json.encode(decision(self._decisions, _read(_decide, data or b"{}")))


def _read(decoder: msgspec.json.Decoder[T], data: bytes) -> T:
    try:
        return decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise DecodeError(f"the request can't be read: {error}", code="BAD_REQUEST") from error


def _line(text: str) -> str:
    """One header line."""
    return " ".join(text.split())[:500]


def _error_body(error: MdevregError) -> bytes:
    nearest = list(error.nearest) if isinstance(error, NotFoundError) else []
    kind, name = (error.kind, error.name) if isinstance(error, NotFoundError) else ("", "")
    body = {"code": error.code, "message": error.message, "nearest": nearest, "kind": kind, "name": name}
    return msgspec.json.encode(body)


def _http(error: MdevregError) -> int:
    """The HTTP number of an error: the services API reuses them."""
    for kind, number in ((NotFoundError, 404), (UsageError, 400), (DecodeError, 400), (AuthError, 403)):
        if isinstance(error, kind):
            return number
    return 503 if isinstance(error, UnreachableError) else 500
