"""The ends of interval rows, the newest first: what a history is made of. The only SQL of histories over intervals.

A row begins and ends once; where one ends as the next of the same object begins, that is one turn. Which rows are
meant is an equality (``Whose.of``), and rows are looked for by their reach (``mdevreg_server.reach``): the work follows
the number of turns asked for, given an index of the column that must be equal, the reach and the beginning.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec
import sqlalchemy as sa
from msgspec import structs

from mdevreg.timeline import OPEN
from mdevreg_server.among import among
from mdevreg_server.asking import At
from mdevreg_server.intervals import Shape, shapes
from mdevreg_server.looking import within
from mdevreg_server.reach import LEVELS, OPEN_REACH, Window, begun_in, ended_in

#: host, then the key columns of the table
Identity = tuple[str, ...]
Columns = sa.ColumnCollection[str, sa.ColumnElement[Any]]
#: Before all times that a row has, and still a number of 64 bits when a reach is taken from it.
BEFORE_ALL = -(2**62)


class Whose(msgspec.Struct, frozen=True):
    """Which rows a history is of. ``of``: the condition on a table, by object kind; kinds that are not there have none.

    ``values``: only some values of the objects are meant, so that what an object was before or became is looked up.
    """

    of: dict[str, Callable[[Columns], sa.ColumnElement[bool]]]
    values: bool = False


class Turn(msgspec.Struct, frozen=True):
    """An object came, changed or went: ``before`` and ``value`` are its value columns, ``None`` where it was not.

    At ``at`` µs UTC, until ``until``; told by the entry at ``position``.
    """

    kind: str
    identity: Identity
    before: tuple[Any, ...] | None
    value: tuple[Any, ...] | None
    at: int
    until: int
    position: int

    @property
    def order(self) -> tuple[Any, ...]:
        """Where it stands among others: by time, then position."""
        return (self.at, self.position, self.kind, self.identity)


def turns(connection: sa.Connection, whose: Whose, at: At, limit: int) -> list[Turn]:
    """The last ``limit`` turns up to a moment, oldest first."""
    layout = shapes()
    found = [turn for kind in whose.of for turn in _turns(connection, kind, layout[kind], whose, at, limit)]
    last = sorted(found, key=lambda turn: turn.order)[-limit:]
    return list(_completed(connection, layout, last, at)) if whose.values else last


def _turns(connection: sa.Connection, kind: str, shape: Shape, whose: Whose, at: At, limit: int) -> Iterator[Turn]:
    """At least the last ``limit`` of one kind, or all there are."""
    columns = shape.table.c
    meant = sa.and_(whose.of[kind](columns), _known(columns, at))
    begun = sa.and_(meant, columns.valid_from_us <= at.as_of)
    over = sa.and_(meant, columns.valid_to_us <= at.as_of, columns.ended_at <= at.known_at)
    # From the beginning of the ``limit``th newest row on, nothing is missing; and that is ``limit`` turns, or all.
    since = newest_begun(connection, shape, begun, limit)
    ended = {
        (_identity(shape, row), row["valid_to_us"]): row
        for row in _near(connection, shape, since, ended_in(since, at.as_of), over, columns.valid_to_us >= since)
    }
    for row in _near(connection, shape, since, begun_in(since, at.as_of), begun):
        identity = _identity(shape, row)
        before = ended.pop((identity, row["valid_from_us"]), None)
        until = row["valid_to_us"] if row["ended_at"] <= at.known_at else OPEN
        old = None if before is None else _values(shape, before)
        yield Turn(kind, identity, old, _values(shape, row), row["valid_from_us"], until, row["system_from"])
    for (identity, time), row in ended.items():
        yield Turn(kind, identity, _values(shape, row), None, time, OPEN, row["ended_at"])


def newest_begun(connection: sa.Connection, shape: Shape, begun: sa.ColumnElement[bool], limit: int) -> int:
    """When the row begins that is ``limit`` from the newest; before all times if there are fewer."""
    columns = shape.table.c
    of_each = [
        sa.select(columns.valid_from_us).where(begun, columns.reach == reach).order_by(columns.valid_from_us.desc())
        for reach in (OPEN_REACH, *LEVELS)
    ]
    newest = sa.union_all(*(sa.select(part.limit(limit).subquery().c.valid_from_us) for part in of_each)).subquery()
    time = newest.c.valid_from_us
    found = connection.scalar(sa.select(time).order_by(time.desc()).limit(1).offset(limit - 1))
    return BEFORE_ALL if found is None else int(found)


def _near(
    connection: sa.Connection, shape: Shape, since: int, looked_in: Iterable[Window], *mine: sa.ColumnElement[bool]
) -> Iterable[sa.RowMapping]:
    """The rows that are meant, of those that begin in these windows; all of them where no time is too early."""
    if since == BEFORE_ALL:
        return _rows(connection, shape, *mine)
    laterally = connection.dialect.name == "postgresql"
    return connection.execute(within(shape.table, looked_in, *mine, name="turns", laterally=laterally)).mappings()


def _completed(connection: sa.Connection, layout: dict[str, Shape], found: list[Turn], at: At) -> Iterator[Turn]:
    """Turns with what the object was before or became, where that is not of the values that are meant."""
    for kind in {turn.kind for turn in found}:
        shape, columns = layout[kind], layout[kind].table.c
        hosts = sorted({turn.identity[0] for turn in found})
        mine = sa.and_(among(connection, columns.host, hosts), _known(columns, at))
        near = list(_rows(connection, shape, mine))
        begun = {(_identity(shape, row), row["valid_from_us"]): row for row in near}
        ended = {(_identity(shape, row), row["valid_to_us"]): row for row in near if row["ended_at"] <= at.known_at}
        for turn in (each for each in found if each.kind == kind):
            place = (turn.identity, turn.at)
            before = _values(shape, ended[place]) if place in ended else turn.before
            value = _values(shape, begun[place]) if place in begun else turn.value
            yield structs.replace(turn, before=before, value=value)


def _rows(connection: sa.Connection, shape: Shape, *mine: sa.ColumnElement[bool]) -> Iterable[sa.RowMapping]:
    return connection.execute(sa.select(shape.table).where(*mine)).mappings()


def _known(columns: Columns, at: At) -> sa.ColumnElement[bool]:
    """The rows that are part of the timelines as known at the moment."""
    return sa.and_(columns.system_from <= at.known_at, columns.system_to > at.known_at)


def _identity(shape: Shape, row: sa.RowMapping) -> Identity:
    return tuple(row[name] for name in shape.key)


def _values(shape: Shape, row: sa.RowMapping) -> tuple[Any, ...]:
    return tuple(row[name] for name in shape.values)
