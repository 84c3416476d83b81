"""Carries out the timeline's decisions: one insert and one update per table and batch.

Rows that a batch both adds and closes are closed before they are written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa

from mdevreg.objects import Key, Value
from mdevreg.timeline import OPEN, Row, Step
from mdevreg_server.among import among
from mdevreg_server.bulk import Bulk
from mdevreg_server.reach import OPEN_REACH, reach_of
from mdevreg_server.tables import INTERVALS, table_of

#: Until further notice, of one object.
OpenRow = Row[Value]

#: Rows by host, key, valid_from, system_from; each with its reach.
Rows = dict[tuple[Any, ...], tuple[Row[Value], int]]

_PERIODS = ("valid_from_us", "valid_to_us", "ended_at", "system_from", "system_to", "reach")


class Shape:
    """How one interval table is laid out: its key (host first), its values, and its two hot statements."""

    def __init__(self, table: sa.Table) -> None:
        names = [column.name for column in table.columns]
        self.table = table
        self.key = [column.name for column in table.primary_key if column.name not in _PERIODS]  # host first
        self.values = [name for name in names if name not in _PERIODS and name not in self.key]
        self.bulk = Bulk(table, [*self.key, "valid_from_us", "system_from"])
        order = [*self.key, *self.values, *_PERIODS]
        self._order = [order.index(name) for name in names]

    def columns(self, identity: tuple[Any, ...], row: Row[Value], reach: int) -> tuple[Any, ...]:
        """A row in the table's column order. ``identity``: the host, then the key."""
        periods = (row.valid_from, row.valid_to, row.ended_at, row.system_from, row.system_to, reach)
        flat = (*identity, *row.value, *periods)
        return tuple([flat[place] for place in self._order])


def shapes() -> dict[str, Shape]:
    """The layout of every interval table, by object kind."""
    return {kind: Shape(table_of(table)) for kind, table in INTERVALS.items()}


class Pending:
    """The interval rows of one batch, until ``flush``."""

    def __init__(self, layout: Mapping[str, Shape]) -> None:
        self._layout = layout
        self._added: dict[str, Rows] = {kind: {} for kind in layout}
        self._closed: dict[str, Rows] = {kind: {} for kind in layout}

    def step(self, host: str, key: Key, step: Step[Value], position: int, clock_us: int) -> None:
        """Take over what a fact does to the rows of one object. ``clock_us``: when ``position`` is committed."""
        kind = key[0]
        identity = (host, *key[1:])
        added, closed = self._added[kind], self._closed[kind]
        for row, valid_to in step.end:
            row.valid_to, row.ended_at = valid_to, position
            _close(added, closed, identity, row, clock_us)
        for row in step.withdraw:
            row.system_to = position
            _close(added, closed, identity, row, clock_us)
        for row in step.add:
            reach = OPEN_REACH if row.valid_to == OPEN else reach_of(row.valid_from, row.valid_to, clock_us)
            added[(*identity, row.valid_from, row.system_from)] = row, reach

    def flush(self, connection: sa.Connection) -> None:
        """Write everything and start anew."""
        for kind, shape in self._layout.items():
            if closed := self._closed[kind]:
                rows = [
                    (row.valid_to, row.ended_at, row.system_to, reach, *name) for name, (row, reach) in closed.items()
                ]
                shape.bulk.close(connection, rows)
                closed.clear()
            if added := self._added[kind]:
                rows = [shape.columns(name[:-2], row, reach) for name, (row, reach) in added.items()]
                shape.bulk.insert(connection, rows)
                added.clear()


def _close(added: Rows, closed: Rows, identity: tuple[Any, ...], row: Row[Value], clock_us: int) -> None:
    name = (*identity, row.valid_from, row.system_from)
    rows = added if name in added else closed  # of one that is not written yet, only how it is by then matters
    rows[name] = row, reach_of(row.valid_from, row.valid_to, clock_us)


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
        which = table.c.reach == OPEN_REACH if open_only else table.c.system_to == OPEN
        statement = sa.select(table).where(among(connection, table.c.host, wanted), which)
        for row in connection.execute(statement.order_by(table.c.valid_from_us)).mappings():
            host, *key = (row[name] for name in shape.key)
            value = tuple(row[name] for name in shape.values)
            interval = Row(value, row["valid_from_us"], row["valid_to_us"], row["system_from"], OPEN, row["ended_at"])
            found[host].setdefault((kind, *key), []).append(interval)
    return found
