"""The registry as one process: ingest, beats and answers over one connection, until it is told to stop."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from mdevreg.shipped import shipped_entries
from mdevreg_server import revision
from mdevreg_server.bus import connect, leave
from mdevreg_server.catalog_watch import CatalogWatch
from mdevreg_server.claim import claim_of
from mdevreg_server.engine import open_engine
from mdevreg_server.ingest import Line
from mdevreg_server.ledger import Amended, Applied, Ledger
from mdevreg_server.lines import event_of
from mdevreg_server.publication import Publication
from mdevreg_server.pulse import Pulse
from mdevreg_server.responder import Responder
from mdevreg_server.rulebook import LedgerDecisions
from mdevreg_server.sql_door import SqlDoor

if TYPE_CHECKING:  # only the bus speaks NATS
    from nats.aio.client import Client

T = TypeVar("T")

#: A part that is still there after this time is cancelled again; ending one takes far less.
CANCEL_AGAIN_S = 3.0


class ServeConfig(msgspec.Struct, frozen=True):
    """What a registry needs to know. ``database``: SQLAlchemy URL; ``nats``: broker URL; ``creds``: NATS file."""

    database: str
    nats: str
    creds: str | None = None
    catalog: str | None = None  # the operators' folder of catalog files
    connect_timeout_s: float = 10.0
    answer_threads: int = 4


async def serve(
    config: ServeConfig,
    *,
    say: Callable[[str], None],
    applied: Callable[[Applied], None],
    ready: Callable[[], None],
    stop: asyncio.Event,
    amended: Callable[[Amended], None] = lambda _: None,
) -> None:
    """Run until ``stop`` is set.

    ``applied`` is told every committed batch, ``amended`` every change of what is believed, ``ready`` once that it
    all stands. Raises ``WrongRevisionError``, ``UnreachableError``, ``AuthError``, ``StateError``.
    """
    async with AsyncExitStack() as stack:
        engine = open_engine(config.database, writer=True)
        stack.callback(engine.dispose)
        revision.check(engine)
        claim = claim_of(engine)
        stack.callback(claim.release)
        writer = stack.enter_context(ThreadPoolExecutor(1, thread_name_prefix="ledger"))
        pool = stack.enter_context(ThreadPoolExecutor(config.answer_threads, thread_name_prefix="answers"))
        door = stack.enter_context(SqlDoor(open_engine(config.database, writer=False)))
        ledger = await asyncio.get_running_loop().run_in_executor(writer, partial(Ledger, engine, claim=claim))
        connecting = connect(config.nats, creds=config.creds, timeout_s=config.connect_timeout_s, say=say)
        client = await _unless(stop, connecting)
        if client is None:
            return
        stack.push_async_callback(leave, client)
        folder = None if config.catalog is None else Path(config.catalog)
        told = _telling(say, amended)
        catalog = CatalogWatch(ledger, writer, folder, now_us=now_us, say=say, told=told)
        await catalog.ship(shipped_entries(), version("mdevreg"))
        await catalog.look()
        registry = _Registry(client, ledger, writer, catalog, applied=applied, say=say)
        decisions = LedgerDecisions(ledger, writer, now_us, told)
        responder = Responder(client, door, pool, decisions=decisions, version=version("mdevreg"))
        await registry.pulse.listen(client)
        await responder.start()
        await registry.run(ready, stop)
        await responder.stop()


def _telling(say: Callable[[str], None], amended: Callable[[Amended], None]) -> Callable[[Amended], None]:
    """Tells of an amendment in the event loop, whichever thread wrote it."""
    loop = asyncio.get_running_loop()

    def tell(what: Amended) -> None:
        say(event_of(what))
        amended(what)

    def told(what: Amended) -> None:
        loop.call_soon_threadsafe(tell, what)

    return told


async def _cancelled(tasks: Iterable[asyncio.Future[Any]]) -> None:
    """Cancel until all have ended: below Python 3.12, ``wait_for`` in a library may swallow a cancellation."""
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=CANCEL_AGAIN_S)


async def _unless(stop: asyncio.Event, work: Coroutine[Any, Any, T]) -> T | None:
    """The result of ``work``, or ``None`` if ``stop`` is set before it is done."""
    working, stopped = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    await asyncio.wait((working, stopped), return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if working.done():
        return await working
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    return None


def now_us() -> int:
    """The registry's clock, µs UTC."""
    return time.time_ns() // 1_000


def stop_on_signals(stop: asyncio.Event) -> None:
    """SIGINT and SIGTERM end the service cleanly."""
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)


class _Registry:
    """Ingest and pulse, which tell each other what was applied and published."""

    def __init__(
        self,
        client: Client,
        ledger: Ledger,
        writer: ThreadPoolExecutor,
        catalog: CatalogWatch,
        *,
        applied: Callable[[Applied], None],
        say: Callable[[str], None],
    ) -> None:
        self._applied, self._catalog = applied, catalog
        self.line = Line(
            client, ledger, writer, now_us=now_us, applied=self._on_applied, published=self._on_published, say=say
        )
        self.pulse = Pulse(ledger.engine, writer, now_us=now_us, publish=self.line.publish, say=say)

    async def run(self, ready: Callable[[], None], stop: asyncio.Event) -> None:
        """Until ``stop`` is set, or a part of it ends with an error."""
        work = (self.line.run(), self.pulse.run(), self._catalog.run(), stop.wait())
        parts = [asyncio.ensure_future(part) for part in work]
        attached = asyncio.ensure_future(self._announce(ready))
        await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
        await _cancelled((*parts, attached))  # before the connection closes
        ended = await asyncio.gather(*parts, attached, return_exceptions=True)
        await self.pulse.flush()
        for error in ended:
            if isinstance(error, Exception):
                raise error

    async def _announce(self, ready: Callable[[], None]) -> None:
        await self.line.attached.wait()
        ready()

    def _on_applied(self, applied: Applied) -> None:
        self.pulse.reported({decoded.record.host for decoded in applied.records})
        self._applied(applied)

    def _on_published(self, lot: Sequence[Publication]) -> None:
        self.pulse.told(lot)
