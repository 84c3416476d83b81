"""The fleet index says what every door says, however its messages came, and its snapshots never change."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdevreg.answering import brief_of
from mdevreg.errors import NotFoundError, UsageError
from mdevreg.facts import NOW as LATEST
from mdevreg.fleet import Brief, Fleet, FleetView
from mdevreg.moments import snapshot_of
from mdevreg.outcomes import Result
from mdevreg.published import bucket_of
from mdevreg.query import questions
from mdevreg.query.fleet_door import FleetDoor
from mdevreg.query.pages import targets_page
from mdevreg.records import Parent
from mdevreg.rules import Effect, Rule, Scope
from mdevreg.times import micros
from mdevreg.verdict import Outcome
from support.fleet_model import FleetModel, ModelHost, Sent
from support.hosts import mtty, uuid_of
from support.memory_door import MemoryDoor
from support.strategies import NOW

NOW_US = micros(NOW)
IDS = ("host-a", "host-b", "host-c", "host-d")
SITES = ("a", "b", None)

_versions = st.sampled_from([("2", "1"), ("3", "2"), ("2", None), (None, None)])


@st.composite
def parents(draw: st.DrawFn) -> tuple[Parent, ...]:
    """Up to three cards, of two types, some with mdevs that other hosts may have too."""
    found: list[Parent] = []
    numbers = iter(draw(st.permutations(range(4))))
    for name in draw(st.sets(st.sampled_from(["mtty", "mtty2", "mtty3"]))):
        version, minimum = draw(_versions)
        devices = [next(numbers)] if draw(st.booleans()) else []
        kind = draw(st.sampled_from(["mtty-1", "mtty-1", "mtty-2"]))
        free = draw(st.sampled_from([0, 1, 3, None]))
        found.append(mtty(name, version=version, minimum=minimum, free=free, devices=devices, kind=kind))
    return tuple(sorted(found, key=lambda parent: parent.path))


hosts = st.builds(
    ModelHost,
    id=st.sampled_from(IDS),
    hostname=st.sampled_from(["alpha", "beta", "gamma", "host-a", "host-b"]),
    site=st.sampled_from(SITES),
    parents=parents(),
    in_sync=st.sampled_from([True, True, True, False]),
    silent_s=st.sampled_from([0.0, 1.0, 30.0, 59.9, 60.0, 60.1, 900.0, None]),
    skew_us=st.sampled_from([None, None, -7_200_000_400, 5_000_001]),
    leaving=st.sampled_from([False, False, False, True]),
    conflict=st.sampled_from([False, False, False, True]),
)
scopes = st.sampled_from(
    [
        Scope(),
        Scope(host=("beta",)),
        Scope(site=("b",)),
        Scope(type=("mtty-2",)),
        Scope(parent=("mtty2",)),
        Scope(device=(uuid_of(1),)),
    ]
)


@st.composite
def rules(draw: st.DrawFn) -> Rule:
    """Rules about profiles and about places, in force or not."""
    effect: Effect = draw(st.sampled_from(["deny", "allow", "pin"]))
    begins = NOW + timedelta(seconds=draw(st.sampled_from([-100, -1, 0, 1])))
    return Rule(
        id=draw(st.sampled_from(["r1", "r2"])),
        effect=effect,
        author="tests",
        message="because",
        valid_from=begins,
        valid_until=draw(st.sampled_from([None, begins + timedelta(seconds=1), begins + timedelta(days=1)])),
        where=draw(scopes),
        target=draw(scopes),
        format="mtty" if effect == "pin" else None,
        versions="2" if effect == "pin" else None,
    )


class Tried(msgspec.Struct, frozen=True):
    """A real migration: places of profiles, how it ended, how long ago."""

    source: int
    target: int
    result: Result
    ago_s: int


tries = st.builds(
    Tried,
    st.integers(0, 5),
    st.integers(0, 5),
    st.sampled_from(["refused", "refused", "loaded", "failed"]),
    st.integers(0, 3),
)
changes = st.lists(hosts | st.sampled_from(IDS) | rules() | tries, max_size=14)


def _told(model: FleetModel, change: ModelHost | str | Rule | Tried) -> list[Sent]:
    match change:
        case ModelHost():
            return model.put(change)
        case Rule():
            return model.rule(change)
        case Tried():
            return model.try_out(change.source, change.target, change.result, NOW - timedelta(seconds=change.ago_s))
    return model.remove(change)


def _indexed(model: FleetModel, *lots: list[Sent]) -> Fleet:
    fleet = Fleet()
    for lot in (model.ship(), *lots):
        assert fleet.apply(lot, now_us=NOW_US).refused == ()
    return fleet


def _sources(model: FleetModel) -> list[str]:
    devices = {device.name for host in model.hosts.values() for parent in host.parents for device in parent.devices}
    types = [
        f"{host.id}/{parent.name}/{parent.types[0].id}" for host in model.hosts.values() for parent in host.parents
    ]
    own = [
        f"{host.id}/{device.name}"
        for host in model.hosts.values()
        for parent in host.parents
        for device in parent.devices
    ]
    return [*sorted(devices), *types, *own]


def _asked(ask: Callable[..., Any], *what: Any, **options: Any) -> Any:
    """The answer, or the code of the error."""
    try:
        return ask(*what, **options)
    except UsageError as error:
        return error.code


def _brief(door: MemoryDoor, source: str, to: str) -> Brief:
    return brief_of(questions.can_migrate(door, source, to, now=NOW))


def _counts(view: FleetView, source: str, now_us: int) -> dict[str, int]:
    return view.targets(source, now_us=now_us, available=False).counts()


def _everything(view: FleetView, model: FleetModel) -> list[Any]:
    """All that can be asked of a view, in an order that does not depend on how it came about."""
    door = FleetDoor(lambda: view, MemoryDoor([]).__enter__, clock=lambda: NOW)
    told: list[Any] = [view.position, door.hosts(LATEST), door.drivers(LATEST), view.rules]
    for source in _sources(model):
        told += [_asked(view.can_migrate, source, to, now_us=NOW_US) for to in (*IDS, "alpha", "beta")]
        for options in ({}, {"available": False}, {"site": "b"}, {"order": "free"}, {"order": "name"}):
            told.append(_asked(_listed, view, source, **options))
    return told


def _listed(view: FleetView, source: str, **options: Any) -> list[Any]:
    found = view.targets(source, now_us=NOW_US, **options)
    return [(each.names(), len(each), list(each)) for each in map(found.having, Outcome)]


@given(changes, st.lists(st.integers(1, 4)))
def test_the_index_is_the_same_however_its_messages_came(told: list[Any], cuts: list[int]) -> None:
    """LAW: message by message, in lots of any size, or read from the start: one fleet has one index."""
    model = FleetModel()
    fleet = _indexed(model)
    sent = [message for change in told for message in _told(model, change)]
    for cut in (*cuts, len(sent)):
        lot, sent = sent[:cut], sent[cut:]
        fleet.apply(lot, now_us=NOW_US)
    fleet.apply(model.ship(), now_us=NOW_US)  # the newest position is that of both
    fresh = Fleet()
    fresh.apply(model.everything(), now_us=NOW_US)
    assert _everything(fleet.view, model) == _everything(fresh.view, model)


@given(changes)
def test_every_short_answer_is_that_of_every_other_door(told: list[Any]) -> None:
    """LAW: looked up or judged at length, a verdict is what ``judge`` says of the facts."""
    model = FleetModel()
    fleet = _indexed(model, *[_told(model, change) for change in told])
    door = model.door()
    for source in _sources(model):
        for to in (*IDS, "alpha", "host-b/mtty", "nobody"):
            found = _asked(fleet.view.can_migrate, source, to, now_us=NOW_US)
            expected = _asked(_brief, door, source, to)
            if isinstance(expected, str):
                assert isinstance(found, str), (source, to, found)
            else:
                assert found == msgspec.structs.replace(expected, position=fleet.view.position), (source, to)


@given(changes, st.sampled_from([None, "a", "b"]))
def test_targets_are_those_of_every_other_door(told: list[Any], site: str | None) -> None:
    """LAW: the hosts of each outcome, their counts and pages are those that ``questions.targets`` finds."""
    model = FleetModel()
    fleet = _indexed(model, *[_told(model, change) for change in told])
    near, door = FleetDoor(lambda: fleet.view, MemoryDoor([]).__enter__, clock=lambda: NOW), model.door()
    for source in _sources(model):
        expected = _asked(targets_page, door, source, now=NOW, site=site)
        if isinstance(expected, str):
            continue
        found = targets_page(near, source, now=NOW, site=site)
        assert found == msgspec.structs.replace(
            expected, position=fleet.view.position, answered_at=NOW, snapshot=snapshot_of(fleet.view.position, NOW)
        )
        listed = fleet.view.targets(source, now_us=NOW_US, site=site, available=False)
        assert {outcome: len(listed.having(Outcome(outcome))) for outcome in found.counts} == found.counts


@given(changes, st.integers(1, 3))
def test_pages_and_limits_are_parts_of_the_whole(told: list[Any], size: int) -> None:
    """LAW: any cut of a list is that cut of the full list, in every order; no order loses or doubles a host."""
    model = FleetModel()
    view = _indexed(model, *[_told(model, change) for change in told]).view
    for source in _sources(model):
        for order in ("group", "name", "free"):
            found = _asked(view.targets, source, now_us=NOW_US, available=False, order=order)
            if isinstance(found, str):
                continue
            for each in map(found.having, Outcome):
                names = each.names()
                assert len(names) == len(set(names)) == each.count
                assert each.names(size) == names[:size]
                assert [target.name for target in each.page(1, size)] == names[1 : 1 + size]


@given(changes, changes)
def test_a_snapshot_never_changes(before: list[Any], after: list[Any]) -> None:
    """LAW: whoever holds a view sees one moment, whatever is applied meanwhile."""
    model = FleetModel()
    fleet = _indexed(model, *[_told(model, change) for change in before])
    view, hosts = fleet.view, dict(model.hosts)
    told = _everything(view, model)
    for change in after:
        fleet.apply(_told(model, change), now_us=NOW_US)
        fleet.sweep(now_us=NOW_US + 30_000_000)
    model.hosts = hosts
    assert _everything(view, model) == told


@given(changes, st.sampled_from([1, 29_000_000, 59_000_000, 100_000_000]))
def test_time_passes_alike_whether_hosts_were_looked_at_again_or_not(told: list[Any], later: int) -> None:
    """LAW: a sweep changes what a question costs, never its answer."""
    model = FleetModel()
    fleet = _indexed(model, *[_told(model, change) for change in told])
    before = fleet.view
    for _ in range(20):
        fleet.sweep(now_us=NOW_US + later)
    for source in _sources(model):
        for to in IDS:
            ask = [_asked(v.can_migrate, source, to, now_us=NOW_US + later) for v in (before, fleet.view)]
            assert ask[0] == ask[1]
        lists = [_asked(_counts, v, source, NOW_US + later) for v in (before, fleet.view)]
        assert lists[0] == lists[1]


@given(changes)
def test_digests_of_the_same_fleet_never_differ_and_of_another_do(told: list[Any]) -> None:
    """LAW: the registry's digest fits what was read; one host less, and its bucket is named."""
    model = FleetModel()
    fleet = _indexed(model, *[_told(model, change) for change in told])
    assert fleet.apply([model.digest()], now_us=NOW_US).differing == ()
    if model.hosts:
        gone = min(model.hosts)
        fleet.apply([(f"mdevreg.v1.fleet.host.{gone}", b"")], now_us=NOW_US)
        assert len(fleet.apply([model.digest()], now_us=NOW_US).differing) == 1


