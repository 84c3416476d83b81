"""The laws of ``judge``: each test's docstring is one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, assume, event, find, given, settings
from hypothesis import strategies as st

from mdevreg.catalog import BuildKey, Catalog, Entry
from mdevreg.claims import Learned
from mdevreg.compatibility import Rules, judge
from mdevreg.facts import Side
from mdevreg.matching import agreement, missing_of
from mdevreg.outcomes import Result
from mdevreg.profiles import Profile
from mdevreg.records import DriverBuild
from mdevreg.rules import Rule, Scope, check
from mdevreg.statements import MatchRule, Statement, Versions, VersionSet
from mdevreg.streams import Opaque, Range, StreamSet, UpTo, read_set
from mdevreg.support import MatchField, NoSupport, StreamSupport, support_of
from mdevreg.verdict import Outcome, Verdict
from support.rulings import DOUBTS, fresh, integer_sets, match_field, nearly, outcome, pairs, rule_lists, rules, sets
from support.strategies import NOW

_YES, _NO, _UNKNOWN = Outcome.COMPATIBLE, Outcome.INCOMPATIBLE, Outcome.UNKNOWN
#: How much each outcome permits.
_RANK = {_NO: 0, _UNKNOWN: 1, _YES: 2}
_Pair = tuple[Side, Side]
_ANY_RULES = rule_lists("deny", "allow", "pin", "match")
_NO_VERSIONS_DENIED = rule_lists("deny", "allow", "pin", "match", versions=False)


def _judged(pair: _Pair, in_force: tuple[Rule, ...] = ()) -> Verdict:
    return judge(*pair, Rules(in_force=in_force), NOW)


def _tried(pair: _Pair, in_force: tuple[Rule, ...], result: Result | None, *, reverse: bool = False) -> Verdict:
    """Judged after a migration between the two, or back, ended so."""
    source, target = (
        msgspec.structs.replace(side, digest=letter * 64) for side, letter in zip(pair, "ab", strict=True)
    )
    ends = (target.digest, source.digest) if reverse else (source.digest, target.digest)
    told = () if result is None else (outcome(result, *ends),)
    return judge(source, target, Rules(in_force=in_force, outcomes=told), NOW)


def _codes(verdict: Verdict) -> Counter[str]:
    return Counter(reason.code for reason in verdict.reasons)


def _loading(side: Side, loads: StreamSet) -> Side:
    assert isinstance(side.support, StreamSupport)
    return msgspec.structs.replace(side, support=msgspec.structs.replace(side.support, loads=loads))


@pytest.mark.parametrize("outcome", Outcome)
def test_each_outcome_is_drawn(outcome: Outcome) -> None:
    """Laws about a yes would be empty if the examples held none."""
    drawn = find(
        st.tuples(pairs, _ANY_RULES),
        lambda case: _judged(*case).outcome is outcome,
        settings=settings(suppress_health_check=list(HealthCheck), database=None, derandomize=True),
    )
    assert _judged(*drawn).outcome is outcome


_BOUNDS = st.lists(st.integers(0, 4), min_size=3, max_size=3).map(sorted)


@given(pairs, _BOUNDS, _NO_VERSIONS_DENIED)
def test_lowering_a_targets_minimum_never_removes_a_yes(
    pair: _Pair, bounds: list[int], in_force: tuple[Rule, ...]
) -> None:
    """A target that loads more refuses nothing it took before, whatever rules hold (denials of versions aside:
    they are about the version that is negotiated)."""
    source, target = pair
    assume(isinstance(target.support, StreamSupport))
    lower, low, high = map(str, bounds)
    loads: list[Versions] = [VersionSet(range=(low, high)), VersionSet(range=(lower, high)), VersionSet(up_to=high)]
    sides = [_loading(target, read_set(each, "integer")) for each in loads]
    ranks = [_RANK[_judged((source, side), in_force).outcome] for side in sides]
    assert ranks == sorted(ranks)


@given(pairs, _BOUNDS, _NO_VERSIONS_DENIED)
def test_raising_a_targets_maximum_never_removes_a_yes(
    pair: _Pair, bounds: list[int], in_force: tuple[Rule, ...]
) -> None:
    """With and without a lower bound; denials of versions aside, as above."""
    source, target = pair
    assume(isinstance(target.support, StreamSupport))
    low, high, higher = map(str, bounds)
    for loads in (
        [VersionSet(range=(low, high)), VersionSet(range=(low, higher))],
        [VersionSet(up_to=high), VersionSet(up_to=higher)],
    ):
        sides = [_loading(target, read_set(each, "integer")) for each in loads]
        ranks = [_RANK[_judged((source, side), in_force).outcome] for side in sides]
        assert ranks == sorted(ranks)


_EVERYWHERE = Rule(id="x", effect="deny", author="op", message="m", valid_from=NOW)
_DENY, _ALLOW = _EVERYWHERE, msgspec.structs.replace(_EVERYWHERE, effect="allow")


@given(pairs, _ANY_RULES)
def test_a_deny_beats_everything(pair: _Pair, in_force: tuple[Rule, ...]) -> None:
    """Evidence, allow rules, unknowns: the answer is no, says so, and still tells all other reasons."""
    before, after = _judged(pair, in_force), _judged(pair, (*in_force, _DENY))
    assert after.outcome is _NO
    assert _codes(after) - _codes(before) == Counter({"RULE_DENIES": 1})
    assert not _codes(before) - _codes(after)
    assert (after.user, after.migration, after.negotiated) == (before.user, before.migration, before.negotiated)


@given(pairs, _ANY_RULES)
def test_an_allow_beats_all_but_a_deny_and_says_so(pair: _Pair, in_force: tuple[Rule, ...]) -> None:
    """The answer is yes with the rule among its reasons, and every reason against it is still told."""
    before, after = _judged(pair, in_force), _judged(pair, (*in_force, _ALLOW))
    denied = "RULE_DENIES" in _codes(before)
    assert after.outcome is (_NO if denied else _YES)
    assert _codes(after) - _codes(before) == Counter({"RULE_ALLOWS": 1})
    assert not _codes(before) - _codes(after)
    assert (after.user, after.migration, after.negotiated) == (before.user, before.migration, before.negotiated)


@given(pairs, _ANY_RULES, rules("deny", name="added"))
def test_adding_a_deny_never_yields_more(pair: _Pair, in_force: tuple[Rule, ...], added: Rule) -> None:
    """Whatever it is about and wherever it applies."""
    assert _RANK[_judged(pair, (*in_force, added)).outcome] <= _RANK[_judged(pair, in_force).outcome]


@given(pairs, _NO_VERSIONS_DENIED, rules("pin", name="added"))
def test_adding_a_pin_never_yields_more(pair: _Pair, in_force: tuple[Rule, ...], added: Rule) -> None:
    """It narrows: a no stays a no, an unknown becomes no yes."""
    before, after = _judged(pair, in_force), _judged(pair, (*in_force, added))
    assert _RANK[after.outcome] <= _RANK[before.outcome]


def test_a_pin_never_turns_a_no_into_a_yes() -> None:
    """Not where versions are denied either: no rule of ours makes a driver save another version."""
    saving = read_set(("1", "2"), "integer")
    pair = _good("alpha", saves=saving), _good("beta")
    bad = msgspec.structs.replace(_DENY, id="bad", format="f", versions="2")
    pin = msgspec.structs.replace(bad, id="pin", effect="pin", versions="1")
    assert _judged(pair, (bad,)).outcome is _NO
    assert _judged(pair, (bad, pin)).outcome is not _YES


@pytest.mark.parametrize("saves", [VersionSet(range=("1", "3")), VersionSet(up_to="3")])
def test_a_denied_version_is_denied_in_a_range_too(saves: Versions) -> None:
    """An allow rule beats that no version loads, and not that one of them is known to be bad."""
    pair = _good("alpha", saves=read_set(saves, "integer")), _good("beta", loads=read_set("7", "integer"))
    bad = msgspec.structs.replace(_DENY, id="bad", format="f", versions="2")
    assert _judged(pair, (bad, _ALLOW)).outcome is _NO


@given(pairs, rule_lists("deny", "allow", "pin"), rules("match", name="added"), st.sampled_from(["a", "b", "c"]))
def test_a_match_rule_with_one_field_more_never_yields_more(
    pair: _Pair, in_force: tuple[Rule, ...], rule: Rule, field: str
) -> None:
    """What vouches for content must agree in everything that is asked."""
    assume(field not in rule.fields)
    stricter = msgspec.structs.replace(rule, fields=(*rule.fields, field))
    before, after = _judged(pair, (*in_force, rule)), _judged(pair, (*in_force, stricter))
    assert _RANK[after.outcome] <= _RANK[before.outcome]


@given(pairs, rule_lists("deny", "allow", "pin"), match_field("more"), match_field("more"))
def test_one_more_field_that_the_target_compares_never_yields_more(
    pair: _Pair, in_force: tuple[Rule, ...], ours: MatchField, theirs: MatchField
) -> None:
    """Be it equal, superset or advisory, and its values known or not. Both sides know of the rule here."""
    before = _judged(pair, in_force)
    stricter = [_comparing(side, each) for side, each in zip(pair, (ours, theirs), strict=True)]
    if _comparing_nothing(pair[1]):  # where the target's rules are not known, the source's are used
        stricter[1] = _comparing_too(stricter[1], pair[0])
    assert _RANK[_judged((stricter[0], stricter[1]), in_force).outcome] <= _RANK[before.outcome]


def _comparing(side: Side, *fields: MatchField) -> Side:
    if not isinstance(side.support, StreamSupport):
        return side
    support = msgspec.structs.replace(side.support, match=(*side.support.match, *fields))
    return msgspec.structs.replace(side, support=support)


def _comparing_nothing(side: Side) -> bool:
    return isinstance(side.support, StreamSupport) and not side.support.match


def _comparing_too(side: Side, other: Side) -> Side:
    match = other.support.match if isinstance(other.support, StreamSupport) else ()
    return _comparing(side, *(msgspec.structs.replace(each, value=None) for each in match))


_BUILD = DriverBuild(name="d", module="d", kernel_release="6.12.117")
_PROFILE = Profile(type="t", device_api="vfio-pci", driver=_BUILD)


def _entry(**changed: Any) -> Entry:
    good = Entry(
        id="e",
        drivers=("d",),
        builds=(BuildKey(kernel_release="6.12.117"),),
        format="f",
        saves="2",
        loads="2",
        source="a test",
        date=date(2026, 11, 24),
        confidence="source",
    )
    return msgspec.structs.replace(good, **changed)


_AGREEING = (MatchField("a", "equal", "no", "1"), MatchField("b", "superset", "no", "3"))


def _good(name: str, **support: Any) -> Side:
    good = StreamSupport(
        format="f",
        saves=read_set("2", "integer"),
        loads=read_set(VersionSet(range=("1", "2")), "integer"),
        learned=Learned("catalog", "e", "source"),
        match=_AGREEING,
    )
    understood = msgspec.structs.replace(good, **support)
    return Side(fresh(name), "p", _PROFILE, understood, available_instances=1)


@given(nearly(_good("alpha")), nearly(_good("beta")), rule_lists("deny", "pin", "match"))
def test_unknown_evidence_never_yields_yes(source: Side, target: Side, in_force: tuple[Rule, ...]) -> None:
    """Without an allow rule a yes rests on evidence for each part of it: both hosts fresh, undisputed and in sync,
    both types stated, both supports known, every compared value known, and content that the driver judges or that
    a match rule vouches for."""
    pair = source, target
    verdict = _judged(pair, in_force)
    event(verdict.outcome)
    if verdict.outcome is not _YES:
        return
    for side in pair:
        assert side.evidence == fresh(side.evidence.hostname)
        assert None not in (side.profile.type, side.profile.device_api)
        assert isinstance(side.support, StreamSupport)
    saves, loads = (side.support for side in pair if isinstance(side.support, StreamSupport))
    vouched = "RULE_MATCHES" in _codes(verdict)
    opaque = isinstance(saves.saves, Opaque) or isinstance(loads.loads, Opaque)
    assert vouched or not (opaque or "device" in (saves.decided_by, loads.decided_by))
    assert opaque or _codes(verdict) & Counter(["STREAM_VERSION_LOADS", "STREAM_TAGS_KNOWN"])
    values = {each.field: each.value for each in saves.match}
    for rule in loads.match or saves.match:
        assert rule.rule == "advisory" or None not in (rule.value, values.get(rule.field))
    assert not {reason.says for reason in verdict.reasons} & {_NO, _UNKNOWN}


def _without_value(side: Side, field: str) -> Side:
    assert isinstance(side.support, StreamSupport)
    match = tuple(
        msgspec.structs.replace(each, value=None) if each.field == field else each for each in side.support.match
    )
    return msgspec.structs.replace(side, support=msgspec.structs.replace(side.support, match=match))


def _doubtful(changed: dict[str, Any]) -> Callable[[Side], Side]:
    def made(side: Side) -> Side:
        return msgspec.structs.replace(side, evidence=msgspec.structs.replace(side.evidence, **changed))

    return made


def _supported(**changed: Any) -> Callable[[Side], Side]:
    def made(side: Side) -> Side:
        return msgspec.structs.replace(side, support=msgspec.structs.replace(side.support, **changed))

    return made


_UNKNOWNS: dict[str, Callable[[Side], Side]] = {
    **{f"{next(iter(doubt))} {number}": _doubtful(doubt) for number, doubt in enumerate(DOUBTS)},
    "no support": lambda side: msgspec.structs.replace(side, support=NoSupport("nothing_stated", "nothing")),
    "unverified entry": lambda side: msgspec.structs.replace(
        side, support=support_of(_PROFILE, Catalog((), (_entry(confidence="unverified"),)))
    ),
    "opaque": _supported(saves=Opaque(), loads=Opaque()),
    "decided by the device": _supported(decided_by="device"),
    "value of an equal field missing": lambda side: _without_value(side, "a"),
    "value of a superset field missing": lambda side: _without_value(side, "b"),
    "type": lambda side: msgspec.structs.replace(side, profile=msgspec.structs.replace(side.profile, type=None)),
    "device_api": lambda side: msgspec.structs.replace(
        side, profile=msgspec.structs.replace(side.profile, device_api=None)
    ),
    "other scheme": _supported(saves=read_set("2", "dotted"), loads=read_set("2", "dotted")),
}


@pytest.mark.parametrize("what", _UNKNOWNS)
@pytest.mark.parametrize("which", [0, 1], ids=["source", "target"])
def test_one_thing_unknown_makes_a_yes_unknown(what: str, which: int) -> None:
    """Of either side; an allow rule alone makes it a yes again, and says so."""
    sides = [_good("alpha"), _good("beta")]
    assert _judged((sides[0], sides[1])).outcome is _YES
    sides[which] = _UNKNOWNS[what](sides[which])
    pair = sides[0], sides[1]
    assert _judged(pair).outcome is _UNKNOWN
    allowed = _judged(pair, (_ALLOW,))
    assert allowed.outcome is _YES
    assert "RULE_ALLOWS" in _codes(allowed)
    assert _UNKNOWN in {reason.says for reason in allowed.reasons}


@pytest.mark.parametrize(
    ("psid", "firmware", "outcome", "told"),
    [
        ("MT_1", "22.39", _YES, ["RULE_MATCHES"]),
        ("MT_2", "22.39", _NO, ["MATCH_FIELD_DIFFERS", "STREAM_DECIDED_BY_DEVICE"]),
        ("MT_1", "22.40", _NO, ["MATCH_FIELD_DIFFERS", "STREAM_DECIDED_BY_DEVICE"]),
        ("MT_1", None, _UNKNOWN, ["MATCH_FIELD_UNKNOWN", "STREAM_DECIDED_BY_DEVICE"]),
    ],
)
def test_a_match_rule_vouches_for_content_where_all_its_fields_agree(
    psid: str, firmware: str | None, outcome: Outcome, told: list[str]
) -> None:
    """mlx5: same card and same firmware, by an operator's word; without his rule it is unknown, agree or not."""
    source, target = (
        _good(
            name,
            decided_by="device",
            match=(MatchField("psid", "advisory", "no", card), MatchField("fw", "advisory", "no", running)),
        )
        for name, card, running in (("alpha", "MT_1", "22.39"), ("beta", psid, firmware))
    )
    rule = msgspec.structs.replace(_ALLOW, effect="match", fields=("psid", "fw"))
    assert _judged((source, target)).outcome is _UNKNOWN
    verdict = _judged((source, target), (rule,))
    assert verdict.outcome is outcome
    assert list(_codes(verdict) - Counter(["USER_COMPATIBLE", "STREAM_VERSION_LOADS", "MATCH_FIELD_ADVISORY"])) == told


