"""Rows of timelines, page by page, as they were known at a position: what analysts join."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import msgspec
import sqlalchemy as sa

from mdevreg.errors import UsageError
from mdevreg.logged import DEFAULT_BYTES, MAX_LIMIT, Cell, TimelineAsked, TimelinePage
from mdevreg.timeline import OPEN
from mdevreg.times import micros
from mdevreg_server.asking import position_at
from mdevreg_server.tables import INTERVALS, Profile, RecordLog, table_of

_cursor = msgspec.json.Decoder(list[str | int])
_ENDS = ("valid_to_us", "ended_at")


def timeline_page(connection: sa.Connection, asked: TimelineAsked) -> TimelinePage:
    """The rows that are asked for. Raises ``UsageError`` (BAD_CURSOR: the cursor is no key of that table)."""
    if not 1 <= asked.limit <= MAX_LIMIT:
        raise UsageError(f"limit is {asked.limit}; 1 to {MAX_LIMIT} rows make a page")
    newest = connection.scalar(sa.select(sa.func.max(RecordLog.position))) or 0
    known_at = newest if asked.known_at is None else position_at(connection, asked.known_at)
    table = table_of(Profile if asked.table == "profile" else INTERVALS[asked.table])
    key = list(table.primary_key)
    wanted = sa.select(table)
    if asked.table != "profile":
        wanted = wanted.where(*_meant(table.c, asked, known_at))
    if asked.cursor is not None:
        wanted = wanted.where(sa.tuple_(*key) > sa.tuple_(*_after(asked.cursor, key)))
    found = list(connection.execute(wanted.order_by(*key).limit(asked.limit + 1)).mappings())
    rows = list(_bounded(found[: asked.limit], known_at))
    more = len(rows) < len(found)
    following = _cursor_of([found[len(rows) - 1][column.name] for column in key]) if more else None
    return TimelinePage(newest, tuple(column.name for column in table.columns), tuple(rows), following)


def _meant(columns: Any, asked: TimelineAsked, known_at: int) -> Iterator[sa.ColumnElement[bool]]:
    yield columns.system_from <= known_at
    if asked.after > 0:
        yield columns.system_to > asked.after
    if asked.until is not None:
        yield columns.valid_from_us < micros(asked.until)
    if asked.since is not None:
        yield sa.or_(columns.valid_to_us > micros(asked.since), columns.ended_at > known_at)


def _bounded(found: list[sa.RowMapping], known_at: int) -> Iterator[tuple[Cell, ...]]:
    """At least one row, and no more than a message holds."""
    size = 0
    for row in found:
        size += sum(len(value) if isinstance(value, str) else 20 for value in row.values())
        if size > DEFAULT_BYTES and row is not found[0]:
            return
        yield _cells(row, known_at)


def _cells(row: sa.RowMapping, known_at: int) -> tuple[Cell, ...]:
    """A row as it was known: an end that nobody knew of by then is none."""
    cells = dict(row)
    if cells.get("ended_at", 0) > known_at:
        cells |= dict.fromkeys(_ENDS)
    if cells.get("system_to", 0) > known_at:
        cells["system_to"] = None
    return tuple(None if value == OPEN else value for value in cells.values())


def _cursor_of(key: list[Any]) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(key)).decode().rstrip("=")


def _after(cursor: str, key: list[sa.Column[Any]]) -> list[str | int]:
    try:
        inside = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        found = _cursor.decode(inside)
    except (ValueError, RecursionError) as error:
        raise UsageError("the cursor was not made by this registry", code="BAD_CURSOR") from error
    if [type(value) for value in found] != [column.type.python_type for column in key]:
        raise UsageError("the cursor is of another table", code="BAD_CURSOR")
    return found