def test_max_age_turns_old_facts_into_unknown() -> None:
    """A caller that relies on ten seconds gets unknown for what is older, and only that."""
    model = FleetModel()
    lots = [
        model.put(ModelHost("host-a", "alpha", parents=(mtty(devices=[1]),), silent_s=20)),
        model.put(ModelHost("host-b", "beta", parents=(mtty(),))),
    ]
    view = _indexed(model, *lots).view
    assert view.can_migrate(uuid_of(1), "beta", now_us=NOW_US).outcome == "compatible"
    young = view.can_migrate(uuid_of(1), "beta", now_us=NOW_US, max_age_us=10_000_000)
    assert (young.outcome, young.ruling.codes[-1]) == ("unknown", "HOST_STALE")
    assert view.targets(uuid_of(1), now_us=NOW_US, max_age_us=10_000_000).counts()["unknown"] == 1


def test_a_message_that_makes_no_sense_changes_nothing_and_is_told() -> None:
    """Bad input is counted, named, and loses nothing of what was known."""
    model = FleetModel()
    fleet = _indexed(model, model.put(ModelHost("host-a", "alpha", parents=(mtty(devices=[1]),))))
    before = fleet.view.can_migrate(uuid_of(1), "alpha", now_us=NOW_US)
    bad = [
        ("mdevreg.v1.fleet.host.host-a", b"{"),
        ("mdevreg.v1.fleet.amendment.9", b"[]"),
        ("mdevreg.v1.fleet.amendment.x", b"{}"),
        ("mdevreg.v1.fleet.presence.zz", b"{}"),
        ("mdevreg.v1.fleet.presence.00", b'{"schema":1}'),
        ("mdevreg.v1.fleet.profile.00", b"\xff"),
        ("mdevreg.v1.fleet.digest.0", b"null"),
    ]
    found = fleet.apply(bad, now_us=NOW_US)
    assert [each.subject for each in found.refused] == [subject for subject, _ in bad]
    assert fleet.view.can_migrate(uuid_of(1), "alpha", now_us=NOW_US) == before


