"""The three times of a record: observed, received, committed; and whether its host's clock is to be relied on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from msgspec import structs

from mdevreg.clocks import doubt_of, seconds
from mdevreg.facts import Change
from mdevreg.times import micros, moment_of
from mdevreg_server.among import among
from mdevreg_server.tables import RecordClock, RecordLog

#: Positions in one statement.
_SOME = 500
#: What a clock says may be beyond the calendar once it is in UTC.
_FIRST_US, _LAST_US = micros(datetime.min.replace(tzinfo=UTC)), micros(datetime.max.replace(tzinfo=UTC))


def timed(connection: sa.Connection, changes: Sequence[Change]) -> tuple[Change, ...]:
    """The same changes with the times of the records that told them."""
    stamps = _stamps(connection, {change.position for change in changes})
    return tuple(structs.replace(change, **stamps.get(change.position, {})) for change in changes)


def _stamps(connection: sa.Connection, positions: Iterable[int]) -> dict[int, dict[str, Any]]:
    """Fields of ``Change`` by position, of those that the log has."""
    columns = (RecordLog.position, RecordLog.observed_at_us, RecordLog.received_at_us, RecordLog.committed_at_us)
    source = sa.join(RecordLog, RecordClock, RecordClock.position == RecordLog.position, isouter=True)
    found: dict[int, dict[str, Any]] = {}
    wanted = sorted(positions)
    for first in range(0, len(wanted), _SOME):
        some = among(connection, RecordLog.position, wanted[first : first + _SOME])
        for row in connection.execute(sa.select(*columns, RecordClock.skew_us).select_from(source).where(some)):
            found[row.position] = _fields(row)
    return found


def _fields(row: Any) -> dict[str, Any]:
    doubt = doubt_of(row.observed_at_us, row.received_at_us, row.skew_us)
    return {
        "observed_at": moment_of(min(max(row.observed_at_us, _FIRST_US), _LAST_US)),
        "received_at": moment_of(row.received_at_us),
        "committed_at": moment_of(row.committed_at_us),
        "flag": None if doubt is None else doubt.flag,
        "clock_skew_s": None if doubt is None else seconds(doubt.skew_us),
    }
