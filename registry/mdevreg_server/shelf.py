"""What the registry reads of its database to publish it, beside hosts' states. One short transaction each."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any

import sqlalchemy as sa

from mdevreg.published import bucket_of
from mdevreg_server.amendments import MINE
from mdevreg_server.engine import converted
from mdevreg_server.roll import Seen
from mdevreg_server.tables import HostPresence, HostState, Profile, Quarantine, RecordLog

_PRESENCE = sa.select(
    HostPresence.host,
    HostPresence.last_seen_us,
    HostPresence.leaving,
    HostPresence.conflict,
    HostPresence.skew_beyond_us,
)
#: Host ids in one statement.
_SOME = 500


def profile_bodies(engine: sa.Engine, digests: Collection[str] | None = None) -> dict[str, bytes]:
    """Canonical JSON of profiles, by digest; ``None``: of all."""
    wanted = sa.select(Profile.digest, Profile.body).order_by(Profile.digest)
    if digests is not None:
        wanted = wanted.where(Profile.digest.in_(sorted(digests)))
    return {row.digest: row.body.encode() for row in _rows(engine, wanted)}


def amendments(engine: sa.Engine, after: int, also: Collection[int] = ()) -> list[tuple[int, bytes]]:
    """Amendments after a log position, and those at some others, as they are logged, in log order."""
    due = sa.or_(RecordLog.position > after, RecordLog.position.in_(sorted(also)))
    wanted = sa.select(RecordLog.position, RecordLog.body).where(*MINE, due).order_by(RecordLog.position)
    return [(row.position, row.body) for row in _rows(engine, wanted)]


def states(engine: sa.Engine, holds: Callable[[str], bool]) -> list[tuple[str, str, int]]:
    """Id, digest and position of every host."""
    wanted = sa.select(HostState.host, HostState.digest, HostState.position)
    return [(row.host, row.digest, row.position) for row in _rows(engine, wanted) if holds(row.host)]


def tokens(engine: sa.Engine, holds: Callable[[str], bool]) -> tuple[int, list[tuple[str, str, int]]]:
    """The log's position, and what ``states`` tells of some hosts, at one moment."""
    newest = sa.select(sa.func.max(RecordLog.position)).scalar_subquery()
    wanted = sa.select(HostState.host, HostState.digest, HostState.position, newest.label("newest"))
    rows = _rows(engine, wanted)
    found = [(row.host, row.digest, row.position) for row in rows if holds(row.host)]
    return max((row.newest or 0 for row in rows), default=0), found


def hosts_in(engine: sa.Engine, buckets: Collection[int]) -> list[str]:
    """The hosts of some buckets."""
    return [row.host for row in _rows(engine, sa.select(HostState.host)) if bucket_of(row.host) in buckets]


def refused_hosts(engine: sa.Engine) -> set[str]:
    """Hosts of which something is or was in quarantine.

    It moves what is settled of them, but not their position: a mark does not tell whether that was published.
    """
    wanted = sa.select(Quarantine.host).where(Quarantine.host.is_not(None)).distinct()
    return {row.host for row in _rows(engine, wanted)}


def everybody(engine: sa.Engine) -> list[Seen]:
    """Everybody's presence."""
    return [_seen(row) for row in _rows(engine, _PRESENCE)]


def disputed(engine: sa.Engine, also: Iterable[str] = ()) -> list[Seen]:
    """The presence of those in conflict, and of some others."""
    found = {row.host: _seen(row) for row in _rows(engine, _PRESENCE.where(HostPresence.conflict.is_not(None)))}
    listed = sorted(also)
    for first in range(0, len(listed), _SOME):
        some = _PRESENCE.where(HostPresence.host.in_(listed[first : first + _SOME]))
        found |= {row.host: _seen(row) for row in _rows(engine, some)}
    return list(found.values())


def _rows(engine: sa.Engine, statement: Any) -> list[Any]:
    with converted(engine), engine.connect() as connection:
        return list(connection.execute(statement))


def _seen(row: Any) -> Seen:
    return Seen(row.host, row.last_seen_us, bool(row.leaving), row.conflict is not None, row.skew_beyond_us)
