"""The moments at which an answer may have turned, from SQL, and the log's entries as evidence."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from itertools import islice
from typing import Any

import msgspec
import sqlalchemy as sa

from mdevreg.blame import MAX_POINTS, Cause, Entry, Point, Said, Turn, turned
from mdevreg.errors import NotFoundError
from mdevreg.facts import Moment
from mdevreg.knowledge import Knowledge, decode_amendment
from mdevreg.rules import Rule
from mdevreg.timeline import OPEN
from mdevreg.times import micros, moment_of
from mdevreg_server.amendments import MINE
from mdevreg_server.among import among
from mdevreg_server.asking import At, known_position
from mdevreg_server.evidence import find_host
from mdevreg_server.tables import Base, Device, DriverBuild, HostFact, Offer, RecordLog, table_of

#: Of an entry's body so much is shown; a shipped catalog is longer than anybody reads.
MAX_BODY_BYTES = 65_536
#: What a verdict is made of: capacity, the parent's row, is told beside it.
_JUDGED: tuple[type[Base], ...] = (Offer, DriverBuild, HostFact)


def points_of(connection: sa.Connection, device: str, to: str, at: At, known: Knowledge, now: datetime) -> list[Point]:
    """When the answer may have turned, up to a moment and not after ``now``, the newest first.

    Raises ``NotFoundError`` for the host.
    """
    target = find_host(connection, to.partition("/")[0], at).host
    hosts = {target, *_sources(connection, device, at)}
    positions = _amended(connection, at)
    for table in _JUDGED:
        positions |= _told(connection, table, among(connection, table_of(table).c.host, sorted(hosts)), at)
    positions |= _told(connection, Device, Device.name == device.rpartition("/")[2], at)
    until_us = min(at.as_of, micros(now))
    found = list(_learned(connection, positions, until_us))
    learned = {point.at for point in found}
    found += [point for rule in known.rules.values() for point in _of_rule(connection, rule, at, until_us)]
    # A rule that was ended by an entry ends by that entry, not by its time.
    found = [point for point in found if point.cause != "time" or point.at not in learned]
    return sorted(found, key=lambda point: (point.at, point.position), reverse=True)


def entry_at(connection: sa.Connection, position: int) -> Entry:
    """An entry of the log as evidence."""
    row = connection.execute(sa.select(table_of(RecordLog)).where(RecordLog.position == position)).one()
    amendment = None if row.host else decode_amendment(row.body)
    return Entry(
        position=position,
        kind=row.kind,
        host=row.host,
        observed_at=moment_of(row.observed_at_us),
        received_at=moment_of(row.received_at_us),
        committed_at=moment_of(row.committed_at_us),
        sha256=row.sha256,
        hostname=_hostname(connection, row.host, position),
        author=None if amendment is None else amendment.author,
        body=msgspec.Raw(row.body if row.body and len(row.body) <= MAX_BODY_BYTES else b"null"),
    )


def _hostname(connection: sa.Connection, host: str, position: int) -> str | None:
    """How a host was called, as far as was known at a position."""
    then = (HostFact.host == host, HostFact.system_from <= position, HostFact.system_to > position)
    named = sa.select(HostFact.hostname).where(*then).order_by(HostFact.valid_from_us.desc())
    return connection.scalar(named.limit(1))


class Search:
    """Looks for turns at some moments, the newest first. ``looked``: at how many it was looked."""

    def __init__(self, connection: sa.Connection, points: list[Point]) -> None:
        self._connection, self._points = connection, points
        self.looked, self.complete = 0, True

    def turns(self, limit: int, said: Callable[[Point], Said]) -> tuple[Turn, ...]:
        """The last ``limit`` turns, each with its entry. ``said``: what would have been answered at a moment."""

        def counted(point: Point) -> Said:
            self.looked += 1
            return said(point)

        found = list(islice(turned(self._points[:MAX_POINTS], counted), limit))
        self.complete = len(found) == limit or len(self._points) <= MAX_POINTS
        return tuple(self._turn(*each) for each in found)

    def present(self, moment: Moment, now: datetime) -> Point:
        """The moment asked about, where nothing turned before it."""
        position = self._points[0].position if self._points else 0
        return Point(moment.as_of or now, position, "record")

    def _turn(self, point: Point, before: Said, after: Said) -> Turn:
        timely = point.cause == "time"
        return Turn(point, before, after, None if timely else entry_at(self._connection, point.position))


def _sources(connection: sa.Connection, device: str, at: At) -> set[str]:
    """The hosts that the device was on; of a type that could be created, and of a VF, the one that is named."""
    host, slash, _ = device.partition("/")
    if slash:
        return {find_host(connection, host, at).host}
    found = set(
        connection.scalars(sa.select(Device.host).where(Device.name == device, Device.system_from <= at.known_at))
    )
    if not found:
        raise NotFoundError("device", device)
    return found


def _told(connection: sa.Connection, table: type[Base], mine: sa.ColumnElement[bool], at: At) -> set[int]:
    """The positions that began, ended or withdrew rows."""
    columns = table_of(table).c
    wanted = sa.select(columns.system_from, columns.ended_at, columns.system_to).where(mine)
    told = {position for row in connection.execute(wanted) for position in row}
    return {position for position in told if position != OPEN and position <= at.known_at}


def _amended(connection: sa.Connection, at: At) -> set[int]:
    return set(connection.scalars(sa.select(RecordLog.position).where(*MINE, RecordLog.position <= at.known_at)))


def _learned(connection: sa.Connection, positions: Iterable[int], until_us: int) -> Iterator[Point]:
    listed = sorted(positions)
    columns = (RecordLog.position, RecordLog.kind, RecordLog.host, RecordLog.committed_at_us)
    for first in range(0, len(listed), 500):
        some = among(connection, RecordLog.position, listed[first : first + 500])
        for row in connection.execute(sa.select(*columns).where(some)):
            # What was learned after the time asked about says something of that time too.
            yield Point(moment_of(min(row.committed_at_us, until_us)), row.position, _cause(row))


def _cause(row: Any) -> Cause:
    if row.host:
        return "record"
    return row.kind if row.kind in ("rule", "catalog", "outcome") else "record"


def _of_rule(connection: sa.Connection, rule: Rule, at: At, until_us: int) -> Iterator[Point]:
    """The times of a rule, as far as they have come, as what was known by then."""
    for time in (rule.valid_from, rule.valid_until):
        if time is not None and micros(time) <= until_us:
            position = min(known_position(connection, time), at.known_at)
            if position:
                yield Point(time, position, "time", rule.id)