_VALUES = st.sampled_from(["1", "0x1f", "sym;dc", "MT_0000000359"])
_MATCH_RULES = st.builds(
    MatchRule,
    field=st.sampled_from(["a", "b"]),
    rule=st.sampled_from(["equal", "superset", "advisory"]),
    differing=st.sampled_from(["no", "unknown"]),
)
_SOURCES_OF_SUPPORT = st.sampled_from(["sysfs", "exec", "catalog", "operator"])


@given(
    integer_sets, st.lists(_MATCH_RULES, max_size=2, unique_by=lambda rule: rule.field), _VALUES, _SOURCES_OF_SUPPORT
)
def test_equal_profiles_of_a_migratable_format_are_compatible(
    versions: Versions, match: list[MatchRule], value: str, source: str
) -> None:
    """On fresh, undisputed hosts, where every compared value is known: a driver loads what it saves, whoever says
    what that is."""
    said: dict[str, Any] = {
        "saves": versions,
        "loads": versions,
        "match": tuple(match),
        "fields": {"a": value, "b": value},
    }
    profile, entries = _PROFILE, (_entry(**said),)
    if source == "exec":
        profile = msgspec.structs.replace(profile, answers={"p": (Statement(format="f", **said),)})
    if source == "sysfs":
        text = versions if isinstance(versions, str) else "3"
        profile = msgspec.structs.replace(profile, migration_stream_version=text, migration_stream_version_min="0")
    catalog = Catalog(entries, ()) if source == "operator" else Catalog((), entries if source == "catalog" else ())
    support = support_of(profile, catalog)
    assert isinstance(support, StreamSupport)
    assert support.learned.source == source
    verdict = _judged((Side(fresh("alpha"), "p", profile, support), Side(fresh("beta"), "p", profile, support)))
    assert verdict.outcome is verdict.user is verdict.migration is _YES
    assert verdict.negotiated is not None


