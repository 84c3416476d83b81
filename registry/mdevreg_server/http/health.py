"""How the registry is: whether database and broker answer, how far ingest is behind, what needs a person."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

import msgspec
import sqlalchemy as sa

from mdevreg.compatibility import DEFAULT_STALE_AFTER_S
from mdevreg.errors import MdevregError, UnreachableError
from mdevreg.query.pulling import life_of
from mdevreg.subjects import RECORDS_STREAM
from mdevreg_server import positions, quarantine
from mdevreg_server.bus import BROKEN
from mdevreg_server.engine import converted
from mdevreg_server.partitions import WHOLE
from mdevreg_server.tables import HostPresence, HostState, RecordLog

if TYPE_CHECKING:  # only the bus speaks NATS
    from nats.aio.client import Client

T = TypeVar("T")

#: A part that takes longer does not answer.
ANSWERS_WITHIN_S = 2.0


class Stream(msgspec.Struct, frozen=True):
    """MDEVREG_RECORDS as the broker has it: one life of it, and the sequence of its newest message."""

    life: str
    newest: int


class Vitals(msgspec.Struct, frozen=True):
    """What the database tells. Times in µs UTC. ``stale``: hosts silent for ``DEFAULT_STALE_AFTER_S``, no goodbye.

    ``skewed``: hosts heard since then whose clocks are beyond the bound; ``most_skew_us``: the largest, either way.
    """

    position: int
    applied_at_us: int | None
    hosts: int
    stale: int
    conflicts: int
    quarantined: int
    skewed: int = 0
    most_skew_us: int = 0
    consumed: int | None = None  # of the stream's life that the broker has


#: Asks the broker; raises ``UnreachableError``.
AskStream = Callable[[], Awaitable[Stream]]


async def stream_of(client: Client) -> Stream:
    """Ask the broker for the records' stream. Raises ``UnreachableError``."""
    if not client.is_connected:
        raise UnreachableError("the broker is away")
    try:
        info = await asyncio.wait_for(client.jetstream().stream_info(RECORDS_STREAM), ANSWERS_WITHIN_S)
    except BROKEN as error:
        raise UnreachableError(f"the broker does not answer: {type(error).__name__}") from error
    return Stream(life_of(info), info.state.last_seq)


def vitals_of(engine: sa.Engine, now_us: int, life: str | None) -> Vitals:
    """Ask the database; ``life``: of the records' stream, if the broker told. Raises what a database raises."""
    silent = HostPresence.last_seen_us < now_us - int(DEFAULT_STALE_AFTER_S * 1e6)
    stale = sa.or_(HostPresence.host.is_(None), sa.and_(silent, HostPresence.leaving == 0))
    heard = sa.join(HostState, HostPresence, HostPresence.host == HostState.host, isouter=True)
    newest = sa.select(RecordLog.position, RecordLog.committed_at_us).order_by(RecordLog.position.desc()).limit(1)
    with converted(engine), engine.connect() as connection:
        last = connection.execute(newest).one_or_none()
        disputed = sa.select(sa.func.count()).where(HostPresence.conflict.is_not(None))
        skewed, most_skew_us = connection.execute(_clocks().where(~silent)).one()
        return Vitals(
            position=last.position if last else 0,
            applied_at_us=last.committed_at_us if last else None,
            hosts=connection.scalar(sa.select(sa.func.count()).select_from(HostState)) or 0,
            stale=connection.scalar(sa.select(sa.func.count()).select_from(heard).where(stale)) or 0,
            conflicts=connection.scalar(disputed) or 0,
            quarantined=quarantine.count(connection),
            skewed=skewed,
            most_skew_us=most_skew_us or 0,
            consumed=None if life is None else positions.consumed(connection, life, WHOLE),
        )


def _clocks() -> sa.Select[int, int | None]:
    """How many hosts' clocks are beyond the bound, and the largest skew."""
    return sa.select(sa.func.count(HostPresence.skew_beyond_us), sa.func.max(sa.func.abs(HostPresence.skew_us)))


class Health:
    """Looks when it is asked. ``apart`` runs what blocks in a thread; ``attached``: whether ingest is at work."""

    def __init__(
        self,
        engine: sa.Engine,
        stream: AskStream,
        *,
        attached: Callable[[], bool],
        now_us: Callable[[], int],
    ) -> None:
        self._engine, self._stream, self._attached, self.now_us = engine, stream, attached, now_us

    async def vitals(self) -> tuple[Vitals | None, Stream | None]:
        """What database and broker tell, each if it answers."""
        stream = await _answer(self._stream())
        life = None if isinstance(stream, str) else stream.life
        looking = asyncio.to_thread(vitals_of, self._engine, self.now_us(), life)
        vitals = await _answer(asyncio.wait_for(looking, ANSWERS_WITHIN_S))
        return None if isinstance(vitals, str) else vitals, None if isinstance(stream, str) else stream

    async def unready(self) -> tuple[str, ...]:
        """Why questions or records would have to wait, one sentence each; nothing: it is ready."""
        database = asyncio.wait_for(asyncio.to_thread(self._newest), ANSWERS_WITHIN_S)
        found = {"database": await _answer(database), "broker": await _answer(self._stream())}
        reasons = [f"{part}: {told}" for part, told in found.items() if isinstance(told, str)]
        if not reasons and not self._attached():
            reasons.append("ingest: not attached to the records' stream yet")
        return tuple(reasons)

    def _newest(self) -> int:
        with converted(self._engine), self._engine.connect() as connection:
            return connection.scalar(sa.select(sa.func.max(RecordLog.position))) or 0


async def _answer(asked: Awaitable[T]) -> T | str:
    """What was answered, or why nothing was."""
    try:
        return await asked
    except TimeoutError:
        return f"no answer within {ANSWERS_WITHIN_S:g} s"
    except MdevregError as error:
        return f"{error.code}"
