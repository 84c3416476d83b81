"""Carries out the timeline's decisions: one insert and one update per table and batch.

Rows that a batch both adds and closes are closed before they are written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa

from mdevreg.objects import Key, Value
from mdevreg.timeline import OPEN, Row, Step
from mdevreg_server.tables import INTERVALS, table_of

#: Until further notice, of one object.
OpenRow = Row[Value]

_PERIODS = {"valid_from_us", "valid_to_us", "system_from", "system_to"}


class Shape:
    """How one interval table is laid out: its key, its values, and its two statements."""

    def __init__(self, table: sa.Table) -> None:
        names = [column.name for column in table.columns]
        self.table = table
        self.key = [column.name for column in table.primary_key if column.name not in _PERIODS]  # host first
        self.values = [name for name in names if name not in _PERIODS and name not in self.key]
        self.insert = sa.insert(table)
        same = [table.c[name] == sa.bindparam(f"k_{name}") for name in (*self.key, "valid_from_us", "system_from")]
        self.close = sa.update(table).where(*same).values(system_to=sa.bindparam("closed"))


def shapes() -> dict[str, Shape]:
    """The layout of every interval table, by object kind."""
    return {kind: Shape(table_of(table)) for kind, table in INTERVALS.items()}


class Pending:
    """The interval rows of one batch, until ``flush``."""

    def __init__(self, layout: Mapping[str, Shape]) -> None:
        self._layout = layout
        self._added: dict[str, dict[tuple[Any, ...], Row[Value]]] = {kind: {} for kind in layout}
        self._closed: dict[str, list[tuple[tuple[Any, ...], int]]] = {kind: [] for kind in layout}

    def step(self, host: str, key: Key, step: Step[Value], position: int) -> None:
        """Take over what a fact does to the rows of one object."""
        kind = key[0]
        identity = (host, *key[1:])
        added = self._added[kind]
        for row in step.close:
            name = (*identity, row.valid_from, row.system_from)
            if name in added:
                added[name] = Row(row.value, row.valid_from, row.valid_to, row.system_from, position)
            else:
                self._closed[kind].append((name, position))
        for row in step.add:
            added[(*identity, row.valid_from, row.system_from)] = row

    def flush(self, connection: sa.Connection) -> None:
        """Write everything and start anew."""
        for kind, shape in self._layout.items():
            if closed := self._closed[kind]:
                names = [f"k_{name}" for name in (*shape.key, "valid_from_us", "system_from")]
                connection.execute(shape.close, [{**dict(zip(names, n, strict=True)), "closed": p} for n, p in closed])
                closed.clear()
            if added := self._added[kind]:
                connection.execute(shape.insert, [_columns(shape, name, row) for name, row in added.items()])
                added.clear()


def _columns(shape: Shape, name: tuple[Any, ...], row: Row[Value]) -> dict[str, Any]:
    columns = dict(zip(shape.key, name, strict=False))
    columns.update(zip(shape.values, row.value, strict=True))
    columns["valid_from_us"], columns["valid_to_us"] = row.valid_from, row.valid_to
    columns["system_from"], columns["system_to"] = row.system_from, row.system_to
    return columns


def current_rows(
    connection: sa.Connection, layout: Mapping[str, Shape], hosts: Iterable[str], *, open_only: bool
) -> dict[str, dict[Key, list[OpenRow]]]:
    """The rows as now known (system period open) of some hosts: host → object → rows by valid time.

    ``open_only``: only those that hold until further notice.
    """
    wanted = list(hosts)
    found: dict[str, dict[Key, list[OpenRow]]] = {host: {} for host in wanted}
    for kind, shape in layout.items():
        table = shape.table
        statement = sa.select(table).where(table.c.host.in_(wanted), table.c.system_to == OPEN)
        if open_only:
            statement = statement.where(table.c.valid_to_us == OPEN)
        for row in connection.execute(statement.order_by(table.c.valid_from_us)).mappings():
            host, *key = (row[name] for name in shape.key)
            value = tuple(row[name] for name in shape.values)
            interval = Row(value, row["valid_from_us"], row["valid_to_us"], row["system_from"])
            found[host].setdefault((kind, *key), []).append(interval)
    return found
