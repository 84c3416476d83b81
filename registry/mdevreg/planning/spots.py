"""The places of the fleet before and after an upgrade, counted together where they are alike. Pure."""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

from mdevreg.fleet.kinds import Kind
from mdevreg.fleet.table import DOUBTFUL
from mdevreg.planning.cohorts import Cohort, CohortKey
from mdevreg.planning.overlay import Overlay
from mdevreg.planning.selecting import Selection


class Spot(NamedTuple):
    """Places that are alike: what they are, what they become, whether on hosts that are upgraded, and doubts."""

    before: Kind
    after: Kind
    upgraded: bool
    doubts: int

    @property
    def changes(self) -> bool:
        """Whether it becomes another."""
        return self.before is not self.after


class Room:
    """How many ``places`` there are of a spot, of how many ``hosts``; ``open``: hosts that are not full, ``free``."""

    __slots__ = ("free", "hosts", "open", "places", "untold")

    def __init__(self) -> None:
        self.hosts = self.places = self.open = self.free = self.untold = 0


class Waiting(NamedTuple):
    """Devices that are alike, with what they become; ``own``: the spots of their own type on their host."""

    before: Kind
    after: Kind
    upgraded: bool
    doubts: int
    own: tuple[Spot, ...]


class Spots:
    """``by_type``: spots with their room. ``devices``: how many of each. ``pairs``: places of two spots on one host."""

    def __init__(self, selection: Selection, overlay: Overlay) -> None:
        self.by_type: dict[str, dict[Spot, Room]] = {}
        self.devices: dict[Waiting, int] = {}
        self.pairs: dict[tuple[Spot, Spot], int] = {}
        self.changing = 0
        self._overlay = overlay
        for chosen, counted in ((True, selection.chosen), (False, selection.rest)):
            for key, cohort in counted.items():
                upgraded = chosen and overlay.changes(key.layout)  # others need not go away
                spots = self._spotted(key, upgraded)
                self._room(key, cohort, spots)
                self._wait(key, cohort, spots, upgraded)
                self.changing += cohort.hosts * upgraded
        self.by_type = {name: dict(sorted(found.items(), key=_order)) for name, found in sorted(self.by_type.items())}
        self.devices = dict(sorted(self.devices.items(), key=_order_of_devices))

    def _spotted(self, key: CohortKey, upgraded: bool) -> tuple[Spot, ...]:
        doubts = 0 if key.sound else DOUBTFUL
        kinds = [kind for _, kind in key.layout.slots]
        after = map(self._overlay.after, kinds) if upgraded else kinds
        return tuple(Spot(kind, new, upgraded, doubts) for kind, new in zip(kinds, after, strict=True))

    def _room(self, key: CohortKey, cohort: Cohort, spots: tuple[Spot, ...]) -> None:
        seen: set[Spot] = set()
        for slot, spot in enumerate(spots):
            room = self.by_type.setdefault(spot.before.type, {}).setdefault(spot, Room())
            room.places += cohort.hosts
            room.hosts += cohort.hosts if spot not in seen else 0
            room.open += cohort.open[slot]
            room.free += cohort.free[slot]
            room.untold += cohort.unknown[slot]
            seen.add(spot)
        for kinds in key.layout.by_type.values():
            alike = [spots[slot] for _, slots in kinds for slot in slots]
            for one, other in product(alike, alike):
                self.pairs[one, other] = self.pairs.get((one, other), 0) + cohort.hosts

    def _wait(self, key: CohortKey, cohort: Cohort, spots: tuple[Spot, ...], upgraded: bool) -> None:
        doubts = 0 if key.sound else DOUBTFUL
        for (_, kind), count in cohort.devices.items():
            if not count:
                continue
            own = tuple(spot for spot in spots if spot.before.type == kind.type)
            after = self._overlay.after(kind) if upgraded else kind
            waiting = Waiting(kind, after, upgraded, doubts, own)
            self.devices[waiting] = self.devices.get(waiting, 0) + count


def _order(item: tuple[Spot, Room]) -> tuple[object, ...]:
    """By what depends on the facts alone: the same fleet gives the same answer, byte for byte."""
    spot = item[0]
    return (spot.before.order, spot.after.order, spot.upgraded, spot.doubts)


def _order_of_devices(item: tuple[Waiting, int]) -> tuple[object, ...]:
    waiting = item[0]
    own = tuple((spot.before.order, spot.after.order) for spot in waiting.own)
    return (waiting.before.type, waiting.before.order, waiting.upgraded, waiting.doubts, own)
