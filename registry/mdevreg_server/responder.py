"""Answers questions over NATS with the services API: `nats micro ls` finds it (NATS ADR-32).

Endpoints ``hosts``, ``host``, ``pair``, ``candidates``, ``history`` and ``drivers`` hand out facts, as every door
does; ``can-migrate`` and ``targets`` hand out the verdicts that ``judge`` makes of them. Requests and replies are
JSON; an error has the headers ``Nats-Service-Error`` and ``Nats-Service-Error-Code``, and a body with its code.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from datetime import UTC, datetime
from typing import Any

import msgspec
from nats.aio.client import Client
from nats.micro import add_service
from nats.micro.request import Request
from nats.micro.service import EndpointConfig, Service, ServiceConfig

from mdevreg import subjects
from mdevreg.compatibility import DEFAULT_STALE_AFTER_S, Rules
from mdevreg.errors import AuthError, DecodeError, MdevregError, NotFoundError, UnreachableError, UsageError
from mdevreg.facts import Moment
from mdevreg.query import questions
from mdevreg.query.door import Door
from mdevreg.records import Path, Time
from mdevreg.verdict import Outcome

#: Questions answered at the same time; the rest waits in the endpoint's subscription.
CONCURRENT = 8


class Ask(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A request. Which fields an endpoint needs: ``docs/protocol.md``."""

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


Endpoint = Callable[[Door, Ask], Any]

ENDPOINTS: dict[str, Endpoint] = {
    "hosts": lambda door, ask: door.hosts(ask.moment),
    "host": lambda door, ask: door.host(ask.need("host"), ask.moment),
    "pair": lambda door, ask: door.pair(ask.need("device"), ask.need("host"), ask.moment),
    "candidates": lambda door, ask: door.candidates(ask.need("device"), ask.moment),
    "history": lambda door, ask: door.history(ask.need("name"), ask.moment, 100 if ask.limit is None else ask.limit),
    "drivers": lambda door, ask: door.drivers(ask.moment),
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

_ask = msgspec.json.Decoder(Ask)


class Responder:
    """The service. One instance per process; several share the load by their queue group."""

    def __init__(self, client: Client, door: Door, pool: Executor, *, version: str) -> None:
        self._client, self._door, self._pool, self._version = client, door, pool, version
        self._free = asyncio.Semaphore(CONCURRENT)
        self._running: set[asyncio.Task[None]] = set()
        self._service: Service | None = None

    async def start(self) -> None:
        """Register the service and its endpoints."""
        about = "compatibility of mediated devices: can this migration stream be loaded there, and why (not)?"
        config = ServiceConfig(name=subjects.SERVICE, version=self._version, description=about)
        self._service = await add_service(self._client, config)
        for name, endpoint in ENDPOINTS.items():
            handler = self._handler(endpoint)
            await self._service.add_endpoint(EndpointConfig(name=name, subject=subjects.query(name), handler=handler))

    async def stop(self) -> None:
        """Finish what was asked, then leave."""
        if self._running:
            await asyncio.wait(self._running, timeout=5)
        if self._service is not None and not self._client.is_closed:
            await self._service.stop()

    def _handler(self, endpoint: Endpoint) -> Callable[[Request], Awaitable[None]]:
        async def handle(request: Request) -> None:
            # nats.micro serves one request at a time per endpoint; a task per request lets them overlap.
            await self._free.acquire()
            task = asyncio.ensure_future(self._answer(endpoint, request))
            self._running.add(task)
            task.add_done_callback(self._done)

        return handle

    def _done(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._free.release()

    async def _answer(self, endpoint: Endpoint, request: Request) -> None:
        try:
            data = await asyncio.get_running_loop().run_in_executor(self._pool, self._reply, endpoint, request.data)
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
        try:
            ask = _ask.decode(data) if data else Ask()
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise DecodeError(f"the request can't be read: {error}", code="BAD_REQUEST") from error
        return msgspec.json.encode(endpoint(self._door, ask))


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
