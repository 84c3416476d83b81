"""The algebra of two times. Pure integers; no clock, no SQL.

*Valid time* (when it was true on the host) is in microseconds since 1970-01-01 UTC; *system time* (when the
registry knew it) is the position of a record in the log (ADR 2). Both periods are half-open; ``OPEN`` means
until further notice. A row is never changed except to close its system period. The law: at every pair of
times at most one row of an object holds.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import Generic, TypeVar

import msgspec

#: Until further notice. Fits the 64-bit integers of both databases and sorts after every time.
OPEN = 2**63 - 1

V = TypeVar("V", bound=Hashable)


class Row(msgspec.Struct, Generic[V]):
    """A value of one object, true in ``[valid_from, valid_to)``, as known in ``[system_from, system_to)``."""

    value: V
    valid_from: int
    valid_to: int
    system_from: int
    system_to: int = OPEN

    def holds(self, as_of: int, known_at: int) -> bool:
        """Whether the row is the answer at that pair of times."""
        return self.valid_from <= as_of < self.valid_to and self.system_from <= known_at < self.system_to


class Step(msgspec.Struct, Generic[V], frozen=True):
    """What a new fact does: rows to close (their ``system_to`` becomes the position) and rows to add."""

    close: Sequence[Row[V]]
    add: Sequence[Row[V]]


def supersede(current: Row[V] | None, value: V | None, at: int, position: int) -> Step[V]:
    """A fact that is newer than all before: from ``at`` on the value is ``value`` (``None``: it is gone).

    ``current`` is the row that holds until further notice, if there is one. Requires ``at >= current.valid_from``
    and ``position > current.system_from``.
    """
    if current is not None and current.value == value:
        return Step([], [])
    add = [] if value is None else [Row(value, at, OPEN, position)]
    if current is None:
        return Step([], add)
    if at > current.valid_from:
        add.insert(0, Row(current.value, current.valid_from, at, position))
    return Step([current], add)


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
            last.valid_to = at
            if last.valid_from == at:
                rows.pop()
        if value is not None:
            _append(rows, Row(value, at, OPEN, position))
    return rows


def _append(rows: list[Row[V]], row: Row[V]) -> None:
    if rows and rows[-1].valid_to == row.valid_from and rows[-1].value == row.value:
        rows[-1].valid_to = row.valid_to
    else:
        rows.append(row)


def reconcile(current: Iterable[Row[V]], desired: Iterable[Row[V]], position: int) -> Step[V]:
    """Turn the timeline as now known into another one: what a late record does to the past."""
    wanted = {(row.valid_from, row.valid_to, row.value): row for row in desired}
    close = [row for row in current if wanted.pop((row.valid_from, row.valid_to, row.value), None) is None]
    add = [Row(row.value, row.valid_from, row.valid_to, position) for row in wanted.values()]
    return Step(close, add)
