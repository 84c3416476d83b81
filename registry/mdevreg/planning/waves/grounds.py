"""What is planned for: the hosts, which of them are upgraded, and what becomes of them. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from msgspec import structs

from mdevreg.fleet.entries import DeviceRef, HostEntry
from mdevreg.fleet.kinds import Kind
from mdevreg.planning.overlay import Overlay
from mdevreg.planning.waves.hops import NEVER
from mdevreg.planning.waves.limits import Limits
from mdevreg.planning.waves.nodes import Node, Stage
from mdevreg.planning.waves.yard import Yard
from mdevreg.records import DriverBuild
from mdevreg.verdict import Outcome


class Grounds(NamedTuple):
    """Every host, which of them are upgraded, what becomes of their kinds."""

    entries: tuple[HostEntry, ...]  # by name
    chosen: frozenset[str]  # ids
    overlay: Overlay

    def yard(self, limits: Limits) -> Yard:
        """The fleet as it is, to be planned on."""
        after, reload = self.overlay.after, limits.reload
        nodes = (Node(entry, at, self.stage(entry), after, reload=reload) for at, entry in enumerate(self.entries))
        return Yard(nodes, _Accepts(self.overlay), limits)

    def stage(self, entry: HostEntry) -> Stage:
        """``old``: it is to become another; ``fixed``: it stays as it is."""
        changes = any(self.overlay.after(kind) is not kind for _, kind in entry.layout.slots)
        return "old" if entry.host in self.chosen and changes else "fixed"

    def builds(self, driver: str) -> list[DriverBuild]:
        """The builds of a driver under which hosts offer anything, by version."""
        kinds = (kind for entry in self.entries for _, kind in entry.layout.slots)
        found = {build for kind in dict.fromkeys(kinds) if (build := kind.profile.driver) and build.name == driver}
        return sorted(found, key=repr)

    def stuck(self, limits: Limits) -> frozenset[str]:
        """Devices on hosts to be upgraded that no way leads to a place that stays."""
        yard = self.yard(limits)
        old = (node for node in yard.nodes.values() if node.stage == "old")
        return frozenset(device.name for node in old for device in node.leaving if yard.hops.of(device.kind) == NEVER)

    def with_spares(self, like: HostEntry, count: int) -> Grounds:
        """With empty hosts like one of them, to be upgraded too."""
        free = list(like.free)
        places = {
            (parent.name, name): parent.first + at
            for parent in like.layout.parents
            for at, (name, _) in enumerate(parent.types)
        }
        for ref in like.devices:
            slot = places.get((ref.parent, ref.kind.type))
            if slot is not None:
                free[slot] = (free[slot] or 0) + 1
        spares = tuple(
            structs.replace(
                like, host=f"spare {number}", name=f"spare {number}", free=tuple(free), devices=(), sound=True
            )
            for number in range(1, count + 1)
        )
        return self._replace(entries=(*self.entries, *spares), chosen=self.chosen | {each.host for each in spares})

    def without_devices(self, names: frozenset[str]) -> Grounds:
        """With some devices gone; what they leave is not counted on."""
        return self._replace(entries=tuple(_without(entry, names) for entry in self.entries))

    def again(self, yard: Yard, limits: Limits) -> Yard:
        """The fleet after another upgrade of the same hosts, to be planned on."""
        for node in yard.nodes.values():
            node.after = self.overlay.after
            changes = any(node.after(kind) is not kind for room in node.rooms for kind in room.kinds.values())
            node.stage = "old" if node.host in self.chosen and changes else "fixed"
        return Yard(yard.nodes.values(), _Accepts(self.overlay), limits)


def _without(entry: HostEntry, names: frozenset[str]) -> HostEntry:
    kept: Iterable[DeviceRef] = (ref for ref in entry.devices if ref.name not in names)
    return structs.replace(entry, devices=tuple(kept)) if any(ref.name in names for ref in entry.devices) else entry


class _Accepts:
    """Whether a kind of devices may go to a kind of places, as the overlay judges it; only a certain yes is one."""

    def __init__(self, overlay: Overlay) -> None:
        self._table, self._known = overlay.table, dict[tuple[Kind, Kind], bool]()

    def __call__(self, source: Kind, target: Kind) -> bool:
        found = self._known.get((source, target))
        if found is None:
            found = self._table.ruling(source, target).outcome is Outcome.COMPATIBLE
            self._known[source, target] = found
        return found
