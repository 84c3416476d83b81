"""The registry as one process: ingest, beats and answers over one connection, until it is told to stop."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import sqlalchemy as sa

from mdevreg import subjects
from mdevreg.clocks import DEFAULT_MAX_SKEW_S
from mdevreg.shipped import shipped_entries
from mdevreg_server import revision
from mdevreg_server.audit.keeper import AuditConfig, Keeper
from mdevreg_server.bus import Wanted, connect, leave, published_to
from mdevreg_server.catalog_watch import CatalogWatch
from mdevreg_server.claim import claim_of
from mdevreg_server.deciding import LedgerDecisions
from mdevreg_server.ending import cancelled, until_one_ends
from mdevreg_server.engine import open_engine
from mdevreg_server.fleet_care import FleetCare
from mdevreg_server.http.behind import Behind
from mdevreg_server.http.config import HttpConfig, listen
from mdevreg_server.http.facing import facing
from mdevreg_server.http.health import stream_of
from mdevreg_server.ledger import Amended, Applied, Ledger
from mdevreg_server.lines import event_of
from mdevreg_server.membership import check_shareable
from mdevreg_server.nearby import Nearby
from mdevreg_server.newsroom import Newsroom, opened
from mdevreg_server.positions import Right, Shared, Sole
from mdevreg_server.responder import Responder
from mdevreg_server.retiring import Retiring
from mdevreg_server.room import keep_room
from mdevreg_server.sharing import Sharing
from mdevreg_server.single import Single
from mdevreg_server.sql_door import SqlDoor
from mdevreg_server.station import Floor
from mdevreg_server.tally import Tally

if TYPE_CHECKING:  # only the bus speaks NATS
    from nats.aio.client import Client

T = TypeVar("T")


class ServeConfig(msgspec.Struct, frozen=True):
    """What a registry needs to know. ``database``: SQLAlchemy URL; ``nats``: broker URL; ``creds``: NATS file."""

    database: str
    nats: str
    creds: str | None = None
    catalog: str | None = None  # the operators' folder of catalog files
    partitions: int = 1  # more than one: the ingest is shared with other processes (PostgreSQL)
    max_bytes: int | None = None  # bound of the records stream
    http: HttpConfig | None = None  # the HTTP face, if there is to be one
    max_clock_skew_s: float = DEFAULT_MAX_SKEW_S  # a host whose clock is further off is told of
    index: bool = True  # keep the fleet in memory, to answer questions about now from there
    connect_timeout_s: float = 10.0
    answer_threads: int = 4
    audit: AuditConfig = AuditConfig()


class _House(msgspec.Struct, frozen=True):
    """What a registry's parts share: the database by its two engines, and threads."""

    engine: sa.Engine
    reader: sa.Engine
    door: SqlDoor
    writer: ThreadPoolExecutor
    pool: ThreadPoolExecutor
    ledger: Ledger


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
        house = await _opened(config, stack)
        connecting = connect(config.nats, creds=config.creds, timeout_s=config.connect_timeout_s, say=say)
        client = await _unless(stop, connecting)
        if client is None:
            return
        stack.push_async_callback(leave, client)
        newsroom = stack.enter_context(opened(client, config.database, house.engine, house.writer, now_us, say))
        committed: list[Callable[[Amended], None]] = [newsroom.wake]
        told = _telling(say, amended, committed)
        grown = newsroom.waking(applied)
        registry = await _registry(config, house, client, stack, newsroom, applied=grown, say=say, told=told)
        if isinstance(registry, Single):
            committed.append(registry.committed)
        decisions = LedgerDecisions(
            house.ledger, house.writer, now_us, told, facts=house.door, announced=registry.announced, say=say
        )
        await registry.pulse.listen(client)
        shared = config.partitions > 1
        await FleetCare(client, house.reader, house.pool, registry.publish, shared=shared, say=say).listen()
        standing = asyncio.Event()
        near = _nearby(config, house, client, stack, standing, say)
        if near is not None:
            committed.append(near.decided)
        behind = Behind(
            door=house.door,
            near=near,
            replica_age_s=_unknown if near is None else near.age,
            pool=house.pool,
            engine=house.reader,
            decisions=decisions,
            tally=Tally(),
            stream=partial(stream_of, client),
            attached=standing.is_set,
            now_us=now_us,
            events=newsroom.tally,
        )
        await _answering(client, behind, stack)
        await stack.enter_async_context(facing(config.http, listening, behind, say, stop))
        await registry.run(partial(_stands, standing, ready), stop)