def _two(silent_s: float = 59.0) -> tuple[FleetModel, list[list[Sent]]]:
    """A source that was just heard, and a target that was silent for so long."""
    model = FleetModel()
    source = ModelHost("host-a", "alpha", parents=(mtty(devices=[1]),), silent_s=0)
    return model, [model.put(source), model.put(ModelHost("host-b", "beta", parents=(mtty(),), silent_s=silent_s))]


def _reheard(model: FleetModel, host: str, **now: Any) -> list[Sent]:
    """Only presence is published again."""
    model.hosts[host] = msgspec.structs.replace(model.hosts[host], **now)
    return model.presence(bucket_of(host))


def test_a_view_that_grows_old_looks_at_each_host() -> None:
    """Two seconds later the target is silent for too long, although nothing was applied and nobody swept."""
    model, lots = _two()
    view = _indexed(model, *lots).view
    assert view.targets(uuid_of(1), now_us=NOW_US).names() == ["beta"]
    later = view.targets(uuid_of(1), now_us=NOW_US + 2_000_000)
    assert (later.names(), later.counts()["unknown"]) == ([], 1)


def test_presence_alone_moves_hosts_between_good_and_doubtful() -> None:
    """Heard again, gone, conflicting, forgotten: lists and single answers agree each time."""
    model, lots = _two(silent_s=900)
    fleet = _indexed(model, *lots)
    for now, expected in (
        ({"silent_s": 1.0}, "compatible"),
        ({"leaving": True}, "unknown"),
        ({"leaving": False}, "compatible"),
        ({"conflict": True}, "unknown"),
        ({"conflict": False}, "compatible"),
        ({"silent_s": None}, "unknown"),
        ({"silent_s": 59.9}, "compatible"),
        ({"silent_s": 60.1}, "unknown"),
    ):
        fleet.apply(_reheard(model, "host-b", **now), now_us=NOW_US)
        targets = fleet.view.targets(uuid_of(1), now_us=NOW_US)
        assert [str(each) for each, count in targets.counts().items() if count] == [expected], now
        assert fleet.view.can_migrate(uuid_of(1), "beta", now_us=NOW_US).outcome == expected, now