@given(pairs, _ANY_RULES, st.randoms(use_true_random=False))
def test_a_verdict_depends_on_its_arguments_alone(pair: _Pair, in_force: tuple[Rule, ...], dice: Any) -> None:
    """Asked again it is the same; so it is after the facts and rules went over a wire, and in whatever order the
    rules were found."""
    verdict = _judged(pair, in_force)
    assert _judged(pair, in_force) == verdict
    document = msgspec.json.encode((pair, in_force))
    wired, rules_ = msgspec.json.decode(document, type=tuple[_Pair, tuple[Rule, ...]])
    assert (wired, rules_) == (pair, in_force)
    assert _judged(wired, rules_) == verdict
    shuffled = dice.sample(in_force, len(in_force))
    other = _judged(pair, tuple(shuffled))
    assert _codes(other) == _codes(verdict)
    assert sorted(map(repr, other.reasons)) == sorted(map(repr, verdict.reasons))
    assert (other.outcome, other.user, other.migration, other.negotiated) == (
        verdict.outcome,
        verdict.user,
        verdict.migration,
        verdict.negotiated,
    )


@given(pairs, rules("deny", "allow", "pin", "match", name="x"))
def test_rules_may_be_read_back_and_can_be_meant(pair: _Pair, rule: Rule) -> None:
    """What is drawn here is what an operator can add, so that no law rests on rules that nobody can make."""
    assert check(rule) is rule


