"""Events follow from the log, and say all of it: who believes them has the facts."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import timedelta

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdevreg.deriving import Deriver, Entry, HostFacts, Told
from mdevreg.events import DriverChanged, PairTurned, event_of
from mdevreg.knowledge import NOTHING, Amendment, Knowledge, RuleChange
from mdevreg.objects import Profiles
from mdevreg.profiles import Profile
from mdevreg.records import SCHEMA, Device, DriverBuild, Parent
from mdevreg.rules import Rule, Scope
from mdevreg.times import micros, moment_of
from mdevreg.verdict import Outcome
from support.hosts import look, mtty, uuid_of
from support.publisher import EPOCH_START, Look
from support.told_facts import Naive, Reader, facts_of

HOSTS = ("h1", "h2", "h3", "h4")
START_US = micros(EPOCH_START)


class Fleet:
    """Hosts that change, the log that tells of them, and a deriver that reads it. A second passes per entry."""

    def __init__(self) -> None:
        self.interned = Profiles()
        self.profiles: dict[str, Profile] = {}
        self.facts: dict[str, HostFacts] = {}
        self.knowledge: Knowledge = NOTHING
        self.entries: list[Entry] = []
        self.deriver = Deriver(self.profiles)
        self.deriver.begin(0, START_US, {}, NOTHING)
        self.reader = Reader()
        self.idle_s = 0

    @property
    def now_us(self) -> int:
        return START_US + (len(self.entries) + 1 + self.idle_s) * 1_000_000

    def becomes(self, host: str, after: Look | None) -> list[Told]:
        """A record tells that a host is so."""
        old, new = self.facts.get(host, {}), facts_of(after, self.interned)
        for key, value in new.items():
            if key[0] in ("offer", "device"):
                digest = value[0] if key[0] == "offer" else value[2]
                self.profiles[digest] = msgspec.json.decode(self.interned.body(digest), type=Profile)
        effects = tuple((key, new.get(key)) for key in old.keys() | new.keys() if old.get(key) != new.get(key))
        self.facts[host] = new
        return self.entered(Entry(len(self.entries) + 1, self.now_us, f"sha{len(self.entries)}", host, effects))

    def decides(self, rule: Rule) -> list[Told]:
        """A rule is added, or ended."""
        amendment = Amendment(schema=SCHEMA, at=moment_of(self.now_us), author="alice", change=RuleChange(rule=rule))
        self.knowledge = self.knowledge.amended([amendment])
        entry = Entry(len(self.entries) + 1, self.now_us, f"sha{len(self.entries)}", amendment=amendment)
        return self.entered(entry)

    def entered(self, entry: Entry) -> list[Told]:
        """The deriver reads it, and the reader what the deriver tells."""
        self.entries.append(entry)
        told = self.deriver.tell(entry)
        self.reader.take(told)
        return told

    def passes(self, seconds: int) -> list[Told]:
        """Time passes, and the log has nothing of it."""
        told = self.deriver.until(self.now_us + seconds * 1_000_000)
        self.idle_s += seconds + 1
        self.reader.take(told)
        return told

    def naive(self) -> Naive:
        return Naive(self.facts, self.profiles, self.knowledge, moment_of(self.deriver.at_us))


def rule(name: str, effect: str, **fields: object) -> Rule:
    """A rule in force from the beginning."""
    given = {"author": "alice", "message": "so", "valid_from": EPOCH_START, **fields}
    return msgspec.convert({"id": name, "effect": effect, **given}, Rule)


def kinds_in(told: list[Told]) -> list[str]:
    """What happened, in order."""
    return [each.kind for one in told for each in one.happenings]


def any_look(chance: random.Random) -> Look | None:
    """How a host may look: gone, bare, or with some mtty cards of some version."""
    if chance.random() < 0.15:
        return None
    parents = [
        mtty(
            name,
            version=chance.choice(["1", "2", "3"]),
            minimum=chance.choice(["1", "2", None]),
            devices=chance.sample(range(6), chance.randint(0, 3)),
            kind=chance.choice(["mtty-1", "mtty-2"]),
        )
        for name in chance.sample(["mtty", "mtty2"], chance.randint(0, 2))
    ]
    return look(*parents, hostname=chance.choice(["alpha", "beta"]))


def any_rule(chance: random.Random, number: int) -> Rule:
    """What an operator may decide: about the fleet, hosts, devices; for a while, or until further notice."""
    where: dict[str, tuple[str, ...]] = chance.choice(
        [{}, {"host": ("h1", "h2")}, {"type": ("mtty-1",)}, {"device": (uuid_of(1),)}, {"parent": ("mtty2",)}]
    )
    until = chance.choice([None, EPOCH_START + timedelta(seconds=chance.randint(1, 40))])
    begin = EPOCH_START + timedelta(seconds=chance.choice([0, 0, 20]))
    if until is not None and until <= begin:
        until = None
    side = chance.choice(["where", "source", "target"])
    return rule(
        f"r{number}", chance.choice(["deny", "allow"]), valid_from=begin, valid_until=until, **{side: Scope(**where)}
    )


def life(fleet: Fleet, chance: random.Random, steps: int) -> Iterator[list[Told]]:
    """Whatever happens to a fleet."""
    for number in range(steps):
        draw = chance.random()
        if draw < 0.7:
            yield fleet.becomes(chance.choice(HOSTS), any_look(chance))
        elif draw < 0.9:
            yield fleet.decides(
                any_rule(chance, number % 4)
            )  # an id that is taken: the rule is another one from now on
        else:
            yield fleet.passes(chance.randint(0, 10))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_who_believes_the_events_has_the_facts(seed: int) -> None:
    """Offers, stranded devices, and what becomes of each profile at each other; nothing is told that is no change."""
    fleet, chance, told_apart = Fleet(), random.Random(seed), False
    for _ in life(fleet, chance, 14):
        naive = fleet.naive()
        assert fleet.reader.offers == naive.offers
        assert fleet.reader.stranded == naive.stranded
        told_apart = told_apart or _places(fleet.knowledge)  # from then on a profile alone names no pair
        assert told_apart or fleet.reader.pairs == naive.pairs


def _places(knowledge: Knowledge) -> bool:
    """Whether any rule tells places apart."""
    scopes = (scope for each in knowledge.rules.values() for scope in (each.where, each.source, each.target))
    return any(scope.host or scope.site or scope.parent or scope.device for scope in scopes)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 12))
def test_who_goes_on_at_a_mark_tells_the_same_with_the_same_ids(seed: int, at: int) -> None:
    """A deriver that stands at a position, whatever the first one remembers, tells of the rest what that told."""
    fleet, chance = Fleet(), random.Random(seed)
    told = [each for one in life(fleet, chance, 12) for each in one if each.place.name.isdecimal()]
    at = min(at, len(fleet.entries))
    other = Deriver(fleet.profiles)
    facts: dict[str, HostFacts] = {}
    knowledge: Knowledge = NOTHING
    for entry in fleet.entries[:at]:
        if entry.amendment is not None:
            knowledge = knowledge.amended([entry.amendment])
        else:
            changed = {**facts.get(entry.host, {}), **dict(entry.effects)}
            facts[entry.host] = {key: value for key, value in changed.items() if value is not None}
    at_us = fleet.entries[at - 1].at_us if at else START_US
    other.begin(at, at_us, facts, knowledge)
    again = [each for entry in fleet.entries[at:] for each in other.tell(entry) if each.place.name.isdecimal()]
    assert _ids(again) == _ids([each for each in told if each.place.position > at])


def _ids(told: list[Told]) -> list[str]:
    ids = [event_of(each, one.place, "urn:x").id for one in told for each in one.happenings]
    assert len(ids) == len(set(ids)), "an id is one event's"
    return ids


def test_an_entry_that_changes_nothing_tells_nothing() -> None:
    """Free instances, or the same state again."""
    fleet = Fleet()
    assert kinds_in(fleet.becomes("h1", look(mtty(free=3))))
    assert fleet.becomes("h1", look(mtty(free=2))) == []


def test_a_driver_that_changes_is_told_with_both_builds() -> None:
    """Another build of one, and one in the place of another; an mdev's driver that comes with it is none."""
    fleet = Fleet()
    fleet.becomes("h1", look(mtty(version="1")))
    (changed,) = [
        each
        for one in fleet.becomes("h1", look(mtty(version="2")))
        for each in one.happenings
        if each.kind == "driver.changed"
    ]
    assert isinstance(changed.data, DriverChanged)
    assert changed.data.before is not None
    assert changed.data.after is not None
    assert (changed.data.before.version, changed.data.after.version) == ("1", "2")
    other = msgspec.structs.replace(mtty(version="2"), driver=DriverBuild(name="vfio-pci", module="vfio_pci"))
    told = [
        each.data
        for one in fleet.becomes("h1", look(other))
        for each in one.happenings
        if each.kind == "driver.changed"
    ]
    assert [(each.before.name, each.after.name) for each in told] == [("mtty", "vfio-pci")]  # type: ignore[attr-defined]
    assert "driver.changed" not in kinds_in(fleet.becomes("h1", look(_with_driver(other, "mdev-driver"))))


