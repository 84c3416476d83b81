"""The log as events are derived from it: facts of the fleet at a position, and what each entry after it did.

Effects of records are read from the timelines (``mdevreg.timeline``): a row that begins or ceases to hold until further
notice, at a position, is what the record at that position did. So a record that came late, which changes only the past,
did nothing, and what was pruned of documents is not missed.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa

from mdevreg.deriving import Entry, HostFacts
from mdevreg.events import CampaignTold
from mdevreg.facts import NOW, Moment
from mdevreg.objects import Key, Value
from mdevreg.timeline import OPEN
from mdevreg_server import asking
from mdevreg_server.amendments import MINE, NOBODY, decoded
from mdevreg_server.among import among
from mdevreg_server.intervals import Shape, shapes
from mdevreg_server.looking import within
from mdevreg_server.reach import LEVELS, OPEN_REACH, SKEW_US, Window
from mdevreg_server.tables import INTERVALS, RecordLog

#: ``record_log.kind`` of entries about campaigns.
CAMPAIGN = "campaign"
#: What is kept of a value, from its beginning: the rest (documents' positions, free instances) makes no event.
_KEPT = {"host": 2, "parent": 1}


_BOUNDS = ("valid_to_us", "ended_at", "system_from", "system_to")


class _Change(msgspec.Struct):
    campaign: CampaignTold


class _Intent(msgspec.Struct):
    change: _Change


_campaign = msgspec.json.Decoder(_Intent)


class Chronicle:
    """Reads; strings and tuples that are alike are the same objects. Used by one thread at a time."""

    def __init__(self) -> None:
        self._layout = shapes()
        self._shared: dict[Any, Any] = {}

    def facts_at(self, connection: sa.Connection, position: int, now: datetime) -> dict[str, HostFacts]:
        """Every host's facts, as known at a log position; of that time."""
        if not position:
            return {}
        newest = connection.scalar(sa.select(sa.func.max(RecordLog.position)))
        moment = NOW if position == newest else Moment(known_at=position)
        at = asking.at(connection, moment, now)
        found: dict[str, dict[Key, Value]] = {}
        for kind, shape in self._layout.items():
            rows = at.rows(INTERVALS[kind])
            columns = [getattr(rows, name) for name in (*shape.key, *shape.values)]
            for row in connection.execute(sa.select(*columns)):
                host, key, value = self._object(kind, shape, tuple(row))
                found.setdefault(host, {})[key] = value
        return dict(found)

    def entries_after(self, connection: sa.Connection, position: int, limit: int) -> list[Entry]:
        """The next entries, in log order, each with what it did."""
        columns = (RecordLog.host, RecordLog.kind, RecordLog.epoch, RecordLog.sha256, RecordLog.committed_at_us)
        wanted = sa.select(RecordLog.position, *columns).where(RecordLog.position > position)
        rows = connection.execute(wanted.order_by(RecordLog.position).limit(limit)).all()
        if not rows:
            return []
        effects = self._effects(connection, rows)
        believed = _amendments(connection, [row.position for row in rows if (row.host, row.epoch) == (NOBODY, NOBODY)])
        campaigns = _campaigns(connection, [row.position for row in rows if (row.host, row.kind) == (NOBODY, CAMPAIGN)])
        return [
            Entry(
                position=row.position,
                at_us=row.committed_at_us,
                digest=row.sha256,
                host=row.host,
                effects=tuple(effects[row.position].items()),
                amendment=believed.get(row.position),
                campaign=campaigns.get(row.position),
            )
            for row in rows
        ]

    def _effects(self, connection: sa.Connection, rows: Any) -> dict[int, dict[Key, Value | None]]:
        """What each of some log rows did, by position."""
        first, last = rows[0].position, rows[-1].position
        hosts = sorted({row.host for row in rows} - {NOBODY})
        near = list(_windows(rows[0].committed_at_us, rows[-1].committed_at_us))
        gone: dict[int, dict[Key, Value | None]] = defaultdict(dict)
        come: dict[int, dict[Key, Value | None]] = defaultdict(dict)
        for kind, shape in self._layout.items() if hosts else ():
            for *flat, valid_to, ended_at, begins, ends in connection.execute(
                _touched(connection, shape, hosts, (first, last), near)
            ):
                for position in {begins, ended_at, ends}:
                    if not first <= position <= last:
                        continue
                    before, after = (
                        begins <= each < ends and (valid_to == OPEN or each < ended_at)
                        for each in (position - 1, position)
                    )
                    if before is not after:
                        _, key, value = self._object(kind, shape, tuple(flat))
                        (come if after else gone)[position][key] = value if after else None
        effects: dict[int, dict[Key, Value | None]] = defaultdict(dict)
        for position in gone.keys() | come.keys():
            effects[position] = {**gone[position], **come[position]}
        return effects

    def _object(self, kind: str, shape: Shape, flat: tuple[Any, ...]) -> tuple[str, Key, Value]:
        keys = len(shape.key)
        key = (kind, *(sys.intern(part) for part in flat[1:keys]))
        value = flat[keys:][: _KEPT.get(kind)]
        if kind != "device":
            key = self._shared.setdefault(key, key)
        return sys.intern(flat[0]), key, self._shared.setdefault(value, value)


def _windows(first_us: int, last_us: int) -> Iterator[Window]:
    """Where rows are that held, until further notice, just before or at some entries committed in this time."""
    until_us = last_us + SKEW_US
    yield Window(OPEN_REACH, -1, until_us)
    for level in LEVELS:
        yield Window(level, first_us - (1 << level) - 1, until_us)


def _touched(
    connection: sa.Connection, shape: Shape, hosts: list[str], ends: tuple[int, int], near: Iterable[Window]
) -> sa.Select[Any]:
    """Rows that begin, or cease, to hold until further notice at some positions: key, values, and four bounds."""
    columns = shape.table.c
    changed = sa.or_(*(columns[name].between(*ends) for name in ("system_from", "system_to", "ended_at")))
    found = within(
        shape.table,
        near,
        among(connection, columns.host, hosts),
        changed,
        name=f"{shape.table.name}_touched",
        laterally=connection.dialect.name == "postgresql",
    )
    there = {column.name: column for column in found.selected_columns}
    return found.with_only_columns(*(there[name] for name in (*shape.key, *shape.values, *_BOUNDS)))


def _amendments(connection: sa.Connection, positions: list[int]) -> dict[int, Any]:
    """Raises ``StateError`` for one of a newer program."""
    if not positions:
        return {}
    wanted = sa.select(RecordLog.position, RecordLog.body).where(
        *MINE, among(connection, RecordLog.position, positions)
    )
    return {row.position: decoded(row.position, row.body) for row in connection.execute(wanted)}


def _campaigns(connection: sa.Connection, positions: list[int]) -> dict[int, CampaignTold]:
    """What the entries of campaigns say; one that can't be read says nothing here."""
    if not positions:
        return {}
    wanted = sa.select(RecordLog.position, RecordLog.body).where(among(connection, RecordLog.position, positions))
    found: dict[int, CampaignTold] = {}
    for row in connection.execute(wanted):
        with suppress(msgspec.MsgspecError, UnicodeDecodeError):
            found[row.position] = _campaign.decode(row.body).change.campaign
    return found
