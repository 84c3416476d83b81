"""Which devices would have no place to go: now, while hosts are away, and afterwards. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal, NamedTuple

from mdevreg.fleet.kinds import Kind
from mdevreg.fleet.table import RulingTable
from mdevreg.planning.spots import Room, Spot, Spots, Waiting
from mdevreg.rulings import Ruling
from mdevreg.verdict import RANK, Outcome

Stage = Literal["now", "during", "after"]
State = Literal["free", "crowded", "unknown", "stranded"]
#: From best to worst.
STATES: tuple[State, ...] = ("free", "crowded", "unknown", "stranded")


class Standing(NamedTuple):
    """How some devices stand at a stage. ``nearest``: the best ruling of any other host, ``None``: nobody offers it."""

    waiting: Waiting
    devices: int
    state: State
    nearest: Ruling | None
    doubtful: tuple[Spot, ...] = ()  # where it is not known


#: How many of these devices are on hosts whose open places, of these spots, are the only ones there are.
OnlyOwn = Callable[[Waiting, frozenset[Spot]], int]


class Stages:
    """How all devices stand, stage by stage."""

    def __init__(self, spots: Spots, table: RulingTable, only_own: OnlyOwn) -> None:
        self._spots, self._table, self._only_own = spots, table, only_own

    def at(self, stage: Stage) -> list[Standing]:
        """Every group of devices; one may be in two states, where some are on the one host that others can go to."""
        found: list[Standing] = []
        for waiting, devices in self._spots.devices.items():
            found += self._standing(waiting, devices, stage)
        return found

    def rulings(self, waiting: Waiting, stage: Stage) -> list[tuple[Spot, Room, Ruling]]:
        """What is said of each spot that devices could go to, their own host's included."""
        source = kind_at(waiting, stage)
        return [
            (spot, room, self._table.ruling(source, _target(spot, stage), waiting.doubts, spot.doubts))
            for spot, room in self._spots.by_type.get(source.type, {}).items()
            if not (stage == "during" and spot.upgraded)
        ]

    def _standing(self, waiting: Waiting, devices: int, stage: Stage) -> Iterable[Standing]:
        own = {spot for spot in waiting.own if not (stage == "during" and spot.upgraded)}
        said = [
            (spot, room, ruling) for spot, room, ruling in self.rulings(waiting, stage) if room.hosts > (spot in own)
        ]
        nearest = min((ruling for _, _, ruling in said), key=lambda each: RANK[each.outcome], default=None)
        if nearest is None or nearest.outcome is Outcome.INCOMPATIBLE:
            return [Standing(waiting, devices, "stranded", nearest)]
        doubtful = [(spot, room) for spot, room, ruling in said if ruling.outcome is Outcome.UNKNOWN]
        if nearest.outcome is Outcome.UNKNOWN:
            return [Standing(waiting, devices, "unknown", nearest, _where(doubtful))]
        taking = [(spot, room) for spot, room, ruling in said if ruling.outcome is Outcome.COMPATIBLE]
        crowded = self._crowded(waiting, devices, taking, own)
        full = self._crowded(waiting, devices, [*taking, *doubtful], own) if crowded and doubtful else crowded
        return [
            Standing(waiting, count, state, nearest, _where(doubtful) if state == "unknown" else ())
            for state, count in _states(devices, crowded, full)
            if count
        ]

    def _crowded(self, waiting: Waiting, devices: int, taking: list[tuple[Spot, Room]], own: set[Spot]) -> int:
        """How many of them find all places taken. Only if few are open does it matter who is on which host."""
        opened = sum(room.open for _, room in taking)
        if not opened:
            return devices
        spots = frozenset(spot for spot, _ in taking)
        mine = sum(spot in own and spot in spots for spot in waiting.own)
        return 0 if opened > mine else self._only_own(waiting, spots)


def _states(devices: int, crowded: int, full: int) -> tuple[tuple[State, int], ...]:
    """``crowded``: find all certain places taken; ``full``: of them, those that find the doubtful ones taken too."""
    return (("free", devices - crowded), ("unknown", crowded - full), ("crowded", full))


def _where(said: Iterable[tuple[Spot, Room]]) -> tuple[Spot, ...]:
    return tuple(spot for spot, _ in said)


def kind_at(waiting: Waiting, stage: Stage) -> Kind:
    """What devices are at a stage: they move as what they were, and stay as what they become."""
    return waiting.after if stage == "after" else waiting.before


def _target(spot: Spot, stage: Stage) -> Kind:
    return spot.after if stage == "after" else spot.before


def worse(state: State, than: State) -> bool:
    """Whether a state is worse than another."""
    return STATES.index(state) > STATES.index(than)