@given(pairs, rules("deny", "allow", "pin", "match", name="x"))
def test_a_rule_about_others_changes_nothing(pair: _Pair, rule: Rule) -> None:
    """Neither side is in its scope."""
    elsewhere = Scope(host=("nobody",))
    foreign = msgspec.structs.replace(rule, where=elsewhere, source=elsewhere, target=elsewhere)
    assert _judged(pair, (foreign,)) == _judged(pair)


@given(pairs, _ANY_RULES, st.none() | st.integers(0, 3))
def test_capacity_decides_nothing(pair: _Pair, in_force: tuple[Rule, ...], free: int | None) -> None:
    """It is told beside: a full host would load the stream as well as an empty one."""
    verdict = _judged(pair, in_force)
    other = _judged((pair[0], msgspec.structs.replace(pair[1], available_instances=free)), in_force)
    assert (other.outcome, other.user, other.migration) == (verdict.outcome, verdict.user, verdict.migration)


@given(pairs, st.sampled_from([timedelta(days=-500), timedelta(days=500)]))
def test_a_verdict_reads_no_clock(pair: _Pair, shift: timedelta) -> None:
    """With everything as much later, the answer is the same."""
    moved = [
        msgspec.structs.replace(
            side,
            evidence=msgspec.structs.replace(
                side.evidence, last_seen=side.evidence.last_seen and side.evidence.last_seen + shift
            ),
        )
        for side in pair
    ]
    later = judge(moved[0], moved[1], Rules(), NOW + shift)
    assert (later.outcome, _codes(later)) == (_judged(pair).outcome, _codes(_judged(pair)))


