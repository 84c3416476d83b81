"""The floor: what CPython needs for the bare look-ups, with everything known beforehand and nothing told beside.

A dictionary of hosts' profiles, one of verdicts by profile pair, a list of free hosts per profile. No staleness, no
rules, no reasons, no position, no snapshot: what an answer can't be cheaper than.
"""

from __future__ import annotations

from datetime import UTC, datetime

from apart import rss_of
from fleets import Fleet, Host

from mdevreg.catalog import Catalog
from mdevreg.compatibility import DEFAULT_RULES, judge
from mdevreg.facts import Evidence, Side
from mdevreg.profiles import Profile
from mdevreg.shipped import shipped_entries
from mdevreg.support import support_of
from mdevreg.verdict import Outcome

#: A host's name and one of its types.
Named = tuple[str, str]


class Floor:
    """The fleet as plain dictionaries by hosts' names; profiles are small numbers."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self.numbers = {digest: number for number, digest in enumerate(fleet.profiles)}
        self.verdicts = verdicts_of(list(fleet.profiles.values()))
        self.offers: dict[str, dict[str, int]] = {}
        self.free: dict[str, dict[str, int]] = {}
        self.groups: dict[int, list[str]] = {number: [] for number in self.verdicts}
        self._places: dict[int, dict[str, int]] = {number: {} for number in self.verdicts}
        for host in fleet.hosts:
            self.offers[host.hostname], self.free[host.hostname] = {}, {}
            self.move(host.hostname, *self.entries(host))
        self.accepting = {
            source: [self.groups[target] for target, yes in row.items() if yes] for source, row in self.verdicts.items()
        }

    def entries(self, host: Host) -> tuple[dict[str, int], dict[str, int]]:
        """Profile and free instances of each type of a host."""
        numbers = [self.numbers[digest] for digest in self._fleet.profile_digests(host)]
        return dict(zip(host.types, numbers, strict=True)), dict(zip(host.types, host.free, strict=True))

    def count(self, source: Named) -> int:
        """How many hosts accept a host's type, with an instance free."""
        host, kind = source
        return sum(map(len, self.accepting[self.offers[host][kind]]))

    def first(self, source: Named, limit: int = 100) -> list[str]:
        """The names of some of them."""
        host, kind = source
        found: list[str] = []
        for group in self.accepting[self.offers[host][kind]]:
            found += group[: limit - len(found)]
            if len(found) >= limit:
                break
        return found

    def names(self, source: Named) -> list[str]:
        """The names of all of them."""
        host, kind = source
        found: list[str] = []
        for group in self.accepting[self.offers[host][kind]]:
            found += group
        return found

    def update(self, host: str, profiles: dict[str, int], free: dict[str, int]) -> None:
        """The bare update of a host's entries; the lists of hosts stay as they are."""
        self.offers[host].update(profiles)
        self.free[host].update(free)

    def move(self, host: str, profiles: dict[str, int], free: dict[str, int]) -> None:
        """The update, and the host moved between the lists of free hosts."""
        offers, had = self.offers[host], self.free[host]
        for kind, profile in profiles.items():
            before = offers[kind] if had.get(kind) else None
            after = profile if free[kind] else None
            if before != after:
                if before is not None:
                    self._remove(before, host)
                if after is not None:
                    self._places[after][host] = len(self.groups[after])
                    self.groups[after].append(host)
        offers.update(profiles)
        had.update(free)

    def _remove(self, group: int, host: str) -> None:
        """The last one takes its place."""
        names, places = self.groups[group], self._places[group]
        place, last = places.pop(host), names.pop()
        if last != host:
            names[place] = last
            places[last] = place


def verdicts_of(profiles: list[Profile]) -> dict[int, dict[int, bool]]:
    """Source → target → whether its streams load there, by the numbers of the profiles; pairs of one type only."""
    catalog, now = Catalog((), shipped_entries()), datetime(2026, 11, 24, 14, tzinfo=UTC)
    evidence = Evidence(host="h", hostname="h", last_seen=now)
    sides = [Side(evidence, "p", profile, support_of(profile, catalog)) for profile in profiles]
    return {
        one: {
            other: judge(source, target, DEFAULT_RULES, now).outcome is Outcome.COMPATIBLE
            for other, target in enumerate(sides)
            if target.profile.type == source.profile.type
        }
        for one, source in enumerate(sides)
    }


def memory(hosts: int) -> float:
    """MiB that the dictionaries and lists take. Names are made anew, so that they count."""
    fleet = Fleet(hosts)
    return rss_of(lambda: _copied(fleet))[1]


def _copied(fleet: Fleet) -> Floor:
    from msgspec import structs

    fleet.hosts = [structs.replace(host, hostname="".join(host.hostname)) for host in fleet.hosts]
    return Floor(fleet)
