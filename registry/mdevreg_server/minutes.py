"""What is recorded of answers: decisions in the log, read page by page (ADR 13). Written by the ledger.

They have no host, an epoch of their own, and are counted by ``seq``: the log's key finds any of them, so that a page
costs the same however long the log is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import sqlalchemy as sa

from mdevreg.decisions import (
    LOOKED_AT,
    MAX_PAGE,
    Decision,
    DecisionLine,
    DecisionList,
    DecisionsAsked,
    decode_decision,
    line_of,
)
from mdevreg.errors import DecodeError, NotFoundError, StateError, UsageError
from mdevreg.query.names import possible
from mdevreg.times import micros
from mdevreg_server.amendments import NOBODY
from mdevreg_server.tables import RecordLog

#: ``record_log.epoch`` of a decision, and its kind.
DECIDED = "decision"
#: Decisions that are read in one statement.
AT_ONCE = 100
_MINE = (RecordLog.host == NOBODY, RecordLog.epoch == DECIDED)
#: Ids that an error names as the nearest.
_NEAREST = 3


def decision_of(connection: sa.Connection, name: str) -> Decision:
    """The decision of that id. Raises ``NotFoundError``, ``StateError`` (LOG_UNREADABLE)."""
    number = possible(name)[1:]
    position = int(number) if name[:1] == "d" and number.isascii() and number.isdecimal() and len(number) < 19 else 0  # noqa: PLR2004  (digits of 2^63)
    body = connection.scalar(sa.select(RecordLog.body).where(*_MINE, RecordLog.position == position))
    if body is None or f"d{position}" != name:
        raise NotFoundError("decision", name, _nearest(connection))
    try:
        return decode_decision(body)
    except DecodeError as error:
        raise _unreadable(f"position {position}", error) from error


def page(connection: sa.Connection, asked: DecisionsAsked) -> DecisionList:
    """The newest decisions of those asked for. Raises ``UsageError``, ``StateError`` (LOG_UNREADABLE)."""
    if not 1 <= asked.limit <= MAX_PAGE:
        raise UsageError(f"limit is {asked.limit}; a number from 1 to {MAX_PAGE} was expected")
    newest = connection.scalar(sa.select(sa.func.max(RecordLog.position))) or 0
    first, end = _period(connection, asked)
    kept: list[DecisionLine] = []
    last = end
    for row in _rows(connection, max(first, end - LOOKED_AT), end):
        last = row.seq
        line = _line(row, asked)
        kept += [] if line is None else [line]
        if len(kept) == asked.limit:
            break
    return DecisionList(newest, tuple(reversed(kept)), _position(connection, last) if last > first else None)


def faults(connection: sa.Connection) -> Iterator[str]:
    """One sentence per fault of what is recorded."""
    count = connection.scalar(sa.select(sa.func.count()).select_from(RecordLog).where(*_MINE)) or 0
    newest = _newest(connection)
    if count != newest:
        yield f"record_log has {count} decisions but they end at {newest}"
    wanted = sa.select(RecordLog.position, RecordLog.body).where(*_MINE).order_by(RecordLog.seq)
    for position, body in connection.execute(wanted):
        try:
            decode_decision(body)
        except DecodeError as error:
            yield _unreadable(f"position {position}", error).message


def _line(row: Any, asked: DecisionsAsked) -> DecisionLine | None:
    try:
        return line_of(row.body, asked)
    except DecodeError as error:
        raise _unreadable(f"position {row.position}", error) from error


def _period(connection: sa.Connection, asked: DecisionsAsked) -> tuple[int, int]:
    """The first number of those asked for, and the one after the last: found by halving, for they are in order."""
    end = _newest(connection) + 1
    if (before := asked.before) is not None:
        end = _first(connection, end, lambda row: row.position >= before)
    if asked.until is not None:
        until = micros(asked.until)
        end = _first(connection, end, lambda row: row.committed_at_us >= until)
    if asked.since is None:
        return 1, end
    since = micros(asked.since)
    return _first(connection, end, lambda row: row.committed_at_us >= since), end


def _first(connection: sa.Connection, end: int, holds: Callable[[Any], bool]) -> int:
    """The least number of which that holds, ``end`` if of none; it holds of all after one of which it does."""
    low = 1
    while low < end:
        middle = (low + end) // 2
        wanted = sa.select(RecordLog.position, RecordLog.committed_at_us).where(*_MINE, RecordLog.seq == middle)
        low, end = (low, middle) if holds(connection.execute(wanted).one()) else (middle + 1, end)
    return low


def _rows(connection: sa.Connection, first: int, end: int) -> Iterator[Any]:
    """Those in ``[first, end)``, the newest first, as many at once as few pages need."""
    columns = (RecordLog.seq, RecordLog.position, RecordLog.body)
    for last in range(end, first, -AT_ONCE):
        some = (RecordLog.seq >= max(first, last - AT_ONCE), RecordLog.seq < last)
        yield from list(connection.execute(sa.select(*columns).where(*_MINE, *some).order_by(RecordLog.seq.desc())))


def _newest(connection: sa.Connection) -> int:
    return connection.scalar(sa.select(sa.func.max(RecordLog.seq)).where(*_MINE)) or 0


def _position(connection: sa.Connection, seq: int) -> int | None:
    return connection.scalar(sa.select(RecordLog.position).where(*_MINE, RecordLog.seq == seq))


def _nearest(connection: sa.Connection) -> tuple[str, ...]:
    newest = _newest(connection)
    wanted = sa.select(RecordLog.position).where(*_MINE, RecordLog.seq > newest - _NEAREST)
    return tuple(f"d{position}" for position in connection.scalars(wanted.order_by(RecordLog.seq.desc())))


def _unreadable(what: str, error: DecodeError) -> StateError:
    return StateError(f"{what} of the log can't be read by this program: {error}; upgrade it", code="LOG_UNREADABLE")
