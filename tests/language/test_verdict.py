"""The verdict: what each pair of sides is told, and in which order. The laws of ``judge``: ``test_laws``."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from mdevreg.compatibility import Rules, judge, judge_absent
from mdevreg.facts import Evidence, Side
from mdevreg.profiles import Profile
from mdevreg.records import DriverBuild
from mdevreg.support import StreamSupport
from mdevreg.verdict import CODES, Outcome, Reason, Verdict, verdict_of
from support.strategies import NOW, evidences, profiles, side_of, sides

_RULES = Rules()
_YES, _NO, _UNKNOWN = Outcome.COMPATIBLE, Outcome.INCOMPATIBLE, Outcome.UNKNOWN
_OUTCOMES = st.lists(st.sampled_from(Outcome), max_size=4)
_MTTY = DriverBuild(name="mtty", module="mtty")


def _profile(version: str | None = "2", minimum: str | None = None, **changed: Any) -> Profile:
    good = Profile(type="mtty-1", device_api="vfio-pci", driver=_MTTY)
    stated = msgspec.structs.replace(good, migration_stream_version=version, migration_stream_version_min=minimum)
    return msgspec.structs.replace(stated, **changed)


def _evidence(name: str = "beta", **changed: Any) -> Evidence:
    good = Evidence(host=f"id-{name}", hostname=name, changed_at=NOW, last_seen=NOW)
    return msgspec.structs.replace(good, **changed)


def _side(profile: Profile | None = None, free: int | None = 1, **evidence: Any) -> Side:
    return side_of(_evidence(**evidence), profile or _profile(), free=free)


def _codes(verdict: Verdict) -> list[str]:
    return [reason.code for reason in verdict.reasons]


@given(_OUTCOMES, _OUTCOMES)
def test_all_of_is_kleenes_and(some: list[Outcome], others: list[Outcome]) -> None:
    """The lowest of no < unknown < yes; in any order and grouping; nothing at all is unknown, never yes."""
    rank = [_NO, _UNKNOWN, _YES]
    together = [*some, *others]
    assert Outcome.all_of(together) == min(together, key=rank.index, default=_UNKNOWN)
    assert Outcome.all_of(together[::-1]) == Outcome.all_of(together)
    if some and others:
        assert Outcome.all_of([Outcome.all_of(some), Outcome.all_of(others)]) == Outcome.all_of(together)


@given(sides, sides, st.integers(0, 3), st.integers(0, 3))
def test_a_lower_minimum_never_removes_a_yes(source: Side, target: Side, minimum: int, lower: int) -> None:
    """A driver that loads more refuses nothing that it took before; stating a minimum at all included."""
    strict = msgspec.structs.replace(target.profile, migration_stream_version="3", migration_stream_version_min=None)
    minimums = (None, str(max(minimum, lower)), str(min(minimum, lower)))
    profiles_ = [msgspec.structs.replace(strict, migration_stream_version_min=each) for each in minimums]
    targets = [side_of(target.evidence, each, free=target.available_instances) for each in profiles_]
    verdicts = [judge(source, each, _RULES, NOW) for each in targets]
    said_yes = [verdict.outcome is _YES for verdict in verdicts]
    assert said_yes == sorted(said_yes)
    migrates = [verdict.migration is _YES for verdict in verdicts]
    assert migrates == sorted(migrates)


@st.composite
def _nearly_good(draw: st.DrawFn) -> Side:
    """A side about which everything speaks for a yes, but for up to two things that may not."""
    side = _side(name=draw(st.sampled_from(["alpha", "beta"])))
    odd = draw(sides)
    parts = draw(st.lists(st.sampled_from([(of, name) for of in _PARTS for name in _PARTS[of]]), max_size=2))
    for of, name in parts:
        changed = msgspec.structs.replace(getattr(side, of), **{name: getattr(getattr(odd, of), name)})
        side = msgspec.structs.replace(side, **{of: changed})
    return side_of(side.evidence, side.profile, free=side.available_instances)


_PARTS = {
    "profile": Profile.__struct_fields__,
    "evidence": ("last_seen", "leaving", "in_sync", "conflict", "historical"),
}


@given(_nearly_good(), _nearly_good(), st.sampled_from([1.0, 60.0]))
def test_a_yes_rests_on_evidence_for_every_part_of_it(source: Side, target: Side, stale_after_s: float) -> None:
    """Never yes without evidence: both supports known, both types stated and equal, both hosts fresh and undisputed."""
    if source.evidence.host == target.evidence.host:  # a door tells one thing of one host
        target = msgspec.structs.replace(target, evidence=source.evidence)
    verdict = judge(source, target, Rules(stale_after_s=stale_after_s), NOW)
    event(verdict.outcome)
    if verdict.outcome is not _YES:
        return
    for side in (source, target):
        assert isinstance(side.support, StreamSupport)
        assert None not in (side.profile.type, side.profile.device_api)
        assert not side.evidence.conflict
        if not side.evidence.historical:
            assert side.evidence.in_sync
            assert not side.evidence.leaving
            assert side.evidence.last_seen is not None
            assert NOW - side.evidence.last_seen <= timedelta(seconds=stale_after_s)
    assert (source.profile.type, source.profile.device_api) == (target.profile.type, target.profile.device_api)
    assert not {reason.says for reason in verdict.reasons} & {_NO, _UNKNOWN}
    assert verdict.negotiated is not None or {reason.code for reason in verdict.reasons} & {"STREAM_TAGS_KNOWN"}


_SUPPORTS = st.sampled_from([("2", None), ("2", "1"), ("2", "2"), ("0x2", "0x1"), ("1.1", "1.0"), (" 2 ", "0")])


@given(profiles, _SUPPORTS)
def test_equal_profiles_of_known_support_are_compatible(odd: Profile, support: tuple[str, str | None]) -> None:
    """A driver loads what it saves, whatever its name, version and minimum."""
    profile = _profile(
        *support, type=odd.type or "t", device_api=odd.device_api or "vfio-pci", driver=odd.driver or _MTTY
    )
    verdict = judge(_side(profile, name="alpha"), _side(profile, name="beta"), _RULES, NOW)
    assert verdict.outcome is verdict.user is verdict.migration is _YES
    assert _codes(verdict) == ["USER_COMPATIBLE", "STREAM_VERSION_LOADS"]
    assert verdict.negotiated == str(profile.migration_stream_version).strip()


@given(sides, sides, st.timedeltas(timedelta(days=-1_000), timedelta(days=1_000)))
def test_a_verdict_depends_on_its_arguments_only(source: Side, target: Side, shift: timedelta) -> None:
    """Asked again, or at another time with everything as much later, the answer is the same."""

    def moved(side: Side) -> Side:
        seen = side.evidence.last_seen
        evidence = msgspec.structs.replace(side.evidence, last_seen=None if seen is None else seen + shift)
        return msgspec.structs.replace(side, evidence=evidence)

    verdict = judge(source, target, _RULES, NOW)
    assert judge(source, target, _RULES, NOW) == verdict
    later = judge(moved(source), moved(target), _RULES, NOW + shift)
    assert (later.outcome, later.user, later.migration, _codes(later)) == (
        verdict.outcome,
        verdict.user,
        verdict.migration,
        _codes(verdict),
    )


@given(sides, sides, st.none() | st.integers(0, 3))
def test_capacity_is_told_beside_and_decides_nothing(source: Side, target: Side, free: int | None) -> None:
    """A full host would load the stream as well as an empty one."""
    verdict = judge(source, target, _RULES, NOW)
    other = judge(source, msgspec.structs.replace(target, available_instances=free), _RULES, NOW)
    assert (other.outcome, other.user, other.migration) == (verdict.outcome, verdict.user, verdict.migration)
    assert other.available_instances == free


@given(sides, sides)
def test_the_outcome_is_what_the_reasons_say_together(source: Side, target: Side) -> None:
    """All reasons are there, each with its code's say; user and migration are told apart."""
    verdict = judge(source, target, _RULES, NOW)
    for reason in verdict.reasons:
        assert (reason.says, reason.about) == CODES[reason.code]
    assert {reason.about for reason in verdict.reasons} >= {"user", "migration"}
    assert verdict.outcome is Outcome.all_of(reason.says for reason in verdict.reasons if reason.says)
    assert len(set(_codes(verdict))) + sum(reason.about == "evidence" for reason in verdict.reasons) >= len(
        verdict.reasons
    )


