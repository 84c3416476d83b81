"""Every order that there is, of a small fleet: hosts one by one, since a wave can always be taken apart. Pure.

Why one by one is enough: while hosts of a wave go one after the other, those that wait or are back are open besides.
Hosts, rooms and devices that are alike are tried once; where things stood before with no way on is not gone to again.
"""

from __future__ import annotations

from collections.abc import Iterator

from mdevreg.planning.waves.emptying import carry_out, may_go
from mdevreg.planning.waves.nodes import Device, Node, Room
from mdevreg.planning.waves.ordering import Wave
from mdevreg.planning.waves.yard import Yard

#: States that are looked at before the search is given up, and hosts of a fleet that it is begun for.
STATES, HOSTS = 20_000, 60

_Assigned = list[tuple[Device, Room]]


class Search:
    """``states``: looked at. ``complete``: an order that there is would have been found."""

    def __init__(self, yard: Yard, states: int = STATES) -> None:
        self._yard, self._most = yard, states
        self._dead: set[object] = set()
        self.states, self.complete = 0, True

    def order(self) -> list[Wave] | None:
        """An order of all old hosts, the yard as it is then; ``None``: none was found, and nothing has changed."""
        old = [node for node in self._yard.nodes.values() if node.stage == "old"]
        if not old:
            return []
        state = self._state()
        if state in self._dead or not self._goes_on():
            return None
        for node in self._different(sorted(old, key=lambda node: (-self._yard.hops.of_host(node), node.number))):
            for wave in self._waves(node):
                rest = self.order()
                if rest is not None:
                    return [wave, *rest]
        if self.complete:
            self._dead.add(state)
        return None

    def _goes_on(self) -> bool:
        self.states += 1
        self.complete = self.complete and self.states <= self._most
        return self.complete

    def _waves(self, node: Node) -> Iterator[Wave]:
        """Each way to empty a host, carried out while it is looked at."""
        if not node.sound and node.leaving:
            return
        for assigned in self._assigned(node):
            mark = self._yard.mark()
            moves = carry_out(self._yard, node, assigned)
            if not self._yard.broken():
                self._yard.welcome(node)
                yield Wave((node,), tuple(moves))  # who found the rest does not come back
            self._yard.undo(mark)

    def _assigned(self, node: Node) -> list[_Assigned]:
        """Every way to deal the devices of a host to rooms, of those that are alike one."""
        devices = sorted(node.leaving, key=lambda each: (each.kind.order, each.exempt, each.name))
        rooms = [room for other in self._yard.nodes.values() if other is not node for room in other.rooms]
        found: list[_Assigned] = []
        self._deal(devices, [room for room in rooms if room.node.up and room.node.sound], [], found)
        return found

    def _deal(self, devices: list[Device], rooms: list[Room], dealt: _Assigned, found: list[_Assigned]) -> None:
        if len(dealt) == len(devices):
            found.append(list(dealt))
            return
        device = devices[len(dealt)]
        first = rooms.index(dealt[-1][1]) if dealt and _alike(dealt[-1][0], device) else 0
        for room in self._fitting(device, rooms[first:]):
            if not self._goes_on():
                return
            claim, name = room.claim, device.kind.type
            room.claim, room.free[name] = name, room.free[name] - 1
            dealt.append((device, room))
            self._deal(devices, rooms, dealt, found)
            dealt.pop()
            room.claim, room.free[name] = claim, room.free[name] + 1

    def _fitting(self, device: Device, rooms: list[Room]) -> Iterator[Room]:
        """Rooms that take a device, of those that are alike the first."""
        seen: set[object] = set()
        for room in rooms:
            if not room.usable(device.kind.type) or not may_go(self._yard, device, room.kinds[device.kind.type]):
                continue
            likeness = (_host(room.node), room.node.rooms.index(room))
            if likeness not in seen:
                seen.add(likeness)
                yield room

    def _different(self, nodes: list[Node]) -> Iterator[Node]:
        seen: set[object] = set()
        for node in nodes:
            likeness = _host(node)
            if likeness not in seen:
                seen.add(likeness)
                yield node

    def _state(self) -> object:
        hosts: dict[object, int] = {}
        for node in self._yard.nodes.values():
            likeness = _host(node)
            hosts[likeness] = hosts.get(likeness, 0) + 1
        return frozenset(hosts.items())


def _alike(one: Device, other: Device) -> bool:
    return one.kind is other.kind and one.exempt is other.exempt


def _host(node: Node) -> object:
    """What tells hosts apart, but for their names."""
    rooms = tuple(
        (tuple(room.kinds.items()), tuple(room.free.items()), room.claim, room.arrivals) for room in node.rooms
    )
    devices: dict[object, int] = {}
    for device in node.devices:
        key = (device.kind, node.rooms.index(device.room), device.exempt, device.arrived)
        devices[key] = devices.get(key, 0) + 1
    return (node.stage, node.sound, rooms, frozenset(devices.items()))
