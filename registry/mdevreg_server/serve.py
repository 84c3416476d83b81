"""The registry as one process: ingest, beats and answers over one connection, until it is told to stop."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import AsyncExitStack, suppress
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from mdevreg.shipped import shipped_entries
from mdevreg_server import revision
from mdevreg_server.bus import AS_IT_IS, Wanted, connect, leave
from mdevreg_server.catalog_watch import CatalogWatch
from mdevreg_server.claim import claim_of
from mdevreg_server.ending import cancelled, until_one_ends
from mdevreg_server.engine import open_engine
from mdevreg_server.fleet_care import FleetCare
from mdevreg_server.http.behind import Behind
from mdevreg_server.http.config import HttpConfig, listen
from mdevreg_server.http.facing import facing
from mdevreg_server.http.health import stream_of
from mdevreg_server.ingest import Line
from mdevreg_server.ledger import Amended, Applied, Ledger
from mdevreg_server.lines import event_of
from mdevreg_server.membership import check_shareable
from mdevreg_server.nearby import Nearby
from mdevreg_server.positions import Shared, Sole
from mdevreg_server.publication import Publication
from mdevreg_server.pulse import Pulse
from mdevreg_server.responder import Responder
from mdevreg_server.room import keep_room
from mdevreg_server.rulebook import LedgerDecisions
from mdevreg_server.sharing import Sharing
from mdevreg_server.sql_door import SqlDoor
from mdevreg_server.station import Floor
from mdevreg_server.tally import Tally

if TYPE_CHECKING:  # only the bus speaks NATS
    from nats.aio.client import Client

T = TypeVar("T")

#: How long the reply to a decision waits for the broker to have it.
ANNOUNCED_WITHIN_S = 2.0


class ServeConfig(msgspec.Struct, frozen=True):
    """What a registry needs to know. ``database``: SQLAlchemy URL; ``nats``: broker URL; ``creds``: NATS file."""

    database: str
    nats: str
    creds: str | None = None
    catalog: str | None = None  # the operators' folder of catalog files
    partitions: int = 1  # more than one: the ingest is shared with other processes (PostgreSQL)
    max_bytes: int | None = None  # bound of the records stream
    http: HttpConfig | None = None  # the HTTP face, if there is to be one
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
        listening = None if config.http is None else stack.enter_context(listen(config.http))
        engine = open_engine(config.database, writer=True)
        stack.callback(engine.dispose)
        revision.check(engine)
        sharing = config.partitions > 1
        if sharing:
            check_shareable(engine)
        claim = None if sharing else claim_of(engine)
        if claim is not None:
            stack.callback(claim.release)
        writer = stack.enter_context(ThreadPoolExecutor(1, thread_name_prefix="ledger"))
        pool = stack.enter_context(ThreadPoolExecutor(config.answer_threads, thread_name_prefix="answers"))
        reader = open_engine(config.database, writer=False)
        door = stack.enter_context(SqlDoor(reader))
        right = Shared(None) if sharing else Sole(claim)
        ledger = await asyncio.get_running_loop().run_in_executor(writer, partial(Ledger, engine, right=right))
        connecting = connect(config.nats, creds=config.creds, timeout_s=config.connect_timeout_s, say=say)
        client = await _unless(stop, connecting)
        if client is None:
            return
        stack.push_async_callback(leave, client)
        folder = None if config.catalog is None else Path(config.catalog)
        committed: list[Callable[[Amended], None]] = []
        told = _telling(say, amended, committed)
        catalog = CatalogWatch(ledger, writer, folder, now_us=now_us, say=say, told=told)

        async def once() -> None:
            """What is done once for all processes."""
            await catalog.ship(shipped_entries(), version("mdevreg"))
            await catalog.look()
            await until_one_ends(catalog.run(), keep_room(client, ledger, writer, say))

        registry: _Registry | Sharing
        if sharing:
            clerk = stack.enter_context(ThreadPoolExecutor(1, thread_name_prefix="membership"))
            floor = Floor(client, engine, writer, config.partitions, config.max_bytes, now_us, say)
            registry = Sharing(floor, clerk, lead=once, applied=applied)
        else:
            await catalog.ship(shipped_entries(), version("mdevreg"))
            await catalog.look()
            wanted = Wanted(max_bytes=config.max_bytes)
            registry = _Registry(client, ledger, writer, catalog, applied=applied, say=say, wanted=wanted)
            committed.append(registry.line.herald.committed)
        tally = Tally()
        near = Nearby(door, now_us)
        committed.append(near.decided)
        decisions = LedgerDecisions(ledger, writer, now_us, told, announced=registry.announced)
        responder = Responder(
            client, door, pool, decisions=decisions, version=version("mdevreg"), tally=tally, near=near
        )
        await registry.pulse.listen(client)
        await FleetCare(client, reader, pool, registry.publish, shared=sharing).listen()
        stack.push_async_callback(responder.stop)
        await responder.start()
        standing = asyncio.Event()
        following = asyncio.ensure_future(near.run(client, standing, say))
        stack.push_async_callback(cancelled, [following])
        behind = Behind(
            door=door,
            near=near,
            replica_age_s=near.age,
            pool=pool,
            engine=reader,
            decisions=decisions,
            tally=tally,
            stream=partial(stream_of, client),
            attached=standing.is_set,
            now_us=now_us,
        )
        await stack.enter_async_context(facing(config.http, listening, behind, say, stop))
        await registry.run(partial(_stands, standing, ready), stop)


def _stands(standing: asyncio.Event, ready: Callable[[], None]) -> None:
    standing.set()
    ready()


def _telling(
    say: Callable[[str], None], amended: Callable[[Amended], None], committed: Sequence[Callable[[Amended], None]]
) -> Callable[[Amended], None]:
    """Tells of an amendment in the event loop, whichever thread wrote it; those in ``committed`` in that thread."""
    loop = asyncio.get_running_loop()

    def tell(what: Amended) -> None:
        say(event_of(what))
        amended(what)

    def told(what: Amended) -> None:
        for listener in committed:
            listener(what)
        loop.call_soon_threadsafe(tell, what)

    return told


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
        wanted: Wanted = AS_IT_IS,
    ) -> None:
        self._applied, self._catalog = applied, catalog
        self._room = partial(keep_room, client, ledger, writer, say)
        self.line = Line(
            client,
            ledger,
            writer,
            now_us=now_us,
            applied=self._on_applied,
            published=self._on_published,
            say=say,
            wanted=wanted,
        )
        self._loop, herald = asyncio.get_running_loop(), self.line.herald
        self.publish = herald.publish
        self.pulse = Pulse(
            ledger.engine,
            writer,
            now_us=now_us,
            publish=self.publish,
            say=say,
            written=herald.roll.heard,
            catch_up=herald.catch_up,
        )

    async def run(self, ready: Callable[[], None], stop: asyncio.Event) -> None:
        """Until ``stop`` is set, or a part of it ends with an error."""
        lines = (self.line.run(), self.line.herald.run())
        parts = [
            asyncio.ensure_future(part)
            for part in (*lines, self.pulse.run(), self._catalog.run(), self._room(), stop.wait())
        ]
        attached = asyncio.ensure_future(self._announce(ready))
        await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
        await cancelled((*parts, attached))  # before the connection closes
        ended = await asyncio.gather(*parts, attached, return_exceptions=True)
        await self.pulse.flush()
        await self.line.settle()
        for error in ended:
            if isinstance(error, Exception):
                raise error

    def announced(self) -> None:
        """Wait until what was decided is published, but not for long; called by whichever thread decided."""
        told = asyncio.run_coroutine_threadsafe(self.line.herald.told(ANNOUNCED_WITHIN_S), self._loop)
        with suppress(TimeoutError, CancelledError):
            told.result(ANNOUNCED_WITHIN_S + 1)

    async def _announce(self, ready: Callable[[], None]) -> None:
        await self.line.attached.wait()
        ready()

    def _on_applied(self, applied: Applied) -> None:
        self.pulse.reported({decoded.record.host for decoded in applied.records})
        self._applied(applied)

    def _on_published(self, lot: Sequence[Publication]) -> None:
        self.pulse.told(lot)
