"""Digests of what can't be derived from the log any more once bodies were pruned; the log itself holds them (ADR 15).

Rows are hashed as they were known at a log position, in key order, so that a digest stays the same whatever is told
later: one line of JSON per row, after a line with the table's name. Texts are ordered by their bytes, on both
databases.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import sqlalchemy as sa

from mdevreg.timeline import OPEN
from mdevreg_server.tables import INTERVALS, HostBase, table_of

#: Rows that are read at once.
_SOME = 2_000
_encoder = msgspec.json.Encoder()


#: Is called now and then, and may raise to end what takes long.
Pulse = Callable[[], None]


def frozen_digest(connection: sa.Connection, horizon: int, pulse: Pulse = lambda: None) -> str:
    """SHA-256, hex, of every interval table as it was known at a log position. Cost: all rows up to there."""
    found = hashlib.sha256()
    for model in INTERVALS.values():
        table = table_of(model)
        rows = _rows(connection, table, _as_known(table, horizon), table.c.system_from <= horizon)
        _add(found, table, rows, pulse)
    return found.hexdigest()


def bases_digest(connection: sa.Connection) -> str:
    """SHA-256, hex, of every base."""
    found, table = hashlib.sha256(), table_of(HostBase)
    _add(found, table, _rows(connection, table, list(table.columns), sa.true()), lambda: None)
    return found.hexdigest()


def _add(digest: Any, table: sa.Table, rows: Iterator[Any], pulse: Pulse) -> None:
    digest.update(table.name.encode() + b"\n")
    for number, row in enumerate(rows):
        if number % _SOME == 0:
            pulse()
        digest.update(_encoder.encode(tuple(row)) + b"\n")


def _rows(
    connection: sa.Connection, table: sa.Table, columns: list[Any], which: sa.ColumnElement[bool]
) -> Iterator[Any]:
    order = [_by_bytes(connection, column) for column in table.primary_key]
    statement = sa.select(*columns).where(which).order_by(*order)
    yield from connection.execute(statement, execution_options={"yield_per": _SOME})


def _as_known(table: sa.Table, horizon: int) -> list[Any]:
    """The columns of a row, what was told later of it taken back."""
    columns = table.c
    back = {
        "valid_to_us": sa.case((columns.ended_at > horizon, OPEN), else_=columns.valid_to_us),
        "ended_at": sa.case((columns.ended_at > horizon, OPEN), else_=columns.ended_at),
        "system_to": sa.case((columns.system_to > horizon, OPEN), else_=columns.system_to),
    }
    # Where a row is looked for moves on when it is closed, and tells nothing that its periods don't.
    return [back.get(column.name, column) for column in columns if column.name != "reach"]


def _by_bytes(connection: sa.Connection, column: sa.Column[Any]) -> sa.ColumnElement[Any]:
    """SQLite orders texts so anyway; PostgreSQL by the database's locale."""
    if connection.dialect.name == "postgresql" and isinstance(column.type, sa.Text):
        return sa.collate(column, "C")
    return column