def test_a_hostname_that_is_another_hosts_id() -> None:
    """Ids go first; when that host goes, the hostname is its host's again, in answers too."""
    model, lots = _two(silent_s=1)
    fleet = _indexed(model, *lots, model.put(ModelHost("host-c", "host-b", parents=(mtty(),))))
    assert sorted(fleet.view.targets(uuid_of(1), now_us=NOW_US).names()) == ["beta", "host-c"]
    fleet.apply(model.remove("host-b"), now_us=NOW_US)
    assert fleet.view.targets(uuid_of(1), now_us=NOW_US).names() == ["host-b"]
    assert fleet.view.directory.host("host-b").host == "host-c"


def test_a_host_that_was_too_large_to_be_published_is_unknown() -> None:
    """Without index and documents nothing can be said; least of all that it offers nothing."""
    model, lots = _two(silent_s=1)
    fleet = _indexed(model, *lots)
    subject, data = lots[1][-2]
    shortened = {**msgspec.json.decode(data), "index": None, "facts": None, "parents": {}}
    fleet.apply([(subject, msgspec.json.encode(shortened))], now_us=NOW_US)
    brief = fleet.view.can_migrate(uuid_of(1), "host-b", now_us=NOW_US)
    assert (brief.outcome, brief.ruling.codes) == ("unknown", ("HOST_NEVER_REPORTED",))


