"""Where the devices of one host go, by preference: fast, and nearly always right. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from mdevreg.fleet.kinds import Kind
from mdevreg.planning.waves.nodes import STAGES, Device, Node, Room, Stage
from mdevreg.planning.waves.yard import Yard


class Move(NamedTuple):
    """One migration of a plan."""

    device: str
    type: str
    source: str  # name of the host
    target: str
    parent: str  # of the target


#: Upgraded hosts and those that stay as they are never have to be emptied later; but only old ones may be open to what
#: a device becomes.
_STAGES: tuple[tuple[Stage, ...], ...] = (("new", "fixed", "old"), ("fixed", "old", "new"), ("old", "fixed", "new"))


def empty(yard: Yard, node: Node) -> list[Move] | None:
    """Move all devices of a host away and send it; ``None``: no way was found, and nothing has changed."""
    for stages in _STAGES:
        mark = yard.mark()
        moves = moves_of(yard, node, stages)
        if moves is not None:
            yard.send(node)
            if not yard.broken():
                return moves
        yard.undo(mark)
        if not node.leaving:
            return None
    return None


def carry_out(yard: Yard, node: Node, rooms: Iterable[tuple[Device, Room]]) -> list[Move]:
    """Move devices of a host where it was found that they may go, and send it."""
    moves: list[Move] = []
    for device, room in rooms:
        moves.append(Move(device.name, device.kind.type, node.name, room.node.name, room.parent))
        yard.move(device, room)
    yard.send(node)
    return moves


def may_go(yard: Yard, device: Device, place: Kind) -> bool:
    """Whether a kind of places takes a device, and lets it come back if that is asked for."""
    if not yard.accepts(device.kind, place):
        return False
    return not yard.limits.return_path or any(yard.accepts(place, home) for home in homes(device))


def homes(device: Device) -> list[Kind]:
    """What the places of a device's type on its host become."""
    node, name = device.room.node, device.kind.type
    return [node.after(room.kinds[name]) for room in node.rooms if name in room.kinds]


def moves_of(yard: Yard, node: Node, stages: Sequence[Stage] = STAGES) -> list[Move] | None:
    """Move all devices of a host away, those with the fewest kinds of places first; ``None``: one found no place."""
    if not node.sound and node.leaving:
        return None
    moves: list[Move] = []
    for device in sorted(node.leaving, key=lambda each: (len(yard.taking(each.kind)), each.kind.order, each.name)):
        room = _room(yard, device, node, stages)
        if room is None:
            return None
        moves.append(Move(device.name, device.kind.type, node.name, room.node.name, room.parent))
        yard.move(device, room)
    return moves


def _room(yard: Yard, device: Device, node: Node, stages: Sequence[Stage]) -> Room | None:
    places = [place for place in yard.taking(device.kind) if may_go(yard, device, place)]
    for stage in stages:
        for place in places:
            rooms = yard.rooms(stage, place)
            # Of old hosts the last come last to be upgraded.
            for room in reversed(rooms) if stage == "old" else iter(rooms):
                if room.node is not node:
                    return room
    return None