@given(evidences, evidences)
def test_the_same_type_is_required(source: Evidence, target: Evidence) -> None:
    """Equal streams do not help a guest that would see another device."""
    sides_ = [side_of(source, _profile()), side_of(target, _profile(type="mtty-2"))]
    verdict = judge(sides_[0], sides_[1], _RULES, NOW)
    assert (verdict.outcome, verdict.user, verdict.migration) == (_NO, _NO, _YES)


#: One case per reason code, the codes in the order of the questions.
_CASES: list[tuple[Side, Side, list[str], Outcome]] = [
    (_side(), _side(), ["USER_COMPATIBLE", "STREAM_VERSION_LOADS"], _YES),
    (_side(), _side(_profile(device_api="vfio-ccw")), ["DEVICE_API_DIFFERS", "STREAM_VERSION_LOADS"], _NO),
    (_side(), _side(_profile(device_api=None)), ["DEVICE_API_UNKNOWN", "STREAM_VERSION_LOADS"], _UNKNOWN),
    (_side(), _side(_profile(type="mtty-2")), ["TYPE_DIFFERS", "STREAM_VERSION_LOADS"], _NO),
    (_side(_profile(type=None)), _side(), ["TYPE_UNKNOWN", "STREAM_VERSION_LOADS"], _UNKNOWN),
    (
        _side(_profile(device_api=None)),
        _side(_profile(type="mtty-2")),
        ["DEVICE_API_UNKNOWN", "TYPE_DIFFERS", "STREAM_VERSION_LOADS"],
        _NO,
    ),
    (
        _side(),
        _side(_profile(driver=DriverBuild(name="mtty", module="other"))),
        ["USER_COMPATIBLE", "STREAM_FORMAT_DIFFERS"],
        _NO,
    ),
    (_side(_profile("3")), _side(_profile("2", "1")), ["USER_COMPATIBLE", "STREAM_VERSION_TOO_NEW"], _NO),
    (_side(_profile("1")), _side(_profile("3", "2")), ["USER_COMPATIBLE", "STREAM_VERSION_TOO_OLD"], _NO),
    (_side(_profile("1")), _side(_profile("2")), ["USER_COMPATIBLE", "STREAM_VERSION_NOT_EQUAL"], _NO),
    (_side(_profile("1.0")), _side(_profile("1")), ["USER_COMPATIBLE", "STREAM_SCHEMES_DIFFER"], _UNKNOWN),
    (_side(_profile("1.0")), _side(_profile("2", "1")), ["USER_COMPATIBLE", "STREAM_SCHEMES_DIFFER"], _UNKNOWN),
    (_side(_profile(None)), _side(), ["USER_COMPATIBLE", "SOURCE_SUPPORT_UNKNOWN"], _UNKNOWN),
    (_side(), _side(_profile("r7")), ["USER_COMPATIBLE", "TARGET_SUPPORT_UNKNOWN"], _UNKNOWN),
    (_side(_profile(driver=None)), _side(), ["USER_COMPATIBLE", "SOURCE_SUPPORT_UNKNOWN"], _UNKNOWN),
    (
        _side(_profile("1", "2")),
        _side(_profile(None)),
        ["USER_COMPATIBLE", "SOURCE_SUPPORT_UNKNOWN", "TARGET_SUPPORT_UNKNOWN"],
        _UNKNOWN,
    ),
    (_side(), _side(free=0), ["USER_COMPATIBLE", "STREAM_VERSION_LOADS", "NO_FREE_INSTANCE"], _YES),
    (_side(), _side(free=None), ["USER_COMPATIBLE", "STREAM_VERSION_LOADS", "CAPACITY_UNKNOWN"], _YES),
]
_DOUBTS: list[tuple[dict[str, Any], list[str]]] = [
    ({"last_seen": NOW - timedelta(seconds=60)}, []),
    ({"last_seen": NOW - timedelta(seconds=60, microseconds=1)}, ["HOST_STALE"]),
    ({"last_seen": None}, ["HOST_STALE"]),
    ({"leaving": True}, ["HOST_LEFT"]),
    ({"leaving": True, "last_seen": None}, ["HOST_LEFT"]),
    ({"in_sync": False}, ["HOST_OUT_OF_SYNC"]),
    ({"conflict": True}, ["IDENTITY_CONFLICT"]),
    (
        {"conflict": True, "in_sync": False, "last_seen": None},
        ["IDENTITY_CONFLICT", "HOST_OUT_OF_SYNC", "HOST_STALE"],
    ),
    ({"historical": True, "last_seen": None, "in_sync": False, "leaving": True}, []),
    ({"historical": True, "conflict": True}, ["IDENTITY_CONFLICT"]),
]
_ABSENT: list[tuple[Profile, Evidence, tuple[str, ...], list[str], Outcome]] = [
    (_profile(), _evidence(), ("mdpy-vga",), ["TYPE_NOT_OFFERED"], _NO),
    (_profile(), _evidence(), (), ["TYPE_NOT_OFFERED"], _NO),
    (_profile(), _evidence(last_seen=None), (), ["TYPE_NOT_OFFERED", "HOST_STALE"], _NO),
    (_profile(), _evidence(changed_at=None), (), ["HOST_NEVER_REPORTED"], _UNKNOWN),
    (_profile(type=None), _evidence(), ("mtty-1",), ["TYPE_UNKNOWN"], _UNKNOWN),
]