_NUMBERS = st.integers(0, 255).flatmap(lambda number: st.sampled_from([f"{number}", f"{number:#x}"]))
_WORDS = st.lists(st.sampled_from(["sym", "dc", "asym"]), max_size=3).flatmap(
    lambda words: st.sampled_from([";".join(words), ", ".join(words)])
)
_THREE = st.tuples(_NUMBERS, _NUMBERS, _NUMBERS) | st.tuples(_WORDS, _WORDS, _WORDS)


@given(_THREE)
def test_superset_is_reflexive_transitive_and_directional(values: tuple[str, str, str]) -> None:
    """Bits or words, all values of one kind: each has all of itself; who has all of one that has all of another has
    all of that; and only equal ones have all of each other."""
    one, other, third = values
    assume(all(values))  # a blank value is none

    def has(target: str, source: str) -> bool:
        return agreement("superset", source, target) == "agrees"

    assert has(one, one)
    if has(other, one) and has(third, other):
        assert has(third, one)
    both = has(one, other) and has(other, one)
    same = missing_of(one, other) == missing_of(other, one) == ""
    assert both == same
    if has(other, one) and not has(one, other):
        assert agreement("superset", other, one) == "lacks"
        assert missing_of(other, one)


@pytest.mark.parametrize(
    ("rule", "source", "target", "found"),
    [
        ("equal", "0x10", "16", "agrees"),
        ("equal", " MT_1 ", "MT_1", "agrees"),
        ("equal", "MT_1", "mt_1", "differs"),
        ("superset", "0x3", "0x7", "agrees"),
        ("superset", "0x7", "0x3", "lacks"),
        ("superset", "sym;dc", "dc, sym, asym", "agrees"),
        ("superset", "sym asym", "sym", "lacks"),
        ("superset", "", "sym", "unknown"),
        ("equal", " ", " ", "unknown"),
        ("superset", "3", "sym", "incomparable"),
        *((rule, None, "1", "unknown") for rule in ("equal", "superset", "advisory")),
        *((rule, "1", None, "unknown") for rule in ("equal", "superset", "advisory")),
        ("equal", None, None, "unknown"),
    ],
)
def test_match_values_are_numbers_words_or_text(rule: Any, source: str | None, target: str | None, found: str) -> None:
    """A missing value is unknown, never equal, not even to another missing one."""
    assert agreement(rule, source, target) == found