def _with_driver(parent: Parent, name: str) -> Parent:
    device = Device(name=uuid_of(9), type="mtty-1", driver=DriverBuild(name=name))
    return msgspec.structs.replace(parent, devices=(device,))


def test_devices_strand_and_are_rescued_as_the_only_way_out_goes_and_comes() -> None:
    """Upgrading the only other host strands; what is gone strands no more."""
    fleet = Fleet()
    fleet.becomes("h1", look(mtty(version="2", minimum="1", devices=[1])))
    assert fleet.reader.stranded == {("h1", "/devices/virtual/mtty", uuid_of(1))}
    assert "device.rescued" in kinds_in(fleet.becomes("h2", look(mtty(version="2", minimum="1"))))
    assert "device.stranded" in kinds_in(fleet.becomes("h2", look(mtty(version="3", minimum="3"))))
    assert "device.rescued" in kinds_in(fleet.becomes("h1", look(mtty(version="2", minimum="1"))))
    assert not fleet.reader.stranded


def test_a_rule_about_hosts_turns_the_pairs_of_those_hosts_alone() -> None:
    """They are told apart by its scope, before and after; when it is over the others say nothing."""
    fleet = Fleet()
    for host in HOSTS:
        fleet.becomes(host, look(mtty(), hostname=host))
    denied = fleet.decides(rule("r1", "deny", where=Scope(host=("h1",))))
    turned = [each.data for one in denied for each in one.happenings if isinstance(each.data, PairTurned)]
    assert [(each.source.places, each.target.places, each.before, each.after) for each in turned] == [
        ((), ("host=h1",), Outcome.COMPATIBLE, Outcome.INCOMPATIBLE),
        (("host=h1",), (), Outcome.COMPATIBLE, Outcome.INCOMPATIBLE),
        (("host=h1",), ("host=h1",), Outcome.COMPATIBLE, Outcome.INCOMPATIBLE),
    ]
    assert {(each.source.hosts, each.target.hosts) for each in turned} == {(3, 1), (1, 3), (1, 1)}
    ended = rule("r1", "deny", where=Scope(host=("h1",)), valid_until=moment_of(fleet.now_us - 1))
    back = [each.data for one in fleet.decides(ended) for each in one.happenings if isinstance(each.data, PairTurned)]
    assert [(each.source.places, each.target.places, each.after) for each in back] == [
        (each.source.places, each.target.places, Outcome.COMPATIBLE) for each in turned
    ]
    assert kinds_in(fleet.becomes("h1", look(mtty(free=1), hostname="h1"))) == []


@pytest.mark.parametrize("seconds", [9, 10])
def test_a_rule_that_ends_by_its_time_turns_pairs_then(seconds: int) -> None:
    """Half-open: at the very time it is over. The clock's events have ids of their own, the same whoever tells them."""
    fleet = Fleet()
    fleet.becomes("h1", look(mtty(devices=[1])))
    fleet.becomes("h2", look(mtty()))
    end = EPOCH_START + timedelta(seconds=4 + 10)
    fleet.decides(rule("r1", "deny", valid_until=end, where=Scope(type=("mtty-1",))))
    told = fleet.passes(seconds)
    assert kinds_in(told) == ([] if seconds < 10 else ["pair.became_compatible", "device.rescued"])
    assert [one.place.name for one in told] == ([] if seconds < 10 else [f"t{micros(end)}"])
