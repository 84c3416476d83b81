"""Hosts whose facts are in doubt by what was heard of them: silent, gone with a goodbye, in conflict.

Who was told to be in doubt is kept (``host_doubt``), so that it is told once, and that it is over, whoever goes on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import msgspec
import sqlalchemy as sa

from mdevreg.deriving import Called
from mdevreg.events import Happening, HostConflict, HostFresh, HostStale, Place
from mdevreg.times import moment_of
from mdevreg_server.among import among
from mdevreg_server.tables import HostDoubt, HostPresence, table_of
from mdevreg_server.upsert import upsert

Doubt = Literal["silent", "left", "conflict"]


class Doubted(msgspec.Struct, frozen=True):
    """One host in doubt. ``seen_us``: when it was last heard; of a conflict, since when it is one. µs UTC."""

    doubt: Doubt
    seen_us: int
    detail: str = ""


class Presence(msgspec.Struct, frozen=True):
    """Who is in doubt now, and when some others were last heard, µs UTC."""

    doubted: dict[str, Doubted]
    seen_us: dict[str, int]


def presence(connection: sa.Connection, silent_since_us: int, told: Mapping[str, Doubted]) -> Presence:
    """What the database tells. ``silent_since_us``: who was not heard since is silent. ``told``: of these too."""
    column = HostPresence
    doubtful = sa.or_(column.last_seen_us < silent_since_us, column.leaving == 1, column.conflict.is_not(None))
    found = {row["host"]: _doubted(row) for row in _rows(connection, doubtful)}
    seen: dict[str, int] = {}
    others = sorted(told.keys() - found.keys())
    for first in range(0, len(others), 500):
        some = among(connection, column.host, others[first : first + 500])
        seen |= {row["host"]: row["last_seen_us"] for row in _rows(connection, some)}
    return Presence(found, seen)


def turned(
    told: Mapping[str, Doubted], now: Presence, called: Mapping[str, Called], position: int, now_us: int
) -> Iterator[tuple[str, Doubted | None, Place, Happening]]:
    """Hosts whose doubt began, is another one, or is over, by id. ``called``: how those are called.

    Each with what is to be kept as told of it from now on: ``None``: nothing.
    """
    for host in sorted(told.keys() | now.doubted.keys()):
        before, after = told.get(host), now.doubted.get(host)
        if _word(before) == _word(after):
            continue
        mark = after or before
        assert mark is not None
        place = Place(f"p{mark.seen_us}", "over" if after is None else "", position, moment_of(now_us))
        yield host, after, place, _happening(called[host], before, after, now.seen_us.get(host, mark.seen_us))


def told_before(connection: sa.Connection) -> dict[str, Doubted]:
    """Who was told to be in doubt."""
    rows = connection.execute(sa.select(table_of(HostDoubt))).mappings()
    return {row["host"]: Doubted(row["doubt"], row["seen_us"]) for row in rows}


def keep_told(connection: sa.Connection, changes: Mapping[str, Doubted | None]) -> None:
    """Keep what was told."""
    over = sorted(host for host, each in changes.items() if each is None)
    begun = [{"host": host, "doubt": each.doubt, "seen_us": each.seen_us} for host, each in changes.items() if each]
    for first in range(0, len(over), 500):
        some = among(connection, HostDoubt.host, over[first : first + 500])
        connection.execute(sa.delete(HostDoubt).where(some))
    if begun:
        upsert(connection, HostDoubt, begun)


def _word(doubted: Doubted | None) -> str:
    """Silence and a goodbye are both told as stale, once."""
    return "" if doubted is None else "conflict" if doubted.doubt == "conflict" else "stale"


def _happening(called: Called, before: Doubted | None, after: Doubted | None, seen_us: int) -> Happening:
    where: dict[str, Any] = {
        "host": called.host,
        "hostname": called.hostname,
        "site": called.site,
        "last_seen": moment_of(seen_us),
    }
    if after is None:
        data: msgspec.Struct = HostFresh(**where, before="conflict" if _word(before) == "conflict" else "stale")
        return Happening("host.fresh", called.host, data)
    if after.doubt == "conflict":
        return Happening("host.conflict", called.host, HostConflict(**where, detail=after.detail))
    return Happening("host.stale", called.host, HostStale(**where, why=after.doubt))


def _rows(connection: sa.Connection, which: sa.ColumnElement[bool]) -> Any:
    names = ("host", "last_seen_us", "leaving", "conflict", "conflict_since_us")
    columns = table_of(HostPresence).c
    return connection.execute(sa.select(*(columns[name] for name in names)).where(which)).mappings()


def _doubted(row: Any) -> Doubted:
    if row["conflict"] is not None:
        return Doubted("conflict", row["conflict_since_us"] or row["last_seen_us"], row["conflict"])
    return Doubted("left" if row["leaving"] else "silent", row["last_seen_us"])