@given(sets, _BOUNDS)
def test_an_upper_bound_without_a_lower_one_loads_at_least_what_a_range_does(
    saves: StreamSet, bounds: list[int]
) -> None:
    """Of the same maximum, for every kind of saved set."""
    span = read_set(VersionSet(range=(str(bounds[0]), str(bounds[-1]))), "integer")
    assert isinstance(span, Range)
    pairs_ = [(_good("alpha", saves=saves), _good("beta", loads=each)) for each in (span, UpTo(span.maximum))]
    ranks = [_RANK[_judged(pair).outcome] for pair in pairs_]
    assert ranks == sorted(ranks)


def test_a_new_driver_loads_old_streams_while_an_old_one_refuses_new_ones() -> None:
    """Answers are directional."""
    new, old = _good("alpha"), _good("beta", saves=read_set("1", "integer"), loads=read_set("1", "integer"))
    assert [_judged(pair).outcome for pair in ((new, old), (old, new))] == [_NO, _YES]


@given(pairs, _ANY_RULES)
def test_a_refusal_makes_a_yes_unknown_and_nothing_else_otherwise(pair: _Pair, in_force: tuple[Rule, ...]) -> None:
    """LAW: never a yes beside it but by an operator's allow; a no stays a no, an unknown unknown."""
    before, after = _tried(pair, in_force, None), _tried(pair, in_force, "refused")
    assert _codes(after) - _codes(before) == Counter(["OUTCOME_REFUSED"])
    assert _codes(before) - _codes(after) == Counter()
    if before.outcome is _YES and "RULE_ALLOWS" not in _codes(before):
        assert after.outcome is _UNKNOWN
    else:
        assert after.outcome is before.outcome
    assert after.migration is (_NO if before.migration is _NO else _UNKNOWN)


@given(pairs, _ANY_RULES)
def test_a_load_decides_nothing_and_is_told_where_it_contradicts(pair: _Pair, in_force: tuple[Rule, ...]) -> None:
    """LAW: the verdict is what it was; it is told if, and only if, types and streams alone say no yes."""
    before, after = _tried(pair, in_force, None), _tried(pair, in_force, "loaded")
    assert msgspec.structs.replace(after, reasons=before.reasons) == before
    contradicted = Outcome.all_of((before.user, before.migration)) is not _YES
    assert _codes(after) - _codes(before) == Counter(["OUTCOME_LOADED"] if contradicted else [])


@given(pairs, _ANY_RULES, st.sampled_from(["refused", "loaded"]))
def test_what_came_of_the_way_back_says_nothing_of_the_way_there(
    pair: _Pair, in_force: tuple[Rule, ...], result: Result
) -> None:
    """LAW: an outcome is about one direction."""
    assert _tried(pair, in_force, result, reverse=True) == _tried(pair, in_force, None)
