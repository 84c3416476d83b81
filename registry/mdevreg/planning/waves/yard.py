"""The fleet while an order is planned: what is open to whom, and whose last place it is. One writer; pure.

Everything is counted by kinds as it changes, so that a question about all devices costs one look at each kind.
Every change can be taken back (``mark``, ``undo``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from mdevreg.fleet.kinds import Kind
from mdevreg.planning.waves.hops import Accepts, Hops
from mdevreg.planning.waves.limits import Limits
from mdevreg.planning.waves.nodes import Device, Node, Room, Stage

_NONE: dict[Room, None] = {}


class Yard:
    """``nodes`` by name. ``accepts``: the verdict, remembered; only a certain yes is one."""

    def __init__(self, nodes: Iterable[Node], accepts: Accepts, limits: Limits) -> None:
        self.nodes = {node.name: node for node in nodes}
        self.limits, self._accepts = limits, accepts
        self.hops = Hops(self.nodes.values(), accepts)
        self._open: dict[tuple[Stage, Kind], dict[Room, None]] = {}
        self.spare: dict[str, int] = {}  # usable instances on hosts that are up, by type
        self._open_hosts: dict[Kind, dict[Node, int]] = {}  # place kind → hosts with open rooms of it
        self._homes: dict[Kind, dict[Node, int]] = {}  # device kind → hosts that have such devices, exempt ones aside
        self._in_use: dict[str, int] = {}  # devices by type
        self._taking: dict[Kind, list[Kind]] = {}
        self._places: dict[str, dict[Kind, None]] = {}
        self._shown: dict[Room, dict[str, int]] = {}
        self._undo: list[Callable[[], None]] = []
        for node in self.nodes.values():
            for room in node.rooms:
                self._know(room.kinds.values())
                if node.stage == "old":
                    self._know(map(node.after, room.kinds.values()))
        for node in self.nodes.values():
            for room in node.rooms:
                self._refresh(room)
            for device in node.devices:
                self._settled(device, node, 1)
        for device in [device for device, _ in self.stranded()]:
            self._settled(device, device.room.node, -1)
            device.exempt = True
            self._settled(device, device.room.node, 1)

    def taking(self, kind: Kind) -> list[Kind]:
        """The kinds of places that take a kind of devices, those with the shortest way first."""
        found = self._taking.get(kind)
        if found is None:
            places = self._places.get(kind.type, {})
            found = self._taking[kind] = [place for place in places if self._accepts(kind, place)]
        return found

    def rooms(self, stage: Stage, place: Kind) -> dict[Room, None]:
        """The open rooms of a kind of places on hosts of a stage, in the order in which they opened."""
        return self._open.get((stage, place), _NONE)

    def accepts(self, source: Kind, target: Kind) -> bool:
        """The verdict."""
        return self._accepts(source, target)

    def broken(self) -> bool:
        """Whether a device would be stranded, or too little is left, as it is now."""
        if self.limits.spare and any(self.spare.get(kind, 0) < self.limits.spare for kind in self._in_use):
            return True
        return next(self._lacking(), None) is not None

    def stranded(self) -> Iterator[tuple[Device, Node]]:
        """Devices with no open place on any other host that is up, exempt ones aside."""
        for kind, node in self._lacking():
            for device in node.devices:
                if device.kind is kind and not device.exempt:
                    yield device, node

    def scarce(self) -> Iterator[str]:
        """Types of which less is left than is to be."""
        return (kind for kind in self._in_use if self.spare.get(kind, 0) < self.limits.spare)

    def move(self, device: Device, to: Room) -> None:
        """A device goes to a room that has an instance for it, and is of that place's kind then."""
        self._apply(device, to, to.kinds[device.kind.type], arrived=True)

    def _apply(self, device: Device, to: Room, kind: Kind, *, arrived: bool) -> None:
        home, was, had = device.room, device.kind, device.arrived
        self._leave(device)
        device.room, device.kind, device.arrived = to, kind, arrived
        self._enter(device)
        self._undo.append(lambda: self._back(device, home, was, had))

    def _back(self, device: Device, room: Room, kind: Kind, arrived: bool) -> None:
        self._leave(device)
        device.room, device.kind, device.arrived = room, kind, arrived
        self._enter(device)

    def _leave(self, device: Device) -> None:
        room, kind = device.room, device.kind.type
        room.node.devices.remove(device)
        room.free[kind] = room.free.get(kind, 0) + 1
        if device.arrived:
            room.arrivals -= 1
            room.claim = room.claim if room.arrivals else None
        self._settled(device, room.node, -1)
        self._refresh(room)

    def _enter(self, device: Device) -> None:
        room, kind = device.room, device.kind.type
        room.node.devices.append(device)
        room.free[kind] -= 1
        if device.arrived:
            room.arrivals += 1
            room.claim = kind
        self._settled(device, room.node, 1)
        self._refresh(room)

    def send(self, node: Node) -> None:
        """A host goes away to be upgraded."""
        self._set_up(node, up=False)
        self._undo.append(lambda: self._set_up(node, up=True))

    def _set_up(self, node: Node, *, up: bool) -> None:
        node.up = up
        for room in node.rooms:
            self._refresh(room)

    def welcome(self, node: Node) -> None:
        """A host comes back upgraded."""
        before = [room.kinds for room in node.rooms]
        upgraded = [{name: node.after(kind) for name, kind in kinds.items()} for kinds in before]
        self._reborn(node, upgraded, "new", up=True)
        self._undo.append(lambda: self._reborn(node, before, "old", up=False))

    def _reborn(self, node: Node, kinds: list[dict[str, Kind]], stage: Stage, *, up: bool) -> None:
        for room in node.rooms:
            self._display(room, {})  # also what stays open meanwhile: it is open as that of another stage
        for room, named in zip(node.rooms, kinds, strict=True):
            room.kinds = named
        node.stage = stage
        self._set_up(node, up=up)

    def mark(self) -> int:
        """Where things stand."""
        return len(self._undo)

    def undo(self, mark: int) -> None:
        """Take back everything since then."""
        while len(self._undo) > mark:
            self._undo.pop()()

    def _lacking(self) -> Iterator[tuple[Kind, Node]]:
        for kind, homes in self._homes.items():
            if not homes:
                continue
            opened = [self._open_hosts.get(place, {}) for place in self.taking(kind)]
            total = sum(map(len, opened))
            if total <= len(opened):  # else more than one host is open
                for node in homes:
                    if total <= sum(node in hosts for hosts in opened):
                        yield kind, node

    def _settled(self, device: Device, node: Node, times: int) -> None:
        name = device.kind.type
        self._in_use[name] = self._in_use.get(name, 0) + times
        if not self._in_use[name]:
            del self._in_use[name]
        if not device.exempt:
            _count(self._homes.setdefault(device.kind, {}), node, times)

    def _know(self, kinds: Iterable[Kind]) -> None:
        for kind in kinds:
            self._places.setdefault(kind.type, {})[kind] = None

    def _refresh(self, room: Room) -> None:
        """Bring what is counted to what the room is now."""
        there = (room.node.up or room.stays) and room.node.sound
        self._display(room, {name: usable for name in room.kinds if there and (usable := room.usable(name)) > 0})

    def _display(self, room: Room, now: dict[str, int]) -> None:
        shown = self._shown.get(room, {})
        if now == shown:
            return
        for name in shown.keys() | now.keys():
            self.spare[name] = self.spare.get(name, 0) + now.get(name, 0) - shown.get(name, 0)
            if (name in shown) is not (name in now):
                self._turn(room, room.kinds[name], opened=name in now)
        self._shown[room] = now

    def _turn(self, room: Room, kind: Kind, *, opened: bool) -> None:
        rooms = self._open.setdefault((room.node.stage, kind), {})
        if opened:
            rooms[room] = None
        else:
            del rooms[room]
        _count(self._open_hosts.setdefault(kind, {}), room.node, 1 if opened else -1)


def _count(counts: dict[Node, int], node: Node, times: int) -> None:
    left = counts.get(node, 0) + times
    if left:
        counts[node] = left
    else:
        del counts[node]