@pytest.mark.parametrize(("source", "target", "codes", "outcome"), _CASES, ids=lambda case: None)
def test_each_case_has_its_reasons(source: Side, target: Side, codes: list[str], outcome: Outcome) -> None:
    """All of them, in the order of the questions."""
    verdict = judge(source, target, _RULES, NOW)
    assert (_codes(verdict), verdict.outcome) == (codes, outcome)
    assert (verdict.negotiated is not None) == (verdict.migration is _YES)


@pytest.mark.parametrize(("doubt", "codes"), _DOUBTS, ids=lambda case: None)
def test_a_doubt_about_either_host_makes_it_unknown(doubt: dict[str, Any], codes: list[str]) -> None:
    """Staleness begins after the limit, not at it; it does not apply to the past. One host is doubted once."""
    expected = _UNKNOWN if codes else _YES
    for source, target in ((_side(name="alpha", **doubt), _side()), (_side(name="alpha"), _side(**doubt))):
        verdict = judge(source, target, _RULES, NOW)
        assert (_codes(verdict)[2:], verdict.outcome) == (codes, expected)
    both = judge(_side(**doubt), _side(**doubt), _RULES, NOW)
    assert _codes(both)[2:] == codes


def test_two_accounts_of_one_host_are_both_doubted() -> None:
    """As two scans of one host at different times might tell, offline."""
    verdict = judge(_side(conflict=True), _side(), _RULES, NOW)
    assert verdict.outcome is _UNKNOWN


