"""How many hosts offer what, and where devices are, kind by kind. One writer; pure but for what it remembers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from mdevreg.deriving.facts import HostFacts, called, of_kind, parent_name
from mdevreg.facts import Evidence
from mdevreg.fleet.kinds import Kind, Kinds, Places
from mdevreg.fleet.table import RulingTable
from mdevreg.objects import Key
from mdevreg.profiles import Profile
from mdevreg.verdict import Outcome

#: What a host offers of one type.
Offered = frozenset[Kind]


class Takers(msgspec.Struct, frozen=True):
    """The hosts that could take devices of a kind: none, one (``sole``), or more, which counts as 2."""

    count: int
    sole: str = ""

    def strands(self, host: str) -> bool:
        """Whether a device there has no other host to go to."""
        return self.count == 0 or (self.count == 1 and self.sole == host)


NOBODY = Takers(0)


class _Crowd:
    """Hosts that offer the same of a type. ``mix``: their numbers, each combined by exclusive or: of one, itself."""

    __slots__ = ("count", "mix")

    def __init__(self) -> None:
        self.count = self.mix = 0

    def move(self, number: int, by: int) -> None:
        self.count += by
        self.mix ^= number


class Census:
    """Counts under the places that some rules tell apart. ``profiles``: by digest, of all that is counted."""

    def __init__(self, places: Places, profiles: Mapping[str, Profile]) -> None:
        self._kinds, self._profiles = Kinds(places), profiles
        self.hosts: dict[Kind, int] = {}  # how many offer a kind
        self.devices: dict[Kind, dict[str, tuple[Key, ...]]] = {}
        self._crowds: dict[str, dict[Offered, _Crowd]] = {}
        self._numbers: dict[str, int] = {}
        self._names: list[str] = []

    @property
    def places(self) -> Places:
        """What tells places apart."""
        return self._kinds.places

    def offers(self, host: str, facts: HostFacts) -> dict[str, Offered]:
        """What a host offers, by type."""
        found: dict[str, set[Kind]] = {}
        for key, value in of_kind(facts, "offer"):
            kind = self._kind(host, facts, key[1], value[0], None)
            found.setdefault(kind.type, set()).add(kind)
        return {name: frozenset(kinds) for name, kinds in found.items()}

    def devices_of(self, host: str, facts: HostFacts) -> dict[Key, Kind]:
        """The devices of a host whose type is known, each with its kind."""
        found = ((key, self._kind(host, facts, key[1], value[2], key[2])) for key, value in of_kind(facts, "device"))
        return {key: kind for key, kind in found if kind.type}

    def move(self, host: str, before: HostFacts, after: HostFacts) -> tuple[set[str], list[Kind]]:
        """A host's facts are others. Returns the types of which it offers another thing, and kinds that are new."""
        old, new = self.offers(host, before), self.offers(host, after)
        touched = {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)}
        number, come = self._number(host), []
        for name in sorted(touched):
            gone, here = old.get(name, frozenset()), new.get(name, frozenset())
            self._crowd(name, gone, number, -1)
            self._crowd(name, here, number, +1)
            come += [kind for kind in sorted(here - gone, key=_order) if kind not in self.hosts]
            for kind in gone - here:
                self.hosts[kind] -= 1
                if not self.hosts[kind]:
                    del self.hosts[kind]
            for kind in here - gone:
                self.hosts[kind] = self.hosts.get(kind, 0) + 1
        self._move_devices(host, self.devices_of(host, before), self.devices_of(host, after))
        return touched, come

    def offered(self, kind_of_device: str) -> list[Kind]:
        """The kinds of a type that some host offers."""
        return sorted((kind for kind in self.hosts if kind.type == kind_of_device), key=_order)

    def types(self) -> list[str]:
        """The types of which there are devices or offers."""
        return sorted({kind.type for kind in (*self.hosts, *self.devices)})

    def kinds_of_devices(self, kind_of_device: str) -> list[Kind]:
        """The kinds of the devices of a type."""
        return sorted((kind for kind in self.devices if kind.type == kind_of_device), key=_order)

    def takers(self, kind: Kind, table: RulingTable) -> Takers:
        """Who could take devices of a kind."""
        count = mix = 0
        for kinds, crowd in self._crowds.get(kind.type, {}).items():
            if _best(kind, kinds, table) is Outcome.COMPATIBLE:
                count, mix = count + crowd.count, mix ^ crowd.mix
        return Takers(min(count, 2), self._names[mix] if count == 1 else "")

    def best_elsewhere(self, kind: Kind, own: Offered | None, table: RulingTable) -> Outcome | None:
        """The best verdict at any host but one that offers ``own``; ``None``: nobody else offers the type."""
        outcomes = {
            _best(kind, kinds, table)
            for kinds, crowd in self._crowds.get(kind.type, {}).items()
            if crowd.count > (kinds == own)
        }
        return next((each for each in _BEST_FIRST if each in outcomes), None)

    def scopes_of(self, kind: Kind) -> tuple[str, ...]:
        """The scopes that tell a kind from others with its profile."""
        return tuple(str(scope) for number, scope in enumerate(self.places.scopes) if kind.bits >> number & 1)

    def _kind(self, host: str, facts: HostFacts, path: str, digest: str, device: str | None) -> Kind:
        plain = None if self.places.scopes else self._kinds.plain(digest)
        if plain is not None:
            return plain
        where = called(host, facts)
        evidence = Evidence(host, where.hostname, where.site)
        return self._kinds.of(digest, self._profiles[digest], evidence, parent_name(path, facts), device)

    def _number(self, host: str) -> int:
        found = self._numbers.get(host)
        if found is None:
            found = self._numbers[host] = len(self._names)
            self._names.append(host)
        return found

    def _crowd(self, kind_of_device: str, kinds: Offered, number: int, by: int) -> None:
        if not kinds:
            return
        crowds = self._crowds.setdefault(kind_of_device, {})
        crowd = crowds.setdefault(kinds, _Crowd())
        crowd.move(number, by)
        if not crowd.count:
            del crowds[kinds]

    def _move_devices(self, host: str, old: dict[Key, Kind], new: dict[Key, Kind]) -> None:
        if old == new:
            return
        for kind in {*old.values(), *new.values()}:
            here = tuple(key for key, each in new.items() if each is kind)
            hosts = self.devices.setdefault(kind, {})
            if here:
                hosts[host] = here
            else:
                hosts.pop(host, None)
            if not hosts:
                del self.devices[kind]


_BEST_FIRST = (Outcome.COMPATIBLE, Outcome.UNKNOWN, Outcome.INCOMPATIBLE)


def _best(kind: Kind, kinds: Offered, table: RulingTable) -> Outcome:
    outcomes = {table.ruling(kind, each).outcome for each in kinds}
    return next(each for each in _BEST_FIRST if each in outcomes)


def _order(kind: Kind) -> tuple[object, ...]:
    return (kind.type, kind.order)


def census_of(facts: Mapping[str, HostFacts], places: Places, profiles: Mapping[str, Profile]) -> Census:
    """The census of a fleet."""
    census = Census(places, profiles)
    for host, each in facts.items():
        census.move(host, {}, each)
    return census


def everyone(devices: Mapping[str, tuple[Key, ...]]) -> Iterator[tuple[str, Key]]:
    """Devices, host by host."""
    return ((host, key) for host in sorted(devices) for key in devices[host])
