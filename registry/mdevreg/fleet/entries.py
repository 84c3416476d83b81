"""A host as the fleet index keeps it: small, never changed, with everything shared that is alike elsewhere. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from mdevreg.fleet.kinds import Kind
from mdevreg.published import BUCKETS
from mdevreg.records import DriverBuild

#: Where ``HostEntry.pulse`` points if the facts are out of sync: nobody was ever heard there.
UNHEARD = BUCKETS


class Offering:
    """What one host has of a type: its kinds, and whether each has a free instance (not known counts as yes).

    Compared by identity: equal ones are the same object.
    """

    __slots__ = ("kinds", "order", "type")

    def __init__(self, kind_of_device: str, kinds: tuple[tuple[Kind, bool], ...]) -> None:
        self.type, self.kinds = kind_of_device, kinds
        self.order = tuple((kind.order, free) for kind, free in kinds)


#: What a host offers: each type once.
Members = tuple[Offering, ...]


class ParentLayout(msgspec.Struct, frozen=True):
    """One parent without its capacity and devices: many hosts have the same. ``first``: the slot of its first type."""

    path: str
    name: str
    types: tuple[tuple[str, Kind], ...]
    builds: tuple[DriverBuild, ...]
    first: int


class Layout:
    """The parents of a host without capacities and devices. A *slot* is one type of one parent, counted through.

    ``by_type``: type → its kinds, each with the slots that are of it, by the parent's name.
    """

    __slots__ = ("_members", "by_type", "parents", "slots")

    def __init__(self, parents: tuple[ParentLayout, ...]) -> None:
        self.parents = parents
        self.slots = tuple((parent, kind) for parent in parents for _, kind in parent.types)
        grouped: dict[str, dict[Kind, list[int]]] = {}
        for slot, (parent, kind) in enumerate(self.slots):
            name = parent.types[slot - parent.first][0]
            grouped.setdefault(name, {}).setdefault(kind, []).append(slot)
        for slots in (slots for kinds in grouped.values() for slots in kinds.values()):
            slots.sort(key=lambda slot: self.slots[slot][0].name)
        self.by_type = {
            name: tuple((kind, tuple(slots)) for kind, slots in sorted(kinds.items(), key=lambda item: item[0].order))
            for name, kinds in grouped.items()
        }
        self._members: dict[tuple[int, ...], Members] = {}

    def members(self, free: tuple[int | None, ...], offerings: Offerings) -> Members:
        """What a host with these free instances, by slot, offers."""
        full = tuple(slot for slot, count in enumerate(free) if count == 0) if 0 in free else ()
        found = self._members.get(full)
        if found is None:
            without = set(full)
            found = self._members[full] = tuple(
                offerings.of(name, tuple((kind, not without.issuperset(slots)) for kind, slots in kinds))
                for name, kinds in sorted(self.by_type.items())
            )
        return found


class Offerings:
    """Interns offerings."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, tuple[tuple[Kind, bool], ...]], Offering] = {}

    def of(self, kind_of_device: str, kinds: tuple[tuple[Kind, bool], ...]) -> Offering:
        """The offering of a type and its kinds."""
        key = (kind_of_device, kinds)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = Offering(kind_of_device, kinds)
        return found


class DeviceRef(msgspec.Struct, frozen=True, gc=False):
    """An existing device. ``pulse``: where its host's signs of life are (``HostEntry.pulse``)."""

    name: str
    host: str
    pulse: int
    parent: str
    kind: Kind


class HostEntry(msgspec.Struct, frozen=True, gc=False):
    """One host. ``name``: how it is called in answers, its hostname where no other host has that, else its id.

    ``free``: free instances by slot of ``layout``. ``sound``: whether its facts were good when last looked at;
    ``pulse``: the bucket in which it is heard, ``UNHEARD`` while its facts are out of sync.
    """

    host: str
    hostname: str
    name: str
    site: str | None
    kernel_release: str | None
    changed_at: datetime | None
    position: int
    token: int
    missing: int
    bucket: int
    pulse: int
    sound: bool
    layout: Layout
    free: tuple[int | None, ...]
    members: Members
    devices: tuple[DeviceRef, ...]

    @property
    def in_sync(self) -> bool:
        """Whether the registry's digest is the agent's."""
        return self.pulse != UNHEARD


def most_free(free: tuple[int | None, ...], slots: Sequence[int]) -> int | None:
    """The free instances of the slot that has most; of several the first, which is that of the first parent by name."""
    return free[max(slots, key=lambda slot: free[slot] or 0)]
