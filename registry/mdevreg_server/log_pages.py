"""The log, page by page: what an export is made of."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from mdevreg.errors import UsageError
from mdevreg.logged import MAX_BYTES, MAX_LIMIT, MIN_BYTES, LogAsked, LogEntry, LogPage, text_of
from mdevreg.times import micros, moment_of
from mdevreg_server.tables import LogCheckpoint, RecordLog


def log_page(connection: sa.Connection, asked: LogAsked) -> LogPage:
    """The entries that are asked for, at least one if there is any. Raises ``UsageError``."""
    _check(asked)
    newest = connection.scalar(sa.select(sa.func.max(RecordLog.position))) or 0
    after = asked.after if asked.since is None else max(asked.after, position_before(connection, micros(asked.since)))
    last = newest if asked.upto is None else min(asked.upto, newest)
    if asked.until is not None:
        last = min(last, position_before(connection, micros(asked.until)))
    chosen = _chosen(connection, asked, after, last)
    entries = tuple(_entries(connection, asked, chosen))
    if not entries:
        return LogPage(newest, after + 1, last, ())
    end = entries[-1]
    told = end.offset + chosen[end.position]
    whole = told == end.bytes
    following = end.position if whole else end.position - 1
    more = following < last
    note = _checkpoint(connection, last)
    return LogPage(newest, after + 1, last, entries, following if more else None, 0 if whole else told, note)


def position_before(connection: sa.Connection, time_us: int) -> int:
    """The position of the last entry that was committed before a time, µs UTC; 0: none."""
    before = sa.select(RecordLog.position).where(RecordLog.committed_at_us < time_us)
    newest = before.order_by(RecordLog.committed_at_us.desc(), RecordLog.position.desc()).limit(1)
    return connection.scalar(newest) or 0


def _checkpoint(connection: sa.Connection, last: int) -> str | None:
    covering = sa.select(LogCheckpoint.note).where(LogCheckpoint.size >= last)
    return connection.scalar(covering.order_by(LogCheckpoint.size).limit(1))


def _chosen(connection: sa.Connection, asked: LogAsked, after: int, last: int) -> dict[int, int]:
    """The positions of a page, and how many bytes of each body are in it."""
    size = sa.func.length(RecordLog.body).label("size")
    wanted = sa.select(RecordLog.position, size).where(RecordLog.position > after, RecordLog.position <= last)
    found: dict[int, int] = {}
    left, offset = asked.max_bytes, asked.offset
    for row in connection.execute(wanted.order_by(RecordLog.position).limit(asked.limit)):
        length = max(0, row.size - offset)
        if found and length > left:
            return found
        found[row.position] = min(length, left)
        left, offset = left - found[row.position], 0
        if left <= 0:
            return found
    return found


def _entries(connection: sa.Connection, asked: LogAsked, chosen: dict[int, int]) -> list[LogEntry]:
    if not chosen:
        return []
    first = min(chosen)
    wanted = sa.select(RecordLog.__table__).where(RecordLog.position.between(first, max(chosen)))
    rows = connection.execute(wanted.order_by(RecordLog.position))
    return [_entry(row, asked.offset if row.position == first else 0, chosen[row.position]) for row in rows]


def _entry(row: Any, offset: int, length: int) -> LogEntry:
    body = bytes(row.body)
    text, encoding = text_of(body[offset : offset + length], whole=length == len(body))
    return LogEntry(
        position=row.position,
        host=row.host,
        epoch=row.epoch,
        seq=row.seq,
        kind=row.kind,
        sha256=row.sha256,
        observed_at=moment_of(row.observed_at_us),
        received_at=moment_of(row.received_at_us),
        committed_at=moment_of(row.committed_at_us),
        bytes=len(body),
        body=text,
        encoding=encoding,
        offset=offset,
    )


def _check(asked: LogAsked) -> None:
    if not 1 <= asked.limit <= MAX_LIMIT:
        raise UsageError(f"limit is {asked.limit}; 1 to {MAX_LIMIT} entries make a page")
    if not MIN_BYTES <= asked.max_bytes <= MAX_BYTES:
        raise UsageError(f"max_bytes is {asked.max_bytes}; {MIN_BYTES} to {MAX_BYTES} were expected")
