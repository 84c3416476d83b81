"""Questions about two times, in SQL: which rows hold, at a moment."""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypeVar

import msgspec
import sqlalchemy as sa
from sqlalchemy.orm import aliased

from mdevreg.errors import UsageError
from mdevreg.facts import Moment
from mdevreg.moments import snapshot_of
from mdevreg.timeline import OPEN
from mdevreg.times import micros, moment_of, utc
from mdevreg_server.looking import within
from mdevreg_server.reach import LEVELS, OPEN_REACH, windows
from mdevreg_server.tables import INTERVALS, Base, RecordLog, table_of

#: ``as_of`` / ``known_at`` of "now": inside every period that holds until further notice, and in no other.
LATEST = OPEN - 1

T = TypeVar("T", bound=Base)


class At(msgspec.Struct, frozen=True):
    """A moment as two integers: µs UTC, and a log position. ``position``: what answers are labelled with.

    ``known_us``: when ``known_at`` was committed, µs UTC; ``None``: the latest is asked about. ``snapshot``: the
    token that answers carry. ``laterally``: how the database is led to look window by window (``looking``).
    """

    as_of: int
    known_at: int
    position: int
    historical: bool
    known_us: int | None = None
    snapshot: str = ""
    laterally: bool = False

    def holds(self, table: type[Base]) -> sa.ColumnElement[bool]:
        """The rows of an interval table that hold at this moment."""
        return self._holding(table_of(table).c)

    def holds_of(self, row: Any) -> sa.ColumnElement[bool]:
        """The same of rows that were selected otherwise (``rows``)."""
        return self._holding(row)

    def rows(self, table: type[T], /, name: str = "then", **equal: str) -> type[T]:
        """The rows that hold at this moment, to be selected from as from the table: as many as that, not its history.

        ``equal``: only those with these values; ``host=`` and, of offers, ``type=`` have indexes of their own.
        ``name``: of this selection, in a statement that has several of one table.
        """
        columns = table_of(table).c
        wanted = [*(columns[column] == value for column, value in equal.items()), self._holding(columns)]
        if self.historical:
            near = windows(self.as_of, self.known_us)
            found = within(
                table_of(table), near, *wanted, name=f"{table.__tablename__}_{name}", laterally=self.laterally
            )
        else:
            found = sa.select(*columns).where(columns.reach == OPEN_REACH, *wanted)
        # Made once: neither database may dissolve it into a join that reads every row of each object.
        once = found.cte(f"{table.__tablename__}_{name}").prefix_with("MATERIALIZED")
        return aliased(table, once.alias())

    def _holding(self, columns: Any) -> sa.ColumnElement[bool]:
        return sa.and_(
            columns.valid_from_us <= self.as_of,
            self._not_ended(columns),
            columns.system_from <= self.known_at,
            columns.system_to > self.known_at,
        )

    def _not_ended(self, columns: Any) -> sa.ColumnElement[bool]:
        """What ended by ``as_of`` may not have been known to have ended at ``known_at``."""
        holding = columns.valid_to_us > self.as_of
        return holding if self.known_at == LATEST else sa.or_(holding, columns.ended_at > self.known_at)


def clock_of(connection: sa.Connection) -> int:
    """The log's clock: when its newest entry was committed, µs UTC; 0 before the first."""
    return connection.scalar(sa.select(sa.func.max(RecordLog.committed_at_us))) or 0


def at(connection: sa.Connection, moment: Moment, now: datetime, *, empty: bool = False) -> At:
    """Fix a moment for one transaction. ``empty``: that nothing was known yet, at position 0, is an answer too.

    Raises ``UsageError``: FUTURE for what nobody can know at ``now``, BEFORE_HISTORY for what nobody knew.
    """
    newest = connection.scalar(sa.select(sa.func.max(RecordLog.position))) or 0
    if moment.as_of is None and moment.known_at is None:
        return At(LATEST, LATEST, newest, historical=False, snapshot=snapshot_of(newest, now))
    _refuse_future(moment, newest, now)
    known_at = position_at(connection, moment.known_at) if moment.known_at is not None else None
    position = newest if known_at is None else known_at
    known_us = None if known_at is None else _committed(connection, known_at)
    if position or not empty:
        _refuse_before(connection, moment, position)
    return At(
        as_of=LATEST if moment.as_of is None else micros(moment.as_of),
        known_at=LATEST if known_at is None else known_at,
        position=position,
        historical=True,
        known_us=known_us,
        laterally=connection.dialect.name == "postgresql",
        snapshot=snapshot_of(position, moment.as_of or now),
    )


def _refuse_future(moment: Moment, newest: int, now: datetime) -> None:
    for name, asked in (("as_of", moment.as_of), ("known_at", moment.known_at)):
        if isinstance(asked, datetime) and asked > now:
            told = f"{name} {asked.isoformat()} is in the future (it is {utc(now)} here); nothing is known of it yet"
            raise UsageError(told, code="FUTURE")
    if isinstance(moment.known_at, int) and moment.known_at > newest:
        raise UsageError(f"position {moment.known_at} is still to come; the log ends at {newest}", code="FUTURE")


def known_position(connection: sa.Connection, time: datetime) -> int:
    """The log's position at a time: of the newest entry that was committed by then; 0 before the first."""
    by_then = sa.select(RecordLog.position).where(RecordLog.committed_at_us <= micros(time))
    newest = by_then.order_by(RecordLog.committed_at_us.desc(), RecordLog.position.desc()).limit(1)
    return connection.scalar(newest) or 0


def position_at(connection: sa.Connection, known_at: int | datetime) -> int:
    """The log position that a question names, or that its time had."""
    return known_at if isinstance(known_at, int) else known_position(connection, known_at)


def _committed(connection: sa.Connection, position: int) -> int:
    return connection.scalar(sa.select(RecordLog.committed_at_us).where(RecordLog.position == position)) or 0


def _refuse_before(connection: sa.Connection, moment: Moment, position: int) -> None:
    """Before the first entry, and before the first that any host told, nothing can be answered, not even "none"."""
    first = connection.execute(sa.select(RecordLog.committed_at_us).where(RecordLog.position == 1)).scalar()
    if first is None:
        raise UsageError("nothing is recorded yet: there is no past to ask about", code="BEFORE_HISTORY")
    if position == 0:
        text = f"nothing was known then: the log begins with seq:1, committed at {_exactly(first)}"
        raise UsageError(text, code="BEFORE_HISTORY")
    if moment.as_of is not None and micros(moment.as_of) < first:  # a record may tell of times before it came
        earliest = _earliest(connection)
        if earliest is None or micros(moment.as_of) < earliest:
            since = "no host has told anything yet" if earliest is None else f"the earliest is {_exactly(earliest)}"
            raise UsageError(f"nothing is known of {utc(moment.as_of)}: {since}", code="BEFORE_HISTORY")


def _earliest(connection: sa.Connection) -> int | None:
    """The first time that any host told something of, as far as is known now."""
    columns = [table_of(table).c for table in INTERVALS.values()]
    of_each = [  # the first of each reach is found in an index
        sa.select(sa.func.min(each.valid_from_us)).where(each.reach == reach)
        for each in columns
        for reach in (OPEN_REACH, *LEVELS)
    ]
    found = connection.scalars(sa.union_all(*of_each))
    return min((us for us in found if us is not None), default=None)


def _exactly(us: int) -> str:
    return moment_of(us).isoformat().replace("+00:00", "Z")