def _deny(where: Scope, name: str = "r1") -> Rule:
    return Rule(id=name, effect="deny", author="tests", message="no", valid_from=NOW, where=where)


@pytest.mark.parametrize("where", [Scope(host=("beta",)), Scope(site=("b",)), Scope(parent=("mtty2",))])
def test_a_rule_about_a_place_is_about_hosts_that_were_there_before_it(where: Scope) -> None:
    """The same profile, two verdicts: in single answers and lists; and one again when the rule has ended."""
    model, lots = _two(silent_s=1)
    beta = ModelHost("host-b", "beta", site="b", parents=(mtty("mtty2"),))
    fleet = _indexed(model, *lots, model.put(beta), model.put(ModelHost("host-c", "gamma", parents=(mtty(),))))
    assert sorted(fleet.view.targets(uuid_of(1), now_us=NOW_US).names()) == ["beta", "gamma"]
    fleet.apply(model.rule(_deny(where)), now_us=NOW_US)
    assert fleet.view.targets(uuid_of(1), now_us=NOW_US).names() == ["gamma"]
    assert fleet.view.can_migrate(uuid_of(1), "beta", now_us=NOW_US).ruling.codes[-1] == "RULE_DENIES"
    fleet.apply(model.rule(msgspec.structs.replace(_deny(where), valid_until=NOW)), now_us=NOW_US)
    assert sorted(fleet.view.targets(uuid_of(1), now_us=NOW_US).names()) == ["beta", "gamma"]


def test_a_rule_that_runs_out_tells_no_kinds_apart_any_more() -> None:
    """Nothing is published when it does; the next look sees it, and the matrix is what it was."""
    model, lots = _two(silent_s=1)
    fleet = _indexed(model, *lots)
    before = fleet.view.matrix(now_us=NOW_US)
    passing = msgspec.structs.replace(_deny(Scope(host=("beta",))), valid_until=NOW + timedelta(seconds=5))
    fleet.apply(model.rule(passing), now_us=NOW_US)
    assert len(fleet.view.matrix(now_us=NOW_US).sources) == len(before.sources) + 1
    fleet.sweep(now_us=NOW_US + 5_000_000)
    after = fleet.view.matrix(now_us=NOW_US + 5_000_000)
    assert (after.sources, after.cells) == (before.sources, before.cells)


def test_a_source_that_falls_silent_has_no_sure_targets() -> None:
    """What was worked out while its facts were good does not hold afterwards."""
    model, lots = _two(silent_s=1)
    fleet = _indexed(model, *lots)
    assert fleet.view.targets(uuid_of(1), now_us=NOW_US).names() == ["beta"]
    fleet.apply(_reheard(model, "host-a", leaving=True), now_us=NOW_US)
    assert fleet.view.targets(uuid_of(1), now_us=NOW_US).counts() == {"compatible": 0, "incompatible": 0, "unknown": 1}


