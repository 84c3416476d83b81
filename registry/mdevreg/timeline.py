"""The algebra of two times. Pure integers; no clock, no SQL.

*Valid time* (when it was true on the host) is in microseconds since 1970-01-01 UTC; *system time* (when the
registry knew it) is the position of a record in the log (ADR 2). Both periods are half-open; ``OPEN`` means
until further notice. A row is never changed except to close a period: its valid time ends when something newer
is known (``ended_at`` remembers since when that is known), its system time when it turns out to have been wrong.
The law: at every pair of times at most one row of an object holds.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import Generic, TypeVar

import msgspec

#: Until further notice. Fits the 64-bit integers of both databases and sorts after every time.
OPEN = 2**63 - 1

V = TypeVar("V", bound=Hashable)


class Row(msgspec.Struct, Generic[V]):
    """A value of one object, true in ``[valid_from, valid_to)``, as known in ``[system_from, system_to)``.

    Until ``ended_at`` the registry took it to hold until further notice. ``OPEN`` while ``valid_to`` is.
    """

    value: V
    valid_from: int
    valid_to: int
    system_from: int
    system_to: int = OPEN
    ended_at: int = OPEN

    def holds(self, as_of: int, known_at: int) -> bool:
        """Whether the row is the answer at that pair of times."""
        if not self.system_from <= known_at < self.system_to:
            return False
        return self.valid_from <= as_of and (as_of < self.valid_to or known_at < self.ended_at)


class Step(msgspec.Struct, Generic[V], frozen=True):
    """What a new fact does to the rows of an object, all at its position.

    ``end``: rows that stop holding, each with its ``valid_to``. ``withdraw``: rows that were wrong, whose system
    period closes. ``add``: new rows.
    """

    end: Sequence[tuple[Row[V], int]] = ()
    withdraw: Sequence[Row[V]] = ()
    add: Sequence[Row[V]] = ()


def supersede(current: Row[V] | None, value: V | None, at: int, position: int) -> Step[V]:
    """A fact that is newer than all before: from ``at`` on the value is ``value`` (``None``: it is gone).

    ``current`` is the row that holds until further notice, if there is one. Requires ``at >= current.valid_from``
    and ``position > current.system_from``.
    """
    if current is not None and current.value == value:
        return Step()
    add = () if value is None else (Row(value, at, OPEN, position),)
    if current is None:
        return Step(add=add)
    if at > current.valid_from:
        return Step(end=((current, at),), add=add)
    return Step(withdraw=(current,), add=add)


def fold(facts: Iterable[tuple[int, V | None]], position: int) -> list[Row[V]]:
    """The timeline that a sequence of ``(valid time, value)`` in their order of truth describes.

    Requires non-decreasing valid times. A value that lasts no time leaves no row.
    """
    rows: list[Row[V]] = []
    for at, value in facts:
        last = rows[-1] if rows and rows[-1].valid_to == OPEN else None
        if last is not None and last.value == value:
            continue
        if last is not None:
            last.valid_to, last.ended_at = at, position
            if last.valid_from == at:
                rows.pop()
        if value is not None:
            _append(rows, Row(value, at, OPEN, position))
    return rows


def _append(rows: list[Row[V]], row: Row[V]) -> None:
    if rows and rows[-1].valid_to == row.valid_from and rows[-1].value == row.value:
        rows[-1].valid_to, rows[-1].ended_at = row.valid_to, row.ended_at
    else:
        rows.append(row)


def reconcile(current: Iterable[Row[V]], desired: Iterable[Row[V]], position: int) -> Step[V]:
    """Turn the timeline as now known into another one: what a late record does to the past."""
    wanted = {(row.valid_from, row.value): row for row in desired}
    end: list[tuple[Row[V], int]] = []
    withdraw: list[Row[V]] = []
    for row in current:
        same = wanted.get((row.valid_from, row.value))
        if same is None or row.valid_to not in (same.valid_to, OPEN):
            withdraw.append(row)
            continue
        del wanted[row.valid_from, row.value]
        if row.valid_to != same.valid_to:
            end.append((row, same.valid_to))
    add = [Row(row.value, row.valid_from, row.valid_to, position, OPEN, row.ended_at) for row in wanted.values()]
    return Step(end, withdraw, add)
