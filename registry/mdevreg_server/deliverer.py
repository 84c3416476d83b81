"""Delivers events to webhooks: signed, in order for each subscription, tried again for a day.

Rules of this file:

1. At least once: an attempt's end is written after it; what a crash leaves unwritten is delivered again, with its id.
2. Each subscription in log order: while its oldest event can't be delivered, the next one waits behind it; what is
   refused for a day is given up, and the next goes on.
3. A slow receiver costs one of ``CONCURRENT`` connections for a few seconds, and nobody else anything.

With several registries on a database only the leading one does this.
"""

from __future__ import annotations

import asyncio
import random
import time
import traceback
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial
from typing import Any, TypeVar

import httpx
import msgspec
import sqlalchemy as sa

from mdevreg.errors import MdevregError
from mdevreg.webhooks import GIVE_UP_S, delay_s, signature
from mdevreg_server import subscriptions
from mdevreg_server.ending import cancelled, in_thread
from mdevreg_server.engine import converted
from mdevreg_server.event_tally import EventTally
from mdevreg_server.tables import Webhook, WebhookDelivery, table_of

T = TypeVar("T")

#: Subscriptions that are delivered to at a time.
CONCURRENT = 16
#: A receiver has so long to answer.
ATTEMPT_S = 15.0
LOOK_EVERY_S = 0.5
#: After a fault.
AGAIN_AFTER_S = 5.0
TIDY_EVERY_S = 60.0
#: Deliveries of one subscription that are read at a time; their ends are written at least so often.
LOT, WRITE_EVERY_S = 50, 1.0
#: So much of what a receiver says to its refusal is kept.
SAID_CHARS = 200

_DELIVERIES, _WEBHOOKS = table_of(WebhookDelivery), table_of(Webhook)


class _Due(msgspec.Struct, frozen=True):
    id: int
    event: str
    attempts: int
    first_at_us: int | None
    body: bytes


class _Subscribed(msgspec.Struct, frozen=True):
    """Whom to deliver to, and how what is sent is signed."""

    id: str
    url: str
    secret: str

    def __repr__(self) -> str:
        return f"_Subscribed({self.id!r}, {self.url!r})"


class _End(msgspec.Struct, frozen=True):
    """How one attempt ended. ``asked_s``: after which time the receiver wants the next."""

    status: int | None = None
    error: str | None = None
    asked_s: float = 0.0

    @property
    def delivered(self) -> bool:
        return self.error is None


