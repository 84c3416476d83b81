"""Hosts, their rooms and their devices while an order is planned: what changes as the plan goes on. Pure.

A *room* is one parent of a host. It takes devices of one type at a time from the plan, as many as it says are free:
whether its types share capacity is not told by the kernel. What a device leaves is free again for its own type.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

from mdevreg.fleet.entries import HostEntry
from mdevreg.fleet.kinds import Kind

#: ``old``: to be upgraded; ``new``: was upgraded; ``fixed``: stays as it is.
Stage = Literal["old", "new", "fixed"]
STAGES: tuple[Stage, ...] = get_args(Stage)


class Room:
    """One parent. ``kinds`` and ``free`` by type; ``claim``: the type of what the plan brought, while it is there.

    ``stays``: it is not away while its host is upgraded.
    """

    __slots__ = ("arrivals", "claim", "free", "kinds", "node", "parent", "stays")

    def __init__(self, node: Node, parent: str, kinds: dict[str, Kind], free: dict[str, int]) -> None:
        self.node, self.parent, self.kinds, self.free = node, parent, kinds, free
        self.claim: str | None = None
        self.arrivals = 0
        self.stays = False

    def usable(self, kind: str) -> int:
        """How many devices of a type it would take now."""
        return self.free.get(kind, 0) if self.claim in (None, kind) else 0


class Device:
    """One device. ``exempt``: it had no place to go when the plan began, so that none can be kept for it.

    ``arrived``: the plan brought it to its room.
    """

    __slots__ = ("arrived", "exempt", "kind", "name", "room")

    def __init__(self, name: str, kind: Kind, room: Room) -> None:
        self.name, self.kind, self.room = name, kind, room
        self.exempt = self.arrived = False


class Node:
    """One host. ``up``: it is not away to be upgraded. ``number``: its place in the order of names."""

    __slots__ = ("after", "devices", "host", "name", "number", "rooms", "site", "sound", "stage", "up")

    def __init__(
        self, entry: HostEntry, number: int, stage: Stage, after: Callable[[Kind], Kind], *, reload: bool = False
    ) -> None:
        self.host, self.name, self.site, self.sound = entry.host, entry.name, entry.site, entry.sound
        self.number, self.stage, self.up = number, stage, True
        self.after = after
        self.rooms = [_room(self, entry, at) for at in range(len(entry.layout.parents))]
        for room in self.rooms:
            room.stays = reload and all(after(kind) is kind for kind in room.kinds.values())
        by_name = {room.parent: room for room in self.rooms}
        self.devices = [Device(ref.name, ref.kind, by_name[ref.parent]) for ref in entry.devices]

    @property
    def leaving(self) -> list[Device]:
        """The devices that must go before it is upgraded."""
        return [device for device in self.devices if not device.room.stays]


def _room(node: Node, entry: HostEntry, at: int) -> Room:
    parent = entry.layout.parents[at]
    kinds = dict(parent.types)
    free = {name: entry.free[parent.first + number] or 0 for number, name in enumerate(kinds)}
    return Room(node, parent.name, kinds, free)
