"""Where the devices of one host go, as an integer program: found if it is there, at the level of kinds. Pure.

Rooms that are alike are one variable. What the program can't see, whose last place something is, is looked at
afterwards; then that kind of places must keep one more open, and it is solved again.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import nlargest
from typing import NamedTuple

from mdevreg.fleet.kinds import Kind
from mdevreg.planning.solving import Row, integers
from mdevreg.planning.waves.emptying import Move, carry_out, may_go
from mdevreg.planning.waves.nodes import Device, Node, Room, Stage
from mdevreg.planning.waves.yard import Yard

#: How often it is solved again with more to keep.
TRIES = 8


class _Alike(NamedTuple):
    """Rooms that are alike: what they offer and have usable, by type."""

    stage: Stage
    usable: tuple[tuple[str, Kind, int], ...]


def match(yard: Yard, node: Node) -> list[Move] | None:
    """As ``empty``. Raises ``MissingExtraError`` ([plan])."""
    if not node.sound and node.leaving:
        return None
    program = _Program(yard, node)
    for _ in range(TRIES):
        found = program.solved()
        if found is None:
            return None
        mark = yard.mark()
        moves = carry_out(yard, node, found)
        lacking = {device.kind for device, _ in yard.stranded()}
        if not yard.broken():
            return moves
        yard.undo(mark)
        if not lacking:
            return None  # too little is spare, which the program has seen: it is the host's own
        program.keep(lacking)
    return None


class _Program:
    """``counts``: variables, how many devices of a group go to rooms that are alike; ``rooms``: how many of these."""

    def __init__(self, yard: Yard, node: Node) -> None:
        self._yard = yard
        self._groups: dict[Kind, list[Device]] = {}
        for device in sorted(node.leaving, key=lambda each: each.name):
            self._groups.setdefault(device.kind, []).append(device)
        self._alike = self._rooms(node)
        self._counts = [
            (kind, alike)
            for kind, devices in self._groups.items()
            for alike in self._alike
            if any(name == kind.type and may_go(yard, devices[0], place) for name, place, _ in alike.usable)
        ]
        self._claims = [(alike, name) for alike in self._alike for name, _, _ in alike.usable]
        self._at_least: dict[Kind, int] = {}

    def keep(self, kinds: set[Kind]) -> None:
        """Let more stay open for such devices."""
        for kind in kinds:
            self._at_least[kind] = self._at_least.get(kind, 0) + 1

    def solved(self) -> list[tuple[Device, Room]] | None:
        """Each device with its room."""
        rows, lower, upper = self._constraints()
        most = [float(len(self._groups[kind])) for kind, _ in self._counts]
        most += [float(len(self._alike[alike])) for alike, _ in self._claims]
        costs = [_COST[alike.stage] for _, alike in self._counts] + [1e-3] * len(self._claims)
        found = integers(costs, rows, lower=lower, upper=upper, most=most)
        return None if found is None else list(self._assigned(found))

    def _rooms(self, node: Node) -> dict[_Alike, list[Room]]:
        """Of each kind of places as many rooms as there are devices, those with most usable: more are never needed."""
        chosen: dict[Room, None] = {}
        for kind, devices in self._groups.items():
            for place in self._yard.taking(kind):
                for stage in _COST:
                    rooms = (room for room in self._yard.rooms(stage, place) if room.node is not node)
                    widest = nlargest(len(node.leaving), rooms, key=lambda room: room.usable(place.type))
                    chosen.update(dict.fromkeys(widest if may_go(self._yard, devices[0], place) else ()))
        found: dict[_Alike, list[Room]] = {}
        for room in chosen:
            usable = tuple((name, kind, room.usable(name)) for name, kind in room.kinds.items() if room.usable(name))
            found.setdefault(_Alike(room.node.stage, usable), []).append(room)
        return found

    def _constraints(self) -> tuple[list[Row], list[float], list[float]]:
        rows: list[Row] = []
        lower: list[float] = []
        upper: list[float] = []

        def add(row: Row, low: float, high: float) -> None:
            rows.append(row)
            lower.append(low)
            upper.append(high)

        for kind, devices in self._groups.items():
            row = [(at, 1.0) for at, (each, _) in enumerate(self._counts) if each is kind]
            add(row, len(devices), len(devices))
        filling: dict[tuple[_Alike, str], list[tuple[int, float]]] = {}
        for at, (kind, alike) in enumerate(self._counts):
            filling.setdefault((alike, kind.type), []).append((at, 1.0))
        claiming: dict[_Alike, list[tuple[int, float]]] = {}
        for at, (alike, name) in enumerate(self._claims, len(self._counts)):
            claiming.setdefault(alike, []).append((at, 1.0))
            usable = next(count for each, _, count in alike.usable if each == name)
            add([*filling.get((alike, name), ()), (at, -float(usable))], -float("inf"), 0.0)
        for alike, claims in claiming.items():
            add(claims, 0.0, len(self._alike[alike]))
        for kind, least in self._at_least.items():
            add(*self._kept(kind, least))
        return rows, lower, upper

    def _kept(self, kind: Kind, least: int) -> tuple[Row, float, float]:
        """Instances that such devices could go to must be more than a host has: at least so many are not taken."""
        taking = set(self._yard.taking(kind))
        there = [(alike, count) for alike in self._alike for name, place, count in alike.usable if place in taking]
        total = sum(count * len(self._alike[alike]) for alike, count in there)
        row = [
            (at, 1.0)
            for at, (each, alike) in enumerate(self._counts)
            if any(name == each.type and place in taking for name, place, _ in alike.usable)
        ]
        return row, -float("inf"), float(total - least)

    def _assigned(self, found: list[int]) -> Iterator[tuple[Device, Room]]:
        waiting = {kind: list(devices) for kind, devices in self._groups.items()}
        taken: dict[Room, tuple[str, int]] = {}
        for (kind, alike), count in zip(self._counts, found, strict=False):
            usable = next((each for name, _, each in alike.usable if name == kind.type), 0)
            for _ in range(count):
                room = next(
                    room
                    for room in self._alike[alike]
                    if taken.get(room, (kind.type, 0))[0] == kind.type and taken.get(room, ("", 0))[1] < usable
                )
                taken[room] = (kind.type, taken.get(room, ("", 0))[1] + 1)
                yield waiting[kind].pop(), room


_COST: dict[Stage, float] = {"new": 1.0, "fixed": 1.0, "old": 1.5}
