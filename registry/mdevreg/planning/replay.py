"""Replays a plan of waves step by step against ``judge``: code of its own, which shares nothing with the planner. Pure.

It knows hosts by name and devices one by one. After each step it looks whether the plan kept what it had to: every
migration is a yes and has an instance, hosts are empty when they go, every device that had a place to go has one,
enough is spare, and not too many hosts are away.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

import msgspec

from mdevreg.facts import Side
from mdevreg.verdict import Outcome


class Bound(Protocol):
    """What a plan had to keep (``mdevreg.planning.waves.limits.Limits``)."""

    @property
    def at_once(self) -> int:
        """Hosts away at the same time."""
        ...

    @property
    def per_site(self) -> int | None:
        """Of them at one site."""
        ...

    @property
    def spare(self) -> int:
        """Free instances of each type in use."""
        ...

    @property
    def reload(self) -> bool:
        """Whether only drivers are loaded anew."""
        ...

    @property
    def return_path(self) -> bool:
        """Whether a device could come back to its old host, upgraded."""
        ...


class Step(Protocol):
    """One migration of a plan (``mdevreg.planning.waves.plan.Migration``)."""

    @property
    def device(self) -> str:
        """Its name."""
        ...

    @property
    def type(self) -> str:
        """Of the device."""
        ...

    @property
    def source(self) -> str:
        """A host."""
        ...

    @property
    def target(self) -> str:
        """Another."""
        ...

    @property
    def parent(self) -> str:
        """Of the target."""
        ...


class Slot(msgspec.Struct):
    """One type that a parent offers: as it is, and as the upgrade makes it. ``free``: instances."""

    side: Side
    after: Side
    free: int


class Staying(msgspec.Struct):
    """One device, and on which parent. ``brought``: by the plan. ``owed`` a place: it had one to go to at first."""

    name: str
    side: Side
    parent: str
    brought: bool = False
    owed: bool = False


class Site(msgspec.Struct):
    """One host. ``slots``: by parent and type. ``good``: its facts are. ``wanted``: it is to be upgraded.

    ``away``: parents that are away now.
    """

    name: str
    site: str | None
    slots: dict[tuple[str, str], Slot]
    devices: dict[str, Staying]
    good: bool = True
    wanted: bool = False
    away: frozenset[str] = frozenset()

    def claimed(self, parent: str) -> str | None:
        """The type of what the plan brought to a parent: it takes no other then."""
        return next(
            (_type(each.side) for each in self.devices.values() if each.brought and each.parent == parent), None
        )

    def usable(self, parent: str, kind: str) -> int:
        """How many more devices of a type a parent takes."""
        slot = self.slots.get((parent, kind))
        if slot is None or parent in self.away or not self.good or self.claimed(parent) not in (None, kind):
            return 0
        return slot.free


#: ``says(source, target)``: the verdict on the merits of two sides.
Says = Callable[[Side, Side], Outcome]


class Replay:
    """The fleet under a plan. ``faults``: what the plan broke, in words; a good plan has none."""

    def __init__(self, sites: Mapping[str, Site], says: Says, bound: Bound) -> None:
        self.sites, self._says, self._bound = sites, says, bound
        self._said: dict[tuple[int, int], bool] = {}
        self._kept: list[Side] = []  # so that no id is given twice
        self._open: dict[int, tuple[Side, set[str]]] = {}  # what is offered → hosts with a free instance of it
        self._shown: dict[str, list[tuple[int, str, int]]] = {}  # host → what it adds to that, and to what is spare
        self._spare: Counter[str] = Counter()
        self.faults: list[str] = []
        for site in sites.values():
            self._show(site)
        for site in sites.values():
            for device in site.devices.values():
                device.owed = self._elsewhere(site, device)

    def wave(self, hosts: tuple[str, ...], steps: Sequence[Step]) -> None:
        """One wave: migrations, then the hosts are away, then they are back."""
        before = len(self.faults)
        for step in steps:
            self._migrate(step, hosts)
        away = [self.sites[name] for name in hosts if name in self.sites]
        self.faults += [f"there is no host {name}" for name in hosts if name not in self.sites]
        self._bounds(away)
        for site in away:
            site.away = self._leaving(site)
            self._show(site)
            there = [device for device in site.devices.values() if device.parent in site.away]
            if there:
                self.faults.append(f"{site.name} would be upgraded with {len(there)} devices still on it")
        if len(self.faults) == before:
            self.faults += self._short()
        for site in away:
            site.away, site.wanted = frozenset(), False
            for slot in site.slots.values():
                slot.side = slot.after
            self._show(site)

    def unfinished(self) -> list[str]:
        """Hosts that were to be upgraded and are not."""
        return [site.name for site in self.sites.values() if site.wanted]

    def _leaving(self, site: Site) -> frozenset[str]:
        """The parents that are away while a host is upgraded: all, or those that become others."""
        changing = {parent for (parent, _), slot in site.slots.items() if slot.after is not slot.side}
        everything = {parent for parent, _ in site.slots} | {device.parent for device in site.devices.values()}
        return frozenset(changing if self._bound.reload else everything)

    def _migrate(self, step: Step, hosts: tuple[str, ...]) -> None:
        source, target = self.sites.get(step.source), self.sites.get(step.target)
        device = None if source is None else source.devices.get(step.device)
        said = f"{step.device} from {step.source} to {step.target}/{step.parent}"
        slot = None if target is None else target.slots.get((step.parent, step.type))
        if source is None or target is None or device is None or slot is None:
            self.faults.append(f"{said}: there is no such host, device or type")
            return
        if step.target in hosts or target is source:
            self.faults.append(f"{said}: that host is about to go itself")
        if not source.good or not self._yes(device.side, slot.side):
            self.faults.append(f"{said}: its stream would not certainly be loaded there")
        if not target.usable(step.parent, step.type):
            self.faults.append(f"{said}: no instance is free there")
        if self._bound.return_path and not any(
            self._yes(slot.side, home.after) for (_, kind), home in source.slots.items() if kind == step.type
        ):
            self.faults.append(f"{said}: it could not come back")
        here = source.slots.get((device.parent, step.type))
        if here is not None:
            here.free += 1
        slot.free -= 1
        del source.devices[step.device]
        target.devices[step.device] = Staying(step.device, slot.side, step.parent, brought=True, owed=device.owed)
        self._show(source)
        self._show(target)

    def _bounds(self, away: list[Site]) -> None:
        if len(away) > self._bound.at_once:
            self.faults.append(f"{len(away)} hosts are away at once; at most {self._bound.at_once} were to be")
        for name, count in Counter(site.site for site in away).items():
            if self._bound.per_site is not None and count > self._bound.per_site:
                self.faults.append(f"{count} hosts of site {name} are away; at most {self._bound.per_site} were to be")
        self.faults += [f"{site.name} was not to be upgraded" for site in away if not site.wanted]

    def _short(self) -> Iterator[str]:
        """Who has no place to go, and what is short, while hosts are away."""
        used: set[str] = set()
        plenty: dict[int, bool] = {}  # by what a device is: whether more than one host has a place for it
        for site in self.sites.values():
            for device in site.devices.values():
                enough = plenty.get(id(device.side))
                if enough is None:
                    used.add(_type(device.side))
                    enough = plenty[id(device.side)] = self._plenty(device.side)
                if not enough and device.owed and not self._elsewhere(site, device):
                    yield f"{device.name} on {site.name} has no place to go"
        for kind in sorted(used):
            if self._spare[kind] < self._bound.spare:
                yield f"{self._spare[kind]} instances of {kind} are spare; at least {self._bound.spare} were to be"

    def _show(self, site: Site) -> None:
        """Count anew what a host has to offer."""
        for side, kind, usable in self._shown.get(site.name, ()):
            self._open[side][1].discard(site.name)
            self._spare[kind] -= usable
        shown = self._shown[site.name] = []
        for (parent, kind), slot in site.slots.items():
            usable = site.usable(parent, kind)
            if usable:
                shown.append((id(slot.side), kind, usable))
                self._open.setdefault(id(slot.side), (slot.side, set()))[1].add(site.name)
                self._spare[kind] += usable

    def _plenty(self, source: Side) -> bool:
        return any(len(hosts) > 1 and self._yes(source, side) for side, hosts in self._open.values())

    def _elsewhere(self, site: Site, device: Staying) -> bool:
        return any(
            len(hosts) > (site.name in hosts) and self._yes(device.side, side) for side, hosts in self._open.values()
        )

    def _yes(self, source: Side, target: Side) -> bool:
        key = (id(source), id(target))
        found = self._said.get(key)
        if found is None:
            self._kept += [source, target]
            found = self._said[key] = self._says(source, target) is Outcome.COMPATIBLE
        return found


def _type(side: Side) -> str:
    return side.profile.type or ""
