"""The bench's fleet, seeded: the same seed gives the same hosts, documents and messages.

Every host has four types (``fleet_cards``) and one mdev. What the registry would publish of a host is made once for
each make of host and filled in, so that 100,000 hosts take seconds; ``tests/house/test_bench.py`` compares it with
what a registry publishes.
"""

from __future__ import annotations

import random
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property

import msgspec
from fleet_cards import FITTINGS, Card
from msgspec import structs

from mdevreg import subjects
from mdevreg.knowledge import Amendment, CatalogChange, encode_amendment
from mdevreg.objects import Profiles, host_objects, parent_objects
from mdevreg.profiles import Profile, profile_of_type
from mdevreg.published import (
    BUCKETS,
    FLEET_SCHEMA,
    FleetDigest,
    HostState,
    Presence,
    bucket_of,
    index_of,
    summed,
    token_of,
)
from mdevreg.records import SCHEMA, Device, DriverBuild, HostFacts, MdevType, Parent, PciIds, digest_of, state_digest
from mdevreg.shipped import shipped_entries
from mdevreg.wire import encode

#: When the fleet is what it is, µs UTC: 2026-11-24T14:00:00.5Z.
AT_US = 1_795_528_800_500_000
KERNEL_RELEASE = "6.12.117+deb13-amd64"
EPOCH = "0193a5c0-bench"
SITES = ("ams", "fra", "lon", "par")
#: Free instances of a type; a third of them is full.
FREE = (0, 0, 1, 2, 4, 8)
_OS = {"ID": "debian", "VERSION_ID": "13", "PRETTY_NAME": "Debian GNU/Linux 13 (trixie)"}


class Host(msgspec.Struct, frozen=True):
    """One host. ``releases``: of each card's driver; ``free``: of its four types; ``has``: which one its mdev is of."""

    number: int
    id: str
    hostname: str
    site: str
    boot_id: str
    mdev: str
    fitting: int
    releases: tuple[int, ...]
    free: tuple[int, int, int, int]
    has: int

    @property
    def cards(self) -> tuple[Card, ...]:
        """Its hardware."""
        return FITTINGS[self.fitting]

    @property
    def types(self) -> list[str]:
        """The ids of its four types."""
        return [kind for card in self.cards for kind, _ in card.types]


