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
from functools import partial

import msgspec
from nats.aio.client import Client
from nats.micro import add_service
from nats.micro.request import Request
from nats.micro.service import EndpointConfig, Service, ServiceConfig

from mdevreg import subjects
from mdevreg.errors import MdevregError, NotFoundError, UsageError
from mdevreg.query.door import Door
from mdevreg_server.answers import (
    DECISIONS,
    ENDPOINTS,
    Decision,
    Endpoint,
    ask_decoder,
    decide_decoder,
    http_status,
    read_request,
)
from mdevreg_server.rulebook import Decisions

#: Questions answered at the same time; the rest waits in the endpoint's subscription.
CONCURRENT = 8


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
            await request.respond_error(str(http_status(error)), _line(error.message), _error_body(error))
            return
        if len(data) > self._client.max_payload:
            way_out = "raise its max_payload, or ask a database door"
            text = f"the answer has {len(data)} bytes, the broker allows {self._client.max_payload}; {way_out}"
            await request.respond_error("413", _line(text), _error_body(UsageError(text, code="ANSWER_TOO_LARGE")))
            return
        await request.respond(data)

    def _reply(self, endpoint: Endpoint, data: bytes) -> bytes:
        return msgspec.json.encode(endpoint(self._door, read_request(ask_decoder, data)))

    def _decided(self, decision: Decision, data: bytes) -> bytes:
        return msgspec.json.encode(decision(self._decisions, read_request(decide_decoder, data)))


def _line(text: str) -> str:
    """One header line."""
    return " ".join(text.split())[:500]


def _error_body(error: MdevregError) -> bytes:
    nearest = list(error.nearest) if isinstance(error, NotFoundError) else []
    kind, name = (error.kind, error.name) if isinstance(error, NotFoundError) else ("", "")
    body = {"code": error.code, "message": error.message, "nearest": nearest, "kind": kind, "name": name}
    return msgspec.json.encode(body)
