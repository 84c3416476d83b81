"""How driver builds, and what they save and load, are spread over a fleet. Pure.

Doors hand in how hosts stand, the same many times over where hosts are alike; here they are counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Literal, get_args

import msgspec
from msgspec import structs

from mdevreg.facts import NOW, Moment
from mdevreg.profiles import Profile
from mdevreg.records import DriverBuild
from mdevreg.rules import FLEET, Scope
from mdevreg.scopes import fits, refuse_other_keys, told_of
from mdevreg.streams import StreamSet
from mdevreg.support import NoSupport, NotMigratable, StreamSupport, Support

By = Literal["site", "model", "type"]
GROUPS: tuple[By, ...] = get_args(By)
#: The keys of a scope that are told of what is counted.
KEYS = tuple(name for name in Scope.__struct_fields__ if name != "device")

#: The profile of a digest, and what it saves and loads as the registry understands it.
Understand = Callable[[str], tuple[Profile, Support]]


class StreamShare(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a build saves and loads for some types, and on how many hosts. ``unknown``: why that is not known."""

    state: Literal["streams", "not_migratable", "unknown"]
    hosts: int = 0
    types: tuple[str, ...] = ()
    format: str | None = None
    saves: StreamSet | None = None
    loads: StreamSet | None = None
    unknown: str | None = None


class DriverShare(msgspec.Struct, frozen=True, omit_defaults=True):
    """One driver build: how many hosts and parents run it, and what it saves and loads there.

    ``group``: the site, model or type that was grouped by; ``None``: it is not known.
    """

    build: DriverBuild
    hosts: int
    parents: int
    group: str | None = None
    streams: tuple[StreamShare, ...] = ()


class Distribution(msgspec.Struct, frozen=True):
    """The driver builds of a fleet: by group, then name, then most hosts first."""

    position: int
    drivers: tuple[DriverShare, ...]
    snapshot: str = ""
    by: By | None = None


class DistributionAsked(msgspec.Struct, frozen=True):
    """What is counted, and by which groups. ``where``: the keys of ``KEYS``."""

    by: By | None = None
    where: Scope = FLEET
    moment: Moment = NOW


class Fitted(msgspec.Struct, frozen=True):
    """One parent as it stands: its builds, and the digests of the profiles that it offers types with."""

    name: str
    builds: tuple[DriverBuild, ...]
    profiles: tuple[str, ...] = ()


class Standing(msgspec.Struct, frozen=True):
    """How so many hosts stand, alike as far as is counted. ``names``: id and hostname, where they are asked for."""

    site: str | None
    parents: tuple[Fitted, ...]
    names: tuple[str, ...] = ()
    hosts: int = 1


def check(asked: DistributionAsked) -> DistributionAsked:
    """The question, if it can be meant. Raises ``UsageError``."""
    refuse_other_keys(asked.where, KEYS, "a driver's distribution")
    return asked


def model_of(profile: Profile) -> str | None:
    """What the card is, as far as a profile tells: NVML's name of it, else the PCI ids of its VFs."""
    if profile.nvml is not None and profile.nvml.name is not None:
        return profile.nvml.name
    pci = profile.pci
    return None if pci is None or pci.vendor is None else f"{pci.vendor}:{pci.device or '?'}"


def shares_of(
    standings: Iterable[Standing], asked: DistributionAsked, understand: Understand
) -> tuple[DriverShare, ...]:
    """The builds of these hosts, counted."""
    count = _Count(asked, understand)
    for standing in standings:
        count.add(standing)
    return count.shares()


#: A group and a build.
_Place = tuple[str | None, DriverBuild]


class _Count:
    def __init__(self, asked: DistributionAsked, understand: Understand) -> None:
        self._asked, self._understand = asked, understand
        self._hosts: Counter[_Place] = Counter()
        self._parents: Counter[_Place] = Counter()
        self._streams: Counter[tuple[_Place, StreamShare]] = Counter()
        self._types: dict[tuple[_Place, StreamShare], set[str]] = {}

    def add(self, standing: Standing) -> None:
        """Count some hosts: each place, and each stream of a place, once per host."""
        parents: Counter[_Place] = Counter()
        streams: set[tuple[_Place, StreamShare]] = set()
        for parent in standing.parents:
            places: set[_Place] = set()
            for build in parent.builds:
                places |= set(self._places(standing, parent, build, streams))
            parents.update(places)
        for place, times in parents.items():
            self._hosts[place] += standing.hosts
            self._parents[place] += times * standing.hosts
        for stream in streams:
            self._streams[stream] += standing.hosts

    def _places(
        self, standing: Standing, parent: Fitted, build: DriverBuild, streams: set[tuple[_Place, StreamShare]]
    ) -> Iterator[_Place]:
        told = {"host": standing.names, "site": (standing.site,), "parent": (parent.name,), **told_of(build)}
        offered = [each for digest in parent.profiles if (each := self._understand(digest))[0].driver == build]
        if not offered and fits(self._asked.where, told):
            yield (standing.site if self._asked.by == "site" else None, build)
        for profile, support in offered:
            if fits(self._asked.where, {**told, "type": (profile.type,), "device_api": (profile.device_api,)}):
                place = (self._group(standing, profile), build)
                stream = (place, _stream_of(support))
                streams.add(stream)
                self._types.setdefault(stream, set()).add(profile.type or "")
                yield place

    def _group(self, standing: Standing, profile: Profile) -> str | None:
        match self._asked.by:
            case "site":
                return standing.site
            case "model":
                return model_of(profile)
            case "type":
                return profile.type
        return None

    def shares(self) -> tuple[DriverShare, ...]:
        """What was counted."""
        streams: dict[_Place, list[StreamShare]] = {}
        for (place, stream), hosts in self._streams.items():
            types = tuple(sorted(self._types[place, stream]))
            streams.setdefault(place, []).append(structs.replace(stream, hosts=hosts, types=types))
        found = [
            DriverShare(build, hosts, self._parents[group, build], group, _ordered(streams.get((group, build), [])))
            for (group, build), hosts in self._hosts.items()
        ]
        return tuple(sorted(found, key=_order))


def _stream_of(support: Support) -> StreamShare:
    match support:
        case StreamSupport():
            return StreamShare("streams", format=support.format, saves=support.saves, loads=support.loads)
        case NotMigratable():
            return StreamShare("not_migratable")
        case NoSupport():
            return StreamShare("unknown", unknown=support.why)


def _ordered(streams: list[StreamShare]) -> tuple[StreamShare, ...]:
    return tuple(sorted(streams, key=lambda each: (-each.hosts, each.types, repr(each))))


def _order(share: DriverShare) -> tuple[bool, str, str, int, str]:
    return (share.group is None, share.group or "", share.build.name, -share.hosts, repr(share.build))