def test_amendments_count_in_the_order_of_the_log() -> None:
    """A later one that came first wins; one that is taken back is as if it had never been."""
    model, lots = _two(silent_s=1)
    fleet = _indexed(model, *lots)
    deny, lift = model.rule(_deny(Scope())), model.rule(msgspec.structs.replace(_deny(Scope()), valid_until=NOW))
    fleet.apply([*lift, *deny], now_us=NOW_US)
    assert fleet.view.can_migrate(uuid_of(1), "beta", now_us=NOW_US).outcome == "compatible"
    fleet.apply([(lift[0][0], b"")], now_us=NOW_US)
    assert fleet.view.can_migrate(uuid_of(1), "beta", now_us=NOW_US).outcome == "incompatible"


def test_a_host_waits_for_its_profile() -> None:
    """Published in another order than is promised: told at once, and made good when the profile comes."""
    model = FleetModel()
    fleet = _indexed(model)
    sent = model.put(ModelHost("host-a", "alpha", parents=(mtty(devices=[1]),)))
    profiles = [message for message in sent if ".profile." in message[0]]
    found = fleet.apply([message for message in sent if message not in profiles], now_us=NOW_US)
    assert [each.error.code for each in found.refused] == ["PROFILE_MISSING"]
    assert fleet.apply(profiles, now_us=NOW_US).refused == ()
    assert fleet.view.can_migrate(uuid_of(1), "alpha", now_us=NOW_US).outcome == "compatible"


@pytest.mark.parametrize("lots", [1, 2])
def test_a_digest_is_about_what_stands_before_it(lots: int) -> None:
    """Hosts that changed after it are no difference; only a log that ends before them went back."""
    model = FleetModel()
    fleet = _indexed(model, model.put(ModelHost("host-a", "alpha")), model.put(ModelHost("host-b", "beta")))
    digest, later = model.digest(), model.put(ModelHost("host-b", "beta", site="b"))
    told = [fleet.apply(lot, now_us=NOW_US) for lot in ([[digest, *later]] if lots == 1 else [[digest], later])]
    assert [(each.differing, each.went_back) for each in told] == [((), False)] * lots
    assert not fleet.apply([digest], now_us=NOW_US).went_back  # host-b was published ahead of its turn
    assert fleet.apply([digest], now_us=NOW_US).went_back


def test_the_nearest_names_are_looked_for_when_they_are_asked_for() -> None:
    """A thousand unknown names must not cost a thousand searches: the error finds them, once, for who shows it."""
    view = _indexed(FleetModel(), FleetModel().put(ModelHost("host-a", "alpha", parents=(mtty(devices=[1]),)))).view
    for ask in (view.can_migrate, view.pair):
        with pytest.raises(NotFoundError) as caught:
            ask(uuid_of(1), "alpah", **({"now_us": NOW_US} if ask == view.can_migrate else {}))
        assert caught.value.nearest == ()
        assert caught.value.completed().nearest == ("alpha",)
        assert "nearest known: alpha" in str(caught.value.completed())


def test_what_a_newer_registry_will_publish_is_passed_over() -> None:
    """A kind of message that this program does not know is no fault."""
    assert _indexed(FleetModel()).apply([("mdevreg.v1.fleet.weather.0", b"{}")], now_us=NOW_US).refused == ()


@pytest.mark.parametrize("order", ["group", "name", "free"])
def test_the_order_is_the_same_for_equal_facts(order: Any) -> None:
    """Hosts that came in any order are listed alike; the one with most free instances first where that is asked for."""
    hosts = [
        ModelHost(f"h{n}", f"n{n}", parents=(mtty(free=n % 5, devices=[n] if n == 3 else []),)) for n in range(1, 30)
    ]
    models = FleetModel(), FleetModel()
    forth = _indexed(models[0], *map(models[0].put, hosts))
    back = _indexed(models[1], *map(models[1].put, reversed(hosts)))
    listed = [fleet.view.targets(uuid_of(3), now_us=NOW_US, order=order) for fleet in (forth, back)]
    assert listed[0].names() == listed[1].names()
    assert listed[0].names() == [target.name for target in listed[0]]
    if order == "free":
        frees = [target.brief.available_instances or 0 for target in listed[0]]
        assert all(first >= second for first, second in pairwise(frees))
    if order == "name":
        assert listed[0].names() == sorted(listed[0].names())
