"""The paths of the fleet before and after an upgrade. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from mdevreg.fleet.table import RulingTable
from mdevreg.planning.spots import Room, Spot, Spots
from mdevreg.rulings import Ruling
from mdevreg.verdict import Outcome

_YES, _NO = Outcome.COMPATIBLE, Outcome.INCOMPATIBLE


class Way(NamedTuple):
    """The paths from one spot to another: how many, and what is said of them before and after."""

    source: Spot
    target: Spot
    paths: int
    before: Ruling
    after: Ruling


class Ways:
    """All of them. ``turned``: those whose outcome is another afterwards."""

    def __init__(self, spots: Spots, table: RulingTable) -> None:
        self._table = table
        self.before = self.after = self.lost = self.gained = self.unknown = self.one_way = 0
        self.turned: list[Way] = []
        for found in spots.by_type.values():
            rooms = list(found.items())
            for way in self._between(rooms, spots):
                self._count(way)
            self.one_way += self._one_way(rooms, spots)

    def _between(self, rooms: list[tuple[Spot, Room]], spots: Spots) -> Iterator[Way]:
        for source, here in rooms:
            for target, there in rooms:
                paths = here.places * there.places - spots.pairs.get((source, target), 0)
                if paths:
                    yield Way(source, target, paths, *self._said(source, target))

    def _said(self, source: Spot, target: Spot) -> tuple[Ruling, Ruling]:
        before = self._table.ruling(source.before, target.before, source.doubts, target.doubts)
        if not (source.changes or target.changes):
            return before, before
        return before, self._table.ruling(source.after, target.after, source.doubts, target.doubts)

    def _count(self, way: Way) -> None:
        before, after = way.before.outcome, way.after.outcome
        self.before += way.paths * (before is _YES)
        self.after += way.paths * (after is _YES)
        if before is after:
            return
        self.turned.append(way)
        self.lost += way.paths * (before is _YES and after is _NO)
        self.unknown += way.paths * (before is _YES and after is Outcome.UNKNOWN)
        self.gained += way.paths * (after is _YES)

    def _one_way(self, rooms: list[tuple[Spot, Room]], spots: Spots) -> int:
        """Pairs of places that were open both ways, and are open in one direction only."""
        found = 0
        for number, (one, here) in enumerate(rooms):
            for other, there in rooms[number + 1 :]:
                there_and_back = [self._said(one, other), self._said(other, one)]
                if all(before.outcome is _YES for before, _ in there_and_back):
                    pairs = here.places * there.places - spots.pairs.get((one, other), 0)
                    found += pairs * (sum(after.outcome is _YES for _, after in there_and_back) == 1)
        return found