async def _opened(config: ServeConfig, stack: AsyncExitStack) -> _House:
    """The database, and the threads that use it."""
    engine = open_engine(config.database, writer=True)
    stack.callback(engine.dispose)
    revision.check(engine)
    if config.partitions > 1:
        check_shareable(engine)
        right: Right = Shared(None)
    else:
        claim = claim_of(engine)
        stack.callback(claim.release)
        right = Sole(claim)
    writer = stack.enter_context(ThreadPoolExecutor(1, thread_name_prefix="ledger"))
    pool = stack.enter_context(ThreadPoolExecutor(config.answer_threads, thread_name_prefix="answers"))
    reader = open_engine(config.database, writer=False)
    door = stack.enter_context(SqlDoor(reader))
    ledger = await asyncio.get_running_loop().run_in_executor(writer, partial(Ledger, engine, right=right))
    return _House(engine, reader, door, writer, pool, ledger)


async def _registry(
    config: ServeConfig,
    house: _House,
    client: Client,
    stack: AsyncExitStack,
    newsroom: Newsroom,
    *,
    applied: Callable[[Applied], None],
    say: Callable[[str], None],
    told: Callable[[Amended], None],
) -> Single | Sharing:
    """What ingests: alone on its database, or one of several."""
    folder = None if config.catalog is None else Path(config.catalog)
    ledger, writer, max_skew_us = house.ledger, house.writer, int(config.max_clock_skew_s * 1e6)
    catalog = CatalogWatch(ledger, writer, folder, now_us=now_us, say=say, told=told)
    announce = published_to(client, subjects.CHECKPOINTS, say)
    keeper = Keeper(house.engine, writer, config.audit, publish=announce, now_us=now_us, say=say)
    retiring = Retiring(ledger, writer, house.reader, house.pool, now_us=now_us, say=say)

    async def begin() -> None:
        await catalog.ship(shipped_entries(), version("mdevreg"))
        await catalog.look()

    async def once() -> None:
        """What is done once for all processes."""
        await begin()
        await until_one_ends(
            catalog.run(),
            keep_room(client, ledger, writer, say),
            keeper.run(),
            retiring.run(),
            newsroom.run(),
        )

    if config.partitions > 1:
        clerk = stack.enter_context(ThreadPoolExecutor(1, thread_name_prefix="membership"))
        floor = Floor(client, house.engine, writer, config.partitions, config.max_bytes, now_us, say, max_skew_us)
        return Sharing(floor, clerk, lead=once, applied=applied)
    await begin()
    wanted = Wanted(max_bytes=config.max_bytes)
    return Single(
        client,
        ledger,
        writer,
        (catalog, keeper, retiring, newsroom),
        applied=applied,
        say=say,
        now_us=now_us,
        wanted=wanted,
        max_skew_us=max_skew_us,
    )


def _nearby(
    config: ServeConfig,
    house: _House,
    client: Client,
    stack: AsyncExitStack,
    standing: asyncio.Event,
    say: Callable[[str], None],
) -> Nearby | None:
    """The fleet in memory, following once the registry stands, if there is to be one."""
    if not config.index:
        return None
    near = Nearby(house.door, now_us)
    stack.push_async_callback(cancelled, [asyncio.ensure_future(near.run(client, standing, say))])
    return near


async def _answering(client: Client, behind: Behind, stack: AsyncExitStack) -> None:
    """Questions over NATS, from now on."""
    responder = Responder(
        client,
        behind.door,
        behind.pool,
        decisions=behind.decisions,
        version=version("mdevreg"),
        tally=behind.tally,
        near=behind.near,
    )
    stack.push_async_callback(responder.stop)
    await responder.start()


def _unknown() -> float | None:
    return None


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