class Fleet:
    """``count`` hosts as they are at ``at_us``, and what the registry's fleet stream says of them."""

    def __init__(self, count: int, *, seed: int = 1, at_us: int = AT_US) -> None:
        self._chance = random.Random(f"{seed} {count}")
        self.at_us = at_us
        self.hosts = [self._host(number) for number in range(count)]
        self._makes: dict[tuple[int, tuple[int, ...], int], _Make] = {}

    def state(self, host: Host, position: int) -> tuple[str, bytes]:
        """The fleet-stream message of a host, as it would be after a commit at a log position."""
        return self._state(host, position)[:2]

    def messages(self) -> Iterator[tuple[str, bytes]]:
        """The whole fleet stream in order: what is believed, profiles, hosts, presence, digest. Made as it is read."""
        yield subjects.fleet_amendment(1, 0), self._catalog()
        for digest, profile in self.profiles.items():
            yield subjects.fleet_profile(digest), encode(profile)
        sums = dict.fromkeys(range(BUCKETS), 0)
        for host in self.hosts:
            subject, data, digest = self._state(host, host.number + 2)
            bucket = bucket_of(host.id)
            sums[bucket] = summed(sums[bucket], token_of(digest, host.number + 2))
            yield subject, data
        yield from self._presence()
        found = {f"{bucket:02x}": f"{total:016x}" for bucket, total in sums.items() if total}
        count = len(self.hosts)
        said = FleetDigest(schema=FLEET_SCHEMA, position=count + 1, hosts=count, buckets=found)
        yield subjects.fleet_digest(0), encode(said)

    @cached_property
    def profiles(self) -> dict[str, Profile]:
        """Every profile that the cards can have, by digest."""
        found, interned = {}, Profiles()
        for card in dict.fromkeys(card for cards in FITTINGS for card in cards):
            for release in range(len(card.releases)):
                parent = _parent(card, release, [0] * len(card.types))
                for kind in parent.types:
                    profile = profile_of_type(parent, kind)
                    found[interned.digest(profile)] = profile
        return found

    def profile_digests(self, host: Host) -> list[str]:
        """The digests of the profiles of its four types."""
        return self._make(host).profiles

    def _host(self, number: int) -> Host:
        chance = self._chance
        fitting, site = number % len(FITTINGS), SITES[chance.randrange(len(SITES))]
        drawn = [chance.choices(range(len(card.releases)), card.shares)[0] for card in FITTINGS[fitting]]
        made = [str(uuid.UUID(int=chance.getrandbits(128), version=4)) for _ in range(3)]
        free = chance.choice(FREE), chance.choice(FREE), chance.choice(FREE), chance.choice(FREE)
        return Host(
            number=number,
            id=made[0],
            hostname=f"hv-{site}-{number:06d}",
            site=site,
            boot_id=made[1],
            mdev=made[2],
            fitting=fitting,
            releases=tuple(drawn),
            free=free,
            has=chance.randrange(4),
        )

    def _make(self, host: Host) -> _Make:
        key = (host.fitting, host.releases, host.has)
        if key not in self._makes:
            self._makes[key] = _Make(host, self.at_us)
        return self._makes[key]

    def _state(self, host: Host, position: int) -> tuple[str, bytes, str]:
        data, digest = self._make(host).filled(host, position)
        return subjects.fleet_host(host.id), data, digest

    def _catalog(self) -> bytes:
        change = CatalogChange(origin="shipped", put=shipped_entries())
        return encode_amendment(Amendment(schema=SCHEMA, at=_moment(self.at_us), author="mdevreg", change=change))

    def _presence(self) -> Iterator[tuple[str, bytes]]:
        """Everybody was heard within the last ten seconds."""
        seen: dict[int, dict[str, int]] = {bucket: {} for bucket in range(BUCKETS)}
        for host in self.hosts:
            seen[bucket_of(host.id)][host.id] = self.at_us - host.number * 7_919 % 10_000_000
        for bucket, heard in seen.items():
            if heard:
                yield subjects.fleet_presence(bucket), encode(Presence(schema=FLEET_SCHEMA, seen_us=heard))


def facts_of(host: Host) -> HostFacts:
    """What its agent tells of the host itself."""
    return HostFacts(
        hostname=host.hostname,
        site=host.site,
        machine_id=host.id.replace("-", ""),
        boot_id=host.boot_id,
        kernel_release=KERNEL_RELEASE,
        os_release=_OS,
        agent_version="bench",
    )


def parents_of(host: Host) -> tuple[Parent, ...]:
    """Its parents, by path."""
    found, first = [], 0
    for card, release in zip(host.cards, host.releases, strict=True):
        free = host.free[first : first + len(card.types)]
        at = host.has - first
        mdev = host.mdev if 0 <= at < len(card.types) else None
        found.append(_parent(card, release, free, mdev, at))
        first += len(card.types)
    return tuple(sorted(found, key=lambda parent: parent.path))


def everyday(host: Host) -> Host:
    """The host after an mdev came or went: its free instances are others."""
    one, two, three, four = host.free
    return structs.replace(host, free=(one ^ 1, two ^ 1, three ^ 1, four ^ 1))


def upgraded(host: Host) -> Host:
    """The host under the next release of its drivers (the oldest after the newest): all four types move."""
    cards = zip(host.cards, host.releases, strict=True)
    return structs.replace(host, releases=tuple((release + 1) % len(card.releases) for card, release in cards))


