"""Interleaved rounds, their medians and ratios, as a table for the terminal and for Markdown."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal, TypeVar

import msgspec

T = TypeVar("T")
Unit = Literal["s", "MiB"]

FLOOR, OURS = "floor", "mdevreg"
#: The columns, in order; those that nobody filled are left out.
COLUMNS = (FLOOR, OURS, "SQLite", "PostgreSQL", "NATS KV")
_RATIO = f"{OURS} ÷ {FLOOR}"
_UNITS = (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6), ("ns", 1e-9))


class Cell(msgspec.Struct):
    """What is measured at once. ``run`` measures it, in the unit of its lines.

    ``lines``: those it is a figure of, most often one; where several things are measured at once, one value for each.
    ``most``: rounds it is worth; 0: all.
    """

    lines: tuple[str, ...]
    who: str
    run: Callable[[], float | Sequence[float]]
    most: int = 0


class Table:
    """The figures of a run: by line, then by who, one per round. ``order``: of the lines; others follow."""

    def __init__(self, title: str, *, units: Mapping[str, Unit] | None = None, order: Sequence[str] = ()) -> None:
        self.title = title
        self.notes: list[str] = []
        self._units = units or {}
        self._found: dict[str, dict[str, list[float]]] = {line: {} for line in order}

    def measure(self, cells: Sequence[Cell], rounds: int) -> None:
        """Every cell once per round, in turn; what is at hand already is not the garbage collector's business."""
        gc.collect()
        gc.freeze()
        for number in range(rounds):
            for cell in cells:
                if not cell.most or number < cell.most:
                    self._keep(cell, cell.run())
        gc.unfreeze()

    def _keep(self, cell: Cell, found: float | Sequence[float]) -> None:
        values = [found] * len(cell.lines) if isinstance(found, float) else found
        for line, value in zip(cell.lines, values, strict=True):
            self._found.setdefault(line, {}).setdefault(cell.who, []).append(value)

    def markdown(self) -> str:
        """The table, and the notes below it."""
        used = [who for who in COLUMNS if any(who in found for found in self._found.values())]
        if FLOOR in used and OURS in used:
            used.insert(2, _RATIO)
        head = ["", *used]
        rows = [head, ["---"] * len(head), *(self._row(line, used) for line, found in self._found.items() if found)]
        lines = ["| " + " | ".join(row) + " |" for row in rows]
        return "\n".join([f"### {self.title}", "", *lines, "", *(f"{note}  " for note in self.notes)])

    def show(self) -> None:
        """The same for a terminal: one figure a line."""
        print(f"\n{self.title}; median (min to max)")
        for line, found in self._found.items():
            if found:
                print(f"  {line}")
            for who in (who for who in COLUMNS if who in found):
                ratios = self._ratios(line, who)
                print(
                    f"    {who:<11} {self._spread(line, who)}" + (f"; {OURS} ÷ it: {share(ratios)}" if ratios else "")
                )
        for note in self.notes:
            print(f"  {note}")

    def _row(self, line: str, columns: Sequence[str]) -> list[str]:
        return [line, *(self._cell(line, who) for who in columns)]

    def _cell(self, line: str, who: str) -> str:
        if who == _RATIO:
            ratios = self._ratios(line, FLOOR)
            return f"**{share(ratios)}**" if ratios else ""
        if who not in self._found[line]:
            return ""
        ratios = self._ratios(line, who) if who != FLOOR else []
        return self._spread(line, who) + (f"; {share([statistics.median(ratios)])}" if ratios else "")

    def _ratios(self, line: str, other: str) -> list[float]:
        """Ours to another's, round by round; where one has fewer rounds, median to median."""
        found = self._found[line]
        if other == OURS or OURS not in found or other not in found:
            return []
        ours, theirs = found[OURS], found[other]
        if len(ours) != len(theirs):
            ours, theirs = [statistics.median(ours)], [statistics.median(theirs)]
        return [mine / yours for mine, yours in zip(ours, theirs, strict=True) if yours > 0]

    def _spread(self, line: str, who: str) -> str:
        values = self._found[line][who]
        return f"{spread(values)} MiB" if self._units.get(line) == "MiB" else durations(values)


def write_markdown(file: Path, head: str, tables: Iterable[Table]) -> None:
    """All tables of a run into one file."""
    said = f"Median (min to max); after a semicolon: {OURS}'s as a share of that peer's."
    file.write_text("\n".join([head, "", said, "", *(table.markdown() + "\n" for table in tables)]), encoding="utf-8")


def each(work: Callable[[T], object], keys: Sequence[T]) -> float:
    """Seconds per call of ``work`` with one key, the loop's own time taken away."""
    started = time.perf_counter()
    for key in keys:
        work(key)
    return (time.perf_counter() - started - idle_s(keys)) / len(keys)


def idle_s(keys: Sequence[object]) -> float:
    """Seconds that a loop over the keys takes by itself: the least of three, for the processor is shared."""
    taken = []
    for _ in range(3):
        started = time.perf_counter()
        for _key in keys:
            pass
        taken.append(time.perf_counter() - started)
    return min(taken)


def turn(keys: Sequence[T], count: int, number: int) -> Sequence[T]:
    """``count`` of the keys, others in each turn."""
    first = number * count % max(1, len(keys) - count + 1)
    return keys[first : first + count]


def durations(seconds: Sequence[float]) -> str:
    """Median (min to max), in the unit that suits the median."""
    middle = abs(statistics.median(seconds))
    unit, size = next(((unit, size) for unit, size in _UNITS if middle >= size), _UNITS[-1])
    return f"{spread([value / size for value in seconds])} {unit}"


def spread(values: Sequence[float]) -> str:
    """Median (min to max)."""
    middle = _digits(statistics.median(values))
    return middle if len(values) == 1 else f"{middle} ({_digits(min(values))} to {_digits(max(values))})"


def share(ratios: Sequence[float]) -> str:
    """A ratio, median (min to max); small ones as a fraction."""
    middle = statistics.median(ratios)
    show = _digits if middle >= 0.5 else _fraction
    found = show(middle)
    return found if len(ratios) == 1 else f"{found} ({show(min(ratios))} to {show(max(ratios))})"


def _digits(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _fraction(value: float) -> str:
    return f"1/{_digits(1 / value)}"
