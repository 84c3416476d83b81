"""From facts at a log position, and the entries after it, to what happened. One user at a time.

Rules of this file:

1. What is told of an entry depends on what the log holds up to it, and on nothing else.
2. What the clock turns (rules that begin and end) is told between the entries where it falls, by the log's clock.
3. A device strands by drivers, types and rules alone: silence and free instances come and go, and make no event here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from mdevreg.deriving.census import NOBODY, Census, Takers, census_of, everyone
from mdevreg.deriving.changes import changes
from mdevreg.deriving.facts import NOTHING, Called, HostFacts, called, edited, parent_name
from mdevreg.events import Because, CampaignTold, DeviceRescued, DeviceStranded, Happening, PairEnd, PairTurned, Place
from mdevreg.fleet.kinds import Kind, Places
from mdevreg.fleet.table import RulingTable
from mdevreg.knowledge import NOTHING as NO_KNOWLEDGE
from mdevreg.knowledge import Amendment, Knowledge, OutcomeChange, RuleChange
from mdevreg.objects import Effect, Key
from mdevreg.profiles import Profile
from mdevreg.rules import Rule
from mdevreg.times import moment_of
from mdevreg.verdict import Outcome


class Entry(msgspec.Struct, frozen=True):
    """One entry of the log: what it did to the objects of a host, to what is believed, or to a campaign.

    ``at_us``: the log's clock at its commit, µs UTC; ``digest``: SHA-256 of its bytes, hex.
    """

    position: int
    at_us: int
    digest: str
    host: str = ""
    effects: tuple[Effect, ...] = ()
    amendment: Amendment | None = None
    campaign: CampaignTold | None = None


class Told(msgspec.Struct, frozen=True):
    """What happened at one place of the log, in order."""

    place: Place
    happenings: tuple[Happening, ...]


class Deriver:
    """Follows the log. ``profiles``: by digest; must hold whatever an entry refers to before it is told."""

    def __init__(self, profiles: Mapping[str, Profile]) -> None:
        self._profiles = profiles
        self.begin(0, 0, {}, NO_KNOWLEDGE)

    def begin(self, position: int, at_us: int, facts: Mapping[str, HostFacts], knowledge: Knowledge) -> None:
        """Stand at a position: what is so there is no event. ``at_us``: until when the clock was looked at."""
        self.position, self.at_us = position, at_us
        self.facts = dict(facts)
        self._table = RulingTable(knowledge, moment_of(at_us))
        self._stand(_rules(self._table, at_us))

    def called(self, host: str) -> Called:
        """How a host is called."""
        return called(host, self.facts.get(host, NOTHING))

    def tell(self, entry: Entry) -> list[Told]:
        """What happened up to an entry, and by it."""
        told = self.until(entry.at_us)
        self.position = entry.position
        found = self._happened(entry)
        place = Place(str(entry.position), entry.digest, entry.position, moment_of(entry.at_us))
        happened = tuple(found)
        return [*told, Told(place, happened)] if happened else told

    def until(self, now_us: int) -> list[Told]:
        """What the clock turns up to a time, µs UTC."""
        told: list[Told] = []
        while self._table.until_us <= now_us:
            turn_us = self._table.until_us
            table = RulingTable(self._table.knowledge, moment_of(turn_us))
            happened = tuple(self._turned(table, turn_us, "time", None))
            if happened:
                told.append(Told(Place(f"t{turn_us}", "", self.position, moment_of(turn_us)), happened))
        self.at_us = max(self.at_us, now_us)
        return told

    def _happened(self, entry: Entry) -> Iterator[Happening]:
        if entry.campaign is not None:
            kind = "campaign.created" if entry.campaign.ended is None else "campaign.ended"
            return iter([Happening(kind, entry.campaign.name, entry.campaign)])
        return self._record(entry) if entry.amendment is None else self._amended(entry.amendment)

    def _record(self, entry: Entry) -> Iterator[Happening]:
        before = self.facts.get(entry.host, NOTHING)
        after = edited(before, entry.effects)
        if before == after:
            return
        if after:
            self.facts[entry.host] = after
        else:
            del self.facts[entry.host]
        yield from changes(entry.host, before, after, self._profiles)
        yield from self._moved(entry.host, before, after)

    def _moved(self, host: str, before: HostFacts, after: HostFacts) -> Iterator[Happening]:
        census, table = self._census, self._table
        old = census.devices_of(host, before)
        was = {key for key, kind in old.items() if self._takers.get(kind, NOBODY).strands(host)}
        touched, come = census.move(host, before, after)
        yield from self._introduced(set(come))
        new = census.devices_of(host, after)
        others: list[Happening] = []
        for kind in [kind for name in sorted(touched) for kind in census.kinds_of_devices(name)]:
            others += self._taken_by(kind, host)
        for kind in new.values():
            if kind not in self._takers:
                self._takers[kind] = census.takers(kind, table)
        for kind in old.values():
            if kind not in census.devices:
                self._takers.pop(kind, None)
        own = self._own(host, (before, after), was, new)
        yield from sorted([*others, *own], key=lambda each: (each.subject, each.key))

    def _introduced(self, come: set[Kind]) -> Iterator[Happening]:
        """Kinds that no host offered before: what becomes of them at all others of their type, and of those there."""
        for name in sorted({kind.type for kind in come}):
            kinds = self._census.offered(name)
            for source, target in ((source, target) for source in kinds for target in kinds):
                if source in come or target in come:
                    yield self._pair(source, target, None, "record")

    def _taken_by(self, kind: Kind, host: str) -> Iterator[Happening]:
        """Devices of a kind on other hosts that strand, or do no more, since ``host`` offers another thing."""
        before, after = self._takers.get(kind, NOBODY), self._census.takers(kind, self._table)
        self._takers[kind] = after
        if before != after:
            for there, key in everyone(self._affected(kind, before, after)):
                if there != host:
                    yield from self._stranding(there, key, kind, (before, after), "record")

    def _affected(self, kind: Kind, before: Takers, after: Takers) -> Mapping[str, tuple[Key, ...]]:
        """Where devices of a kind may strand other than before: nearly nowhere, unless there were or are no takers."""
        hosts = self._census.devices.get(kind, {})
        if before.count and after.count:
            return {host: hosts[host] for host in {before.sole, after.sole} if host in hosts}
        return hosts

    def _stranding(
        self, host: str, key: Key, kind: Kind, takers: tuple[Takers, Takers], because: Because
    ) -> Iterator[Happening]:
        before, after = (each.strands(host) for each in takers)
        if before != after:
            facts = self.facts[host]
            yield self._rescued(host, facts, key, because) if before else self._stranded(host, key, kind, because)

    def _own(
        self, host: str, ends: tuple[HostFacts, HostFacts], was: set[Key], new: Mapping[Key, Kind]
    ) -> Iterator[Happening]:
        """Devices of the host itself: they come and go, and their kinds change."""
        before, after = ends
        for key in sorted(was - new.keys()):
            yield self._rescued(host, before, key, "record", gone=("device", *key[1:]) not in after)
        for key, kind in sorted(new.items()):
            strands = self._takers[kind].strands(host)
            if strands and key not in was:
                yield self._stranded(host, key, kind, "record")
            elif not strands and key in was:
                yield self._rescued(host, after, key, "record")

    def _amended(self, amendment: Amendment) -> Iterator[Happening]:
        knowledge = self._table.knowledge.amended([amendment])
        at_us = self.at_us
        table = RulingTable(knowledge, moment_of(at_us))
        match amendment.change:
            case OutcomeChange(outcome=told):
                yield from self._turned(table, at_us, "outcome", frozenset((told.source, told.target)))
            case RuleChange():
                yield from self._turned(table, at_us, "rule", None)
            case _:
                yield from self._turned(table, at_us, "catalog", None)

    def _turned(
        self, table: RulingTable, at_us: int, because: Because, only: frozenset[str] | None
    ) -> Iterator[Happening]:
        """Other rulings are in force. ``only``: they differ at most between these profiles."""
        old, self._table = self._table, table
        rules = _rules(table, at_us)
        same_places = Places(rules).scopes == self._census.places.scopes
        if not same_places:  # judged by all that tells, or told, places apart
            only = None
            self._stand((*self._standing, *rules), old)
        yield from self._pairs_turned(old, because, only)
        yield from self._strandings_turned(because, only)
        if not same_places:
            self._stand(rules)

    def _stand(self, rules: tuple[Rule, ...], table: RulingTable | None = None) -> None:
        """Count anew, with places told apart as by these rules."""
        self._standing = rules
        self._census = census_of(self.facts, Places(rules), self._profiles)
        self._takers = self._looked_up(self._census.devices, table or self._table)

    def _pairs_turned(self, old: RulingTable, because: Because, only: frozenset[str] | None) -> Iterator[Happening]:
        census, new = self._census, self._table
        for name in census.types():
            kinds = [kind for kind in census.offered(name) if only is None or kind.digest in only]
            for source, target in ((source, target) for source in kinds for target in kinds):
                before = old.ruling(source, target).outcome
                if before is not new.ruling(source, target).outcome:
                    yield self._pair(source, target, before, because)

    def _strandings_turned(self, because: Because, only: frozenset[str] | None) -> Iterator[Happening]:
        before = self._takers
        kinds = [kind for kind in self._census.devices if only is None or kind.digest in only]
        self._takers = {**before, **self._looked_up(kinds, self._table)}
        found: list[Happening] = []
        for kind in kinds:
            ends = (before[kind], self._takers[kind])
            if ends[0] != ends[1]:
                for host, key in everyone(self._affected(kind, *ends)):
                    found += self._stranding(host, key, kind, ends, because)
        yield from sorted(found, key=lambda each: (each.subject, each.key))

    def _looked_up(self, kinds: Iterable[Kind], table: RulingTable) -> dict[Kind, Takers]:
        return {kind: self._census.takers(kind, table) for kind in kinds}

    def _pair(self, source: Kind, target: Kind, before: Outcome | None, because: Because) -> Happening:
        ruling = self._table.ruling(source, target)
        ends = [_end(kind, self._census) for kind in (source, target)]
        subject = f"{source.type}/{source.digest[:12]}/{target.digest[:12]}"
        data = PairTurned(
            type=source.type,
            source=ends[0],
            target=ends[1],
            before=before,
            after=ruling.outcome,
            codes=ruling.codes,
            way_back=ruling.way_back,
            because=because,
        )
        key = "\0".join((source.digest, target.digest, *ends[0].places, "", *ends[1].places))
        return Happening(f"pair.became_{ruling.outcome}", subject, data, key)

    def _stranded(self, host: str, key: Key, kind: Kind, because: Because) -> Happening:
        facts = self.facts[host]
        own = self._census.offers(host, facts).get(kind.type)
        best = self._census.best_elsewhere(kind, own, self._table)
        data = DeviceStranded(**_device(host, facts, key, self._profiles), best=best, because=because)
        return Happening("device.stranded", f"{host}/{key[2]}", data, key[1])

    def _rescued(self, host: str, facts: HostFacts, key: Key, because: Because, *, gone: bool = False) -> Happening:
        data = DeviceRescued(**_device(host, facts, key, self._profiles), because=because, gone=gone)
        return Happening("device.rescued", f"{host}/{key[2]}", data, key[1])


def _end(kind: Kind, census: Census) -> PairEnd:
    return PairEnd(
        profile=kind.digest,
        build=kind.profile.driver,
        hosts=census.hosts.get(kind, 0),
        places=census.scopes_of(kind),
    )


def _device(host: str, facts: HostFacts, key: Key, profiles: Mapping[str, Profile]) -> dict[str, Any]:
    where, value = called(host, facts), facts[key]
    return {
        "host": host,
        "hostname": where.hostname,
        "site": where.site,
        "parent": parent_name(key[1], facts),
        "path": key[1],
        "device": key[2],
        "type": profiles[value[2]].type or "",
        "profile": value[2],
        "build": profiles[value[2]].driver,
    }


def _rules(table: RulingTable, at_us: int) -> tuple[Rule, ...]:
    """The rules that are in force, or may yet be."""
    return tuple(rule for rule in table.knowledge.rules.values() if not rule.over(moment_of(at_us)))
