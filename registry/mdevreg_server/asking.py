"""Questions about two times, in SQL: which rows hold, at a moment."""

from __future__ import annotations

import msgspec
import sqlalchemy as sa

from mdevreg.facts import Moment
from mdevreg.timeline import OPEN
from mdevreg.times import micros
from mdevreg_server.tables import Base, RecordLog, table_of

#: ``as_of`` / ``known_at`` of "now": inside every period that holds until further notice, and in no other.
LATEST = OPEN - 1


class At(msgspec.Struct, frozen=True):
    """A moment as two integers: µs UTC, and a log position. ``position``: what answers are labelled with."""

    as_of: int
    known_at: int
    position: int
    historical: bool

    def holds(self, table: type[Base]) -> sa.ColumnElement[bool]:
        """The rows of an interval table that hold at this moment."""
        columns = table_of(table).c
        return sa.and_(
            columns.valid_from_us <= self.as_of,
            self._not_ended(columns),
            columns.system_from <= self.known_at,
            columns.system_to > self.known_at,
        )

    def _not_ended(self, columns: sa.ColumnCollection[str, sa.ColumnElement[int]]) -> sa.ColumnElement[bool]:
        """What ended by ``as_of`` may not have been known to have ended at ``known_at``."""
        holding = columns.valid_to_us > self.as_of
        return holding if self.known_at == LATEST else sa.or_(holding, columns.ended_at > self.known_at)


def at(connection: sa.Connection, moment: Moment) -> At:
    """Fix a moment for one transaction."""
    newest = connection.scalar(sa.select(sa.func.max(RecordLog.position))) or 0
    position = newest if moment.known_at is None else min(moment.known_at, newest)
    return At(
        as_of=LATEST if moment.as_of is None else micros(moment.as_of),
        known_at=LATEST if moment.known_at is None else moment.known_at,
        position=position,
        historical=moment.as_of is not None or moment.known_at is not None,
    )