class Deliverer:
    """One registry's. ``reader``: reads, in ``pool``, one thread; ``engine``: writes, in ``writer``."""

    def __init__(
        self,
        engine: sa.Engine,
        writer: Executor,
        reader: sa.Engine,
        pool: Executor,
        tally: EventTally,
        *,
        version: str,
        now_us: Callable[[], int],
        say: Callable[[str], None],
    ) -> None:
        self._engine, self._writer, self._reader, self._pool = engine, writer, reader, pool
        self._tally, self._now_us, self._say = tally, now_us, say
        self._agent = f"mdevreg/{version}"
        self._working: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Until cancelled. A fault here stops nothing else: it is said, and begun again."""
        fault = ""
        while True:
            try:
                async with httpx.AsyncClient(follow_redirects=False, timeout=ATTEMPT_S) as client:
                    await self._go_on(client)
            except MdevregError as error:
                why = f"code={error.code} error={error.message!r}"
            except Exception:  # noqa: BLE001  (whatever it is, a registry must not end by it)
                why = f"error={traceback.format_exc(limit=-3)!r}"
            if why != fault:
                self._say(f"webhooks.waiting {why}")
            fault = why
            await asyncio.sleep(AGAIN_AFTER_S)

    async def _go_on(self, client: httpx.AsyncClient) -> None:
        tidied = 0.0
        try:
            while True:
                await self._look(client)
                if time.monotonic() - tidied >= TIDY_EVERY_S:
                    tidied = time.monotonic()
                    await self._write(lambda connection: subscriptions.tidy(connection, self._now_us()))
                await asyncio.sleep(LOOK_EVERY_S)
        finally:
            if self._working:
                await cancelled(self._working.values())
            self._working = {}

    async def _look(self, client: httpx.AsyncClient) -> None:
        """Begin to deliver to those whose oldest event is due."""
        for task in [task for task in self._working.values() if task.done()]:
            task.result()
        self._working = {name: task for name, task in self._working.items() if not task.done()}
        room = CONCURRENT - len(self._working)
        if room <= 0:
            return
        due = await self._read(partial(_subscribed, now_us=self._now_us()))
        for each in [each for each in due if each.id not in self._working][:room]:
            self._working[each.id] = asyncio.ensure_future(self._deliver(client, each))

    async def _deliver(self, client: httpx.AsyncClient, to: _Subscribed) -> None:
        """Deliver what waits, in order, up to the first that can't be."""
        ended: list[tuple[_Due, _End]] = []
        try:
            going = True
            while going:
                lot = await self._read(partial(_waiting, to.id))
                going, written_s = len(lot) == LOT, time.monotonic()
                for due in lot:
                    end = await self._attempt(client, to, due)
                    ended.append((due, end))
                    self._tally.deliveries["delivered" if end.delivered else "failed"] += 1
                    if not end.delivered:
                        going = False
                        break
                    if time.monotonic() - written_s >= WRITE_EVERY_S:
                        await self._written(to, ended)
                        written_s = time.monotonic()
                await self._written(to, ended)
        except MdevregError as error:  # the database: what was delivered is delivered again
            self._say(f"webhooks.waiting webhook={to.id} code={error.code} error={error.message!r}")

    async def _attempt(self, client: httpx.AsyncClient, to: _Subscribed, due: _Due) -> _End:
        """POST it once. Never raises but when cancelled."""
        now_s = self._now_us() // 1_000_000
        headers = {
            "content-type": "application/cloudevents+json",
            "user-agent": self._agent,
            "webhook-id": due.event,
            "webhook-timestamp": str(now_s),
            "webhook-signature": signature(to.secret, due.event, now_s, due.body),
        }
        try:
            async with (
                asyncio.timeout(ATTEMPT_S),
                client.stream("POST", to.url, content=due.body, headers=headers) as answer,
            ):
                if answer.is_success:
                    return _End(answer.status_code)
                said = await _beginning(answer)
                return _End(answer.status_code, f"answered {answer.status_code} {said}".strip(), _asked_s(answer))
        except TimeoutError:
            return _End(error=f"no answer within {ATTEMPT_S:g} s")
        except Exception as error:  # noqa: BLE001  (whatever a receiver does, it is its attempt that failed)
            return _End(error=f"{type(error).__name__}: {error}"[:SAID_CHARS])

    async def _written(self, to: _Subscribed, ended: list[tuple[_Due, _End]]) -> None:
        if not ended:
            return
        rows = [self._row(due, end) for due, end in ended]
        await self._write(lambda connection: _write_ends(connection, rows))
        ended.clear()
        for row in rows:
            if row["state"] == "failed":
                self._say(f"webhook.failed webhook={to.id} delivery={row['at_id']} error={row['error']!r}")

    def _row(self, due: _Due, end: _End) -> dict[str, Any]:
        now_us = self._now_us()
        first_us = due.first_at_us or now_us
        row: dict[str, Any] = {
            "at_id": due.id,
            "attempts": due.attempts + 1,
            "first_at_us": first_us,
            "next_at_us": now_us,
        }
        row |= {"status": end.status, "error": end.error, "ended_at_us": now_us, "state": "delivered"}
        if end.delivered:
            return row
        if now_us - first_us >= GIVE_UP_S * 1e6:
            return {**row, "state": "failed"}
        wait_s = delay_s(due.attempts + 1, random.random(), end.asked_s)  # noqa: S311  (jitter)
        return {**row, "state": "waiting", "ended_at_us": None, "next_at_us": now_us + int(wait_s * 1e6)}

    async def _read(self, work: Callable[[sa.Connection], T]) -> T:
        def read() -> T:
            with converted(self._reader), self._reader.connect() as connection:
                return work(connection)

        return await in_thread(self._pool, read)

    async def _write(self, work: Callable[[sa.Connection], T]) -> T:
        def write() -> T:
            with converted(self._engine), self._engine.begin() as connection:
                return work(connection)

        return await in_thread(self._writer, write)


def _subscribed(connection: sa.Connection, *, now_us: int) -> list[_Subscribed]:
    """The subscriptions whose oldest waiting event is due, the longest due first."""
    mine = sa.and_(_DELIVERIES.c.webhook == _WEBHOOKS.c.id, _DELIVERIES.c.state == "waiting")
    oldest = sa.select(sa.func.min(_DELIVERIES.c.id)).where(mine).correlate(_WEBHOOKS).scalar_subquery()
    first = sa.select(_WEBHOOKS.c.id, _WEBHOOKS.c.url, _WEBHOOKS.c.secret, oldest.label("oldest")).subquery()
    wanted = sa.select(first.c.id, first.c.url, first.c.secret).join(_DELIVERIES, _DELIVERIES.c.id == first.c.oldest)
    due = wanted.where(_DELIVERIES.c.next_at_us <= now_us).order_by(_DELIVERIES.c.next_at_us)
    return [_Subscribed(*row) for row in connection.execute(due)]


def _waiting(webhook: str, connection: sa.Connection) -> list[_Due]:
    columns = [_DELIVERIES.c[name] for name in _Due.__struct_fields__]
    mine = (_DELIVERIES.c.webhook == webhook, _DELIVERIES.c.state == "waiting")
    return [
        _Due(*row) for row in connection.execute(sa.select(*columns).where(*mine).order_by(_DELIVERIES.c.id).limit(LOT))
    ]


def _write_ends(connection: sa.Connection, rows: list[dict[str, Any]]) -> None:
    names = ("attempts", "first_at_us", "next_at_us", "status", "error", "ended_at_us", "state")
    values: dict[str, Any] = {name: sa.bindparam(name) for name in names}
    connection.execute(sa.update(_DELIVERIES).where(_DELIVERIES.c.id == sa.bindparam("at_id")).values(values), rows)


async def _beginning(answer: httpx.Response) -> str:
    """The first words of what a receiver says; it may go on for ever."""
    async for part in answer.aiter_raw():
        return " ".join(part[: SAID_CHARS * 4].decode(errors="replace").split())[:SAID_CHARS]
    return ""


def _asked_s(answer: httpx.Response) -> float:
    """What ``Retry-After`` asks for, in seconds; a date counts for nothing."""
    text = answer.headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdecimal() and len(text) < len("1000000") else 0.0
