"""The ends of interval rows, the newest first: what a history is made of. The only SQL of histories over intervals.

A row begins and ends once. Where one ends as the next of the same object begins, that is one turn. Which rows are
meant is an equality (``Whose.of``), so that the work follows the number of turns asked for, given an index of
that column and the two valid times.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import sqlalchemy as sa

from mdevreg.timeline import OPEN
from mdevreg_server.asking import At
from mdevreg_server.intervals import Shape, shapes

#: host, then the key columns of the table
Identity = tuple[str, ...]
Columns = sa.ColumnCollection[str, sa.ColumnElement[Any]]


class Whose(msgspec.Struct, frozen=True):
    """Which rows a history is of. ``of``: the condition on a table, by object kind; kinds that are not there have none.

    ``parting``: rows that are followed by one of the same object end all the same, if that one is not meant.
    """

    of: dict[str, Callable[[Columns], sa.ColumnElement[bool]]]
    parting: bool = False


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
        return (self.at, self.position, self.kind, self.identity, self.value is None)


def turns(connection: sa.Connection, whose: Whose, at: At, limit: int) -> list[Turn]:
    """At least the last ``limit`` turns up to a moment, or all there are, oldest first."""
    found: list[Turn] = []
    for kind, shape in shapes().items():
        if kind in whose.of:
            found += _begun(connection, kind, shape, whose, at, limit)
            found += _ended(connection, kind, shape, whose, at, limit)
    return sorted(found, key=lambda turn: turn.order)


def _begun(connection: sa.Connection, kind: str, shape: Shape, whose: Whose, at: At, limit: int) -> Iterator[Turn]:
    row, before = shape.table.alias("meant"), shape.table.alias("beside")
    mine = sa.and_(whose.of[kind](row.c), known(row.c, at), row.c.valid_from_us <= at.as_of)
    over = (before.c.valid_to_us == row.c.valid_from_us, before.c.ended_at <= at.known_at)
    beside = sa.and_(*_same(shape, row, before), *over, known(before.c, at))
    for told in _last(connection, shape, row.c.valid_from_us, mine, (row, before, beside), limit):
        own, other = _values(shape, told, ""), _values(shape, told, "beside_")
        until = told["valid_to_us"] if told["ended_at"] <= at.known_at else OPEN
        yield Turn(kind, _identity(shape, told), other, own, told["valid_from_us"], until, told["system_from"])


def _ended(connection: sa.Connection, kind: str, shape: Shape, whose: Whose, at: At, limit: int) -> Iterator[Turn]:
    row, after = shape.table.alias("meant"), shape.table.alias("beside")
    over = (row.c.valid_to_us <= at.as_of, row.c.ended_at <= at.known_at)
    mine = sa.and_(whose.of[kind](row.c), known(row.c, at), *over)
    beside = sa.and_(*_same(shape, row, after), after.c.valid_from_us == row.c.valid_to_us, known(after.c, at))
    meant = whose.of[kind](after.c) if whose.parting else sa.true()
    followed = sa.select(sa.literal(1)).select_from(after).where(beside, meant).correlate(row).exists()
    for told in _last(connection, shape, row.c.valid_to_us, sa.and_(mine, ~followed), (row, after, beside), limit):
        own, other = _values(shape, told, ""), _values(shape, told, "beside_")
        yield Turn(kind, _identity(shape, told), own, other, told["valid_to_us"], OPEN, told["ended_at"])


def _last(
    connection: sa.Connection,
    shape: Shape,
    time: sa.ColumnElement[int],
    mine: sa.ColumnElement[bool],
    joined: tuple[sa.FromClause, sa.FromClause, sa.ColumnElement[bool]],
    limit: int,
) -> sa.MappingResult:
    """The rows with the ``limit`` latest times, all of the earliest of them: the same ones on every database."""
    row, other, beside = joined
    earliest = connection.scalar(sa.select(time).where(mine).order_by(time.desc()).limit(1).offset(limit - 1))
    own = [row.c[column.name] for column in shape.table.columns]
    others = [other.c[name].label(f"beside_{name}") for name in ("host", *shape.values)]
    wanted = sa.select(*own, *others).select_from(sa.join(row, other, beside, isouter=True)).where(mine)
    return connection.execute(wanted if earliest is None else wanted.where(time >= earliest)).mappings()


def known(columns: Columns, at: At) -> sa.ColumnElement[bool]:
    """The rows that are part of the timelines as known at the moment."""
    return sa.and_(columns.system_from <= at.known_at, columns.system_to > at.known_at)


def _same(shape: Shape, row: sa.FromClause, other: sa.FromClause) -> list[sa.ColumnElement[bool]]:
    return [row.c[name] == other.c[name] for name in shape.key]


def _identity(shape: Shape, told: sa.RowMapping) -> Identity:
    return tuple(told[name] for name in shape.key)


def _values(shape: Shape, told: sa.RowMapping, prefix: str) -> tuple[Any, ...] | None:
    if told[f"{prefix}host"] is None:
        return None
    return tuple(told[f"{prefix}{name}"] for name in shape.values)
