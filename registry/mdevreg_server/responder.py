"""Answers questions over NATS with the services API: `nats micro ls` finds it (NATS ADR-32).

What may be asked is in ``mdevreg.query.requests``. Decisions come on subjects of their own, so that a broker's
permissions can tell who may take them. Requests and replies are JSON; an error has the headers ``Nats-Service-Error``,
``Nats-Service-Error-Code`` and ``Mdevreg-Code``, and a body with its code.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial
from typing import Any

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error
from nats.micro.request import ERROR_CODE_HEADER, ERROR_HEADER
from nats.micro.service import ServiceConfig

from mdevreg import subjects
from mdevreg.errors import MdevregError, NotFoundError, UsageError
from mdevreg.query.door import Door
from mdevreg.query.endpoints import check
from mdevreg.query.requests import PROTOCOL
from mdevreg_server.answers import (
    DECISIONS,
    ENDPOINTS,
    NearbyDoor,
    body_of,
    decide,
    door_for,
    http_status,
    read_ask,
    read_decide,
)
from mdevreg_server.deciding import Decisions
from mdevreg_server.service import Endpoint, EndpointService
from mdevreg_server.tally import Tally

#: Questions that are being answered or wait for a thread; the rest waits in its endpoint's subscription.
CONCURRENT = 256
#: How long stopping waits for questions that were asked before.
STOP_S = 5.0

#: What a question costs: what to do for its answer, and whether it is done at once (``answers.door_for``).
Plan = Callable[[bytes], tuple[Callable[[], Any], bool]]


class Responder:
    """The service. One instance per process; several share the load by their queue group.

    ``near``: a door in this process that answers questions about now, while it is ready; ``door`` answers the rest,
    in a thread of ``pool``. ``tally``: counts the verdicts.
    """

    def __init__(
        self,
        client: Client,
        door: Door,
        pool: Executor,
        *,
        decisions: Decisions,
        version: str,
        near: NearbyDoor | None = None,
        tally: Tally | None = None,
    ) -> None:
        self._client, self._door, self._pool, self._near = client, door, pool, near
        self._tally = tally or Tally()
        self._decisions = decisions.through("nats")
        self._free = asyncio.Semaphore(CONCURRENT)
        self._running: set[asyncio.Task[None]] = set()
        about = "compatibility of mediated devices: can this migration stream be loaded there, and why (not)?"
        told = {"protocol": PROTOCOL, "schema": subjects.query("schema")}
        config = ServiceConfig(name=subjects.SERVICE, version=version, description=about, metadata=told)
        self._service = EndpointService(client, config)

    async def start(self) -> None:
        """Register the service and its endpoints; they stand at the broker when it returns."""
        await self._service.start()
        for name in ENDPOINTS:
            await self._serve(name, subjects.query(name), partial(self._question, name))
        for name in DECISIONS:
            await self._serve(name, subjects.decision(name), partial(self._decision, name))
        await self._client.flush()

    async def stop(self) -> None:
        """Take no more questions, answer what was asked, leave."""
        if self._client.is_closed:
            return
        await self._service.drain(STOP_S)
        if self._running:
            await asyncio.wait(self._running, timeout=STOP_S)
        await self._service.stop()

    async def _serve(self, name: str, subject: str, plan: Plan) -> None:
        schemas = {"request_schema": f"{name}.request", "reply_schema": f"{name}.reply"}
        await self._service.serve(Endpoint(name, subject, schemas), partial(self._handle, plan))

    def _question(self, name: str, data: bytes) -> tuple[Callable[[], Any], bool]:
        ask = read_ask(data)
        check(name, ask)
        door, at_once = door_for(name, ask, self._door, self._near)
        return partial(self._tally.counted, "nats", partial(ENDPOINTS[name], door, ask)), at_once

    def _decision(self, name: str, data: bytes) -> tuple[Callable[[], Any], bool]:
        return partial(decide, name, self._decisions, read_decide(data)), False

    async def _handle(self, plan: Plan, endpoint: Endpoint, message: Msg) -> None:
        begun = time.perf_counter_ns()
        try:
            work, at_once = plan(message.data)
        except MdevregError as error:
            await self._reply(endpoint, message, begun, error)
            return
        outcome = _done(work) if at_once else None
        if outcome is not None and not (isinstance(outcome, NotFoundError) and outcome.look):
            await self._reply(endpoint, message, begun, outcome)
            return
        if isinstance(outcome, NotFoundError):
            work = partial(_raised, outcome)  # the nearest names take their time to be found
        await self._free.acquire()
        task = asyncio.ensure_future(self._in_pool(endpoint, message, begun, work))
        self._running.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._free.release()

    async def _in_pool(self, endpoint: Endpoint, message: Msg, begun: int, work: Callable[[], Any]) -> None:
        outcome = await asyncio.get_running_loop().run_in_executor(self._pool, _done_apart, work)
        await self._reply(endpoint, message, begun, outcome)

    async def _reply(self, endpoint: Endpoint, message: Msg, begun: int, outcome: bytes | Exception) -> None:
        """Send an answer or an error, and count it."""
        if isinstance(outcome, bytes) and len(outcome) > self._client.max_payload:
            outcome = _too_large(len(outcome), self._client.max_payload)
        if isinstance(outcome, bytes):
            failed = await self._send(message, outcome, None)
        else:
            error = _expected(outcome)
            failed = error.code
            await self._send(message, msgspec.json.encode(body_of(error)), _headers(error))
        endpoint.count(time.perf_counter_ns() - begun, failed)

    async def _send(self, message: Msg, data: bytes, headers: dict[str, str] | None) -> str | None:
        """Why the reply did not leave, if it did not: whoever asks gets no answer, and asks again."""
        if not message.reply:
            return "the request had no reply subject"
        try:
            await self._client.publish(message.reply, data, headers=headers)
        except Error as error:  # the broker is away, and the buffer for its return full
            return repr(error)
        return None


def _done(work: Callable[[], Any]) -> bytes | Exception:
    """The answer, or what went wrong. Never raises."""
    try:
        return msgspec.json.encode(work())
    except Exception as error:  # noqa: BLE001  (whoever asked must hear of it; _expected reports what is a fault of ours)
        return error


def _done_apart(work: Callable[[], Any]) -> bytes | Exception:
    """The same where there is time to look for the nearest names."""
    outcome = _done(work)
    return outcome.completed() if isinstance(outcome, NotFoundError) else outcome


def _raised(error: Exception) -> Any:
    raise error


def _expected(error: Exception) -> MdevregError:
    """An error that can be told; one that nobody foresaw goes to the event loop's handler too."""
    if isinstance(error, MdevregError):
        return error
    context = {"message": "a question could not be answered", "exception": error}
    asyncio.get_running_loop().call_exception_handler(context)
    return MdevregError(f"{type(error).__name__}: {error}; this is a fault of mdevreg's registry", code="INTERNAL")


def _too_large(size: int, most: int) -> UsageError:
    way_out = "ask for less (targets-page), raise its max_payload, or ask a database door"
    return UsageError(f"the answer has {size} bytes, the broker allows {most}; {way_out}", code="ANSWER_TOO_LARGE")


def _headers(error: MdevregError) -> dict[str, str]:
    return {
        ERROR_HEADER: _line(error.message),
        ERROR_CODE_HEADER: str(http_status(error)),
        subjects.CODE_HEADER: error.code,
    }


def _line(text: str) -> str:
    """One header line."""
    return " ".join(text.split())[:500]