@pytest.mark.parametrize(("doubt", "codes"), _DOUBTS, ids=lambda case: None)
def test_a_doubt_never_softens_a_no(doubt: dict[str, Any], codes: list[str]) -> None:
    """Kleene: one no decides; the doubt is told all the same."""
    verdict = judge(_side(name="alpha"), _side(_profile("1"), **doubt), _RULES, NOW)
    assert verdict.outcome is _NO
    assert _codes(verdict)[2:] == codes


@pytest.mark.parametrize(("profile", "target", "offered", "codes", "outcome"), _ABSENT, ids=lambda case: None)
def test_a_host_without_the_type_answers_too(
    profile: Profile, target: Evidence, offered: tuple[str, ...], codes: list[str], outcome: Outcome
) -> None:
    """It does not offer it: no. It never said anything: unknown, because absence of evidence is none."""
    verdict = judge_absent(_side(profile, name="alpha"), target, "b", offered, _RULES, NOW)
    assert (_codes(verdict), verdict.outcome) == (codes, outcome)
    assert (verdict.negotiated, verdict.available_instances) == (None, None)


def test_the_types_of_a_host_are_named_up_to_five() -> None:
    """A sentence, not a list of thousands."""
    offered = tuple(f"t{number}" for number in range(9))
    text = judge_absent(_side(name="alpha"), _evidence(), "b", offered, _RULES, NOW).reasons[0].text
    assert text.endswith("it offers t0, t1, t2, t3, t4, …")


def test_no_reason_at_all_is_unknown() -> None:
    """Empty evidence is never a yes."""
    verdict = verdict_of((), negotiated=None, free=None)
    assert verdict.outcome is verdict.user is verdict.migration is _UNKNOWN
    assert verdict_of((Reason.of("USER_COMPATIBLE", ""),), negotiated=None, free=1).outcome is _UNKNOWN
