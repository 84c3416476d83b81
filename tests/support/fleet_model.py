"""A fleet as a model that tests change, and what a registry would publish of it: the oracle of the fleet index."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from mdevreg import subjects, wire
from mdevreg.clocks import seconds
from mdevreg.knowledge import Amendment, AnyChange, CatalogChange, OutcomeChange, RuleChange, encode_amendment
from mdevreg.objects import Profiles, host_objects, parent_objects
from mdevreg.outcomes import OutcomeReport, Result
from mdevreg.published import (
    FLEET_SCHEMA,
    FleetDigest,
    HostState,
    Presence,
    bucket_of,
    index_of,
    summed,
    token_of,
)
from mdevreg.records import SCHEMA, HostFacts, Parent, digest_of, state_digest
from mdevreg.rules import Rule
from mdevreg.shipped import shipped_entries
from mdevreg.times import micros
from support.memory_door import MemoryDoor, MemoryHost, State
from support.strategies import NOW

#: A message of the fleet stream: subject and data.
Sent = tuple[str, bytes]


class ModelHost(msgspec.Struct, frozen=True):
    """One host as it is. ``silent_s``: since it was last heard, ``None``: never; ``skew_us``: if its clock is wrong."""

    id: str
    hostname: str
    site: str | None = "a"
    parents: tuple[Parent, ...] = ()
    in_sync: bool = True
    silent_s: float | None = 1.0
    leaving: bool = False
    conflict: bool = False
    skew_us: int | None = None


class FleetModel:
    """Hosts, rules and the catalog; each change gives the messages that tell it."""

    def __init__(self) -> None:
        self.hosts: dict[str, ModelHost] = {}
        self.rules: dict[str, Rule] = {}
        self.tried: list[OutcomeReport] = []
        self.positions: dict[str, int] = {}
        self.position = 0
        self._profiles = Profiles()
        self._told: set[str] = set()
        self._amendments: list[Sent] = []

    def put(self, host: ModelHost) -> list[Sent]:
        """A host is this now."""
        self.position += 1
        self.hosts[host.id], self.positions[host.id] = host, self.position
        return [*self._state(host), *self.presence(bucket_of(host.id))]

    def remove(self, host: str) -> list[Sent]:
        """A host is taken back."""
        self.hosts.pop(host, None)
        self.positions.pop(host, None)
        return [(subjects.fleet_host(host), b""), *self.presence(bucket_of(host))]

    def ship(self) -> list[Sent]:
        """The shipped catalog is believed."""
        return self._amend(CatalogChange(origin="shipped", put=shipped_entries()))

    def rule(self, rule: Rule) -> list[Sent]:
        """A rule is this now."""
        self.rules[rule.id] = rule
        return self._amend(RuleChange(rule=rule))

    def try_out(self, source: int, target: int, result: Result, at: datetime) -> list[Sent]:
        """A migration between two of the profiles that hosts have, each by its place among them, ended so."""
        digests = sorted({digest for host in self.hosts.values() for digest in self._profiles_of(host)})
        if not digests:
            return []
        report = OutcomeReport(
            id=f"o{self.position + 1}",
            result=result,
            at=at,
            author="tests",
            source=digests[source % len(digests)],
            target=digests[target % len(digests)],
            device="device",
            to="host/parent/type",
            source_host="host",
            target_host="other",
        )
        self.tried.append(report)
        return self._amend(OutcomeChange(outcome=report))

    def presence(self, bucket: int) -> list[Sent]:
        """Who was heard of a bucket."""
        there = [host for host in self.hosts.values() if bucket_of(host.id) == bucket and host.silent_s is not None]
        told = Presence(
            schema=FLEET_SCHEMA,
            seen_us={host.id: micros(_seen(host)) for host in there},
            leaving=tuple(host.id for host in there if host.leaving),
            conflicts=tuple(host.id for host in there if host.conflict),
            skew_us={host.id: host.skew_us for host in there if host.skew_us is not None},
        )
        return [(subjects.fleet_presence(bucket), wire.encode(told))]

    def digest(self) -> Sent:
        """What was published so far."""
        sums: dict[int, int] = {}
        for host in self.hosts.values():
            bucket = bucket_of(host.id)
            sums[bucket] = summed(sums.get(bucket, 0), token_of(_digest(host), self.positions[host.id]))
        buckets = {f"{bucket:02x}": f"{total:016x}" for bucket, total in sums.items()}
        told = FleetDigest(schema=FLEET_SCHEMA, position=self.position, hosts=len(self.hosts), buckets=buckets)
        return subjects.fleet_digest(0), wire.encode(told)

    def everything(self) -> list[Sent]:
        """The stream as a reader finds it that starts now."""
        self._told.clear()
        states = [sent for host in self.hosts.values() for sent in self._state(host)]
        heard = [sent for bucket in {bucket_of(host) for host in self.hosts} for sent in self.presence(bucket)]
        return [*self._amendments, *states, *heard]

    def door(self) -> MemoryDoor:
        """The same fleet behind the door that tests compare all others with."""
        hosts = [_memory_host(host, self.positions[host.id]) for host in self.hosts.values()]
        door = MemoryDoor(hosts)
        door.believe("shipped", shipped_entries())
        for rule in self.rules.values():
            door.know(rule)
        for report in self.tried:
            door.try_out(report)
        return door

    def _amend(self, change: AnyChange) -> list[Sent]:
        self.position += 1
        amendment = Amendment(schema=SCHEMA, at=NOW, author="tests", change=change)
        sent = (subjects.fleet_amendment(self.position, 0), encode_amendment(amendment))
        self._amendments.append(sent)
        return [sent]

    def _profiles_of(self, host: ModelHost) -> tuple[str, ...]:
        return index_of({parent.path: parent_objects(parent, 0, self._profiles) for parent in host.parents}).profiles

    def _state(self, host: ModelHost) -> list[Sent]:
        objects = {parent.path: parent_objects(parent, 0, self._profiles) for parent in host.parents}
        objects[""] = host_objects(_facts(host), 0)
        index = index_of(objects)
        state = HostState(
            schema=FLEET_SCHEMA,
            host=host.id,
            epoch="e-1",
            seq=1,
            digest=_digest(host),
            position=self.positions[host.id],
            observed_at=NOW - timedelta(hours=1),
            received_at=None if host.silent_s is None else _seen(host),
            in_sync=host.in_sync,
            conflict=host.conflict,
            index=index,
            facts=msgspec.Raw(wire.encode(_facts(host))),
            parents={parent.path: msgspec.Raw(wire.encode(parent)) for parent in host.parents},
        )
        new = [digest for digest in index.profiles if digest not in self._told]
        self._told.update(new)
        profiles = [(subjects.fleet_profile(digest), self._profiles.body(digest)) for digest in new]
        return [*profiles, (subjects.fleet_host(host.id), wire.encode(state))]


def _facts(host: ModelHost) -> HostFacts:
    return HostFacts(hostname=host.hostname, site=host.site, kernel_release="6.12.0")


def _digest(host: ModelHost) -> str:
    parents = {parent.path: digest_of(wire.encode(parent)) for parent in host.parents}
    return state_digest(digest_of(wire.encode(_facts(host))), parents)


def _seen(host: ModelHost) -> datetime:
    return NOW - timedelta(seconds=host.silent_s or 0)


def _memory_host(host: ModelHost, position: int) -> MemoryHost:
    state = State(NOW - timedelta(hours=1), position, _facts(host), host.parents)
    seen = None if host.silent_s is None else _seen(host)
    return MemoryHost(
        host.id,
        (state,),
        seen,
        leaving=host.leaving and seen is not None,
        in_sync=host.in_sync,
        conflict=host.conflict and seen is not None,
        clock_skew_s=None if host.skew_us is None or seen is None else seconds(host.skew_us),
    )