def _parent(card: Card, release: int, free: Sequence[int], mdev: str | None = None, at: int = 0) -> Parent:
    build = card.releases[release]
    types = [
        MdevType(
            id=kind,
            device_api="vfio-pci",
            name=name,
            description=f"{name}, up to 16 instances",
            available_instances=left,
            migration_stream_version=build.stream,
            migration_stream_version_min=build.stream_min,
        )
        for (kind, name), left in zip(card.types, free, strict=True)
    ]
    driver = DriverBuild(name=card.driver, module=card.driver, kernel_release=KERNEL_RELEASE, version=build.version)
    under = DriverBuild(name="vfio_mdev", module="vfio_mdev", kernel_release=KERNEL_RELEASE)
    devices = () if mdev is None else (Device(name=mdev, type=card.types[at][0], driver=under, iommu_group=117),)
    pci = PciIds(vendor=card.vendor, device="0x2235", subsystem_vendor=card.vendor, class_="0x030200")
    name = card.path.rpartition("/")[2]
    return Parent(
        path=card.path, name=name, subsystem="pci", driver=driver, pci=pci, types=tuple(types), devices=devices
    )


class _Pattern:
    """Bytes with places to be filled in."""

    _PLACES = re.compile(rb'(@[a-z_0-9]+@|"@[A-Z0-9]+@"|9990000\d)')

    def __init__(self, data: bytes) -> None:
        self._parts = self._PLACES.split(data)

    def filled(self, values: Mapping[bytes, bytes]) -> bytes:
        return b"".join([values.get(part, part) for part in self._parts])


class _Make:
    """All that hosts of one make share: their documents and their state, to be filled in."""

    def __init__(self, host: Host, at_us: int) -> None:
        names = {name: f"@{name}@" for name in ("id", "hostname", "site", "boot_id", "mdev")}
        blank = structs.replace(host, free=(99900001, 99900002, 99900003, 99900004), **names)
        facts, parents = facts_of(blank), parents_of(blank)
        interned = Profiles()
        objects = {"": host_objects(facts, 0), **{each.path: parent_objects(each, 0, interned) for each in parents}}
        kinds = {kind.id: interned.digest(profile_of_type(each, kind)) for each in parents for kind in each.types}
        self.profiles = [kinds[kind] for kind in host.types]
        self._facts = _Pattern(encode(structs.replace(facts, machine_id="@machine@")))
        self._parents = {each.path: _Pattern(encode(each)) for each in parents}
        at = _moment(at_us)
        state = HostState(
            schema=FLEET_SCHEMA,
            host="@id@",
            epoch=EPOCH,
            seq=2 + len(parents),
            digest="@digest@",
            position=99900005,
            observed_at=at,
            received_at=at + timedelta(milliseconds=40),
            index=index_of(objects),
            facts=msgspec.Raw(b'"@FACTS@"'),
            parents={each.path: msgspec.Raw(b'"@P%d@"' % at) for at, each in enumerate(parents)},
        )
        self._state = _Pattern(encode(state))

    def filled(self, host: Host, position: int) -> tuple[bytes, str]:
        """The state of a host, and the digest of it."""
        values = {
            b"@id@": host.id.encode(),
            b"@machine@": host.id.replace("-", "").encode(),
            b"@hostname@": host.hostname.encode(),
            b"@site@": host.site.encode(),
            b"@boot_id@": host.boot_id.encode(),
            b"@mdev@": host.mdev.encode(),
            b"99900005": str(position).encode(),
        }
        values.update((b"9990000%d" % at, b"%d" % free) for at, free in enumerate(host.free, start=1))
        facts = values[b'"@FACTS@"'] = self._facts.filled(values)
        digests = {}
        for at, (path, pattern) in enumerate(self._parents.items()):
            data = values[b'"@P%d@"' % at] = pattern.filled(values)
            digests[path] = digest_of(data)
        digest = state_digest(digest_of(facts), digests)
        values[b"@digest@"] = digest.encode()
        return self._state.filled(values), digest


def _moment(us: int) -> datetime:
    return datetime.fromtimestamp(us / 1_000_000, UTC)
