"""The questions over any door: which answer is the best, and what is counted."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdevreg.compatibility import Rules, judge
from mdevreg.errors import NotFoundError, UsageError
from mdevreg.facts import Moment
from mdevreg.inspection import Inspected
from mdevreg.query.questions import Targets, can_migrate, targets, targets_of_stream
from mdevreg.records import Parent
from mdevreg.rules import Rule, Scope
from mdevreg.verdict import Outcome
from support.memory_door import MemoryDoor
from support.small_fleet import NOW, UUID, host, mtty, other_parent, small_fleet

_SOURCE = host("alpha", mtty("2", devices=1))
_PARENTS = st.builds(
    mtty, st.sampled_from([None, "1", "2", "3"]), st.sampled_from([None, "1"]), free=st.sampled_from([None, 0, 2])
)


@st.composite
def _fleets(draw: st.DrawFn) -> MemoryDoor:
    """alpha with its device, and up to five hosts with up to three parents that offer its type."""
    sizes = draw(st.lists(st.integers(0, 3), max_size=5))
    others = [
        host(
            f"h{number}",
            *(_named(draw(_PARENTS), index) for index in range(size)),
            seen_s=draw(st.sampled_from([1, 99])),
        )
        for number, size in enumerate(sizes)
    ]
    return MemoryDoor([_SOURCE, *others])


def _named(parent: Parent, index: int) -> Parent:
    return msgspec.structs.replace(parent, path=f"/devices/{index}", name=f"mtty{index}")


def _ask(door: MemoryDoor, limit: int | None = None, outcome: Outcome | None = None) -> Targets:
    return targets(door, UUID, now=NOW, limit=limit, outcome=outcome)


@given(_fleets())
def test_each_other_host_that_offers_the_type_answers_once(door: MemoryDoor) -> None:
    """With the best of its offers; the counts are over all of them."""
    found = _ask(door)
    offers = [each for each in door.candidates(UUID, Moment()).offers if each.evidence.host != "id-alpha"]
    assert {answer.target.host for answer in found.answers} == {offer.evidence.host for offer in offers}
    assert len(found.answers) == len({answer.target.host for answer in found.answers}) == sum(found.counts.values())
    for answer in found.answers:
        mine = [judge(found.source, o, Rules(), NOW) for o in offers if o.evidence.host == answer.target.host]
        assert answer.verdict in mine
        if any(verdict.outcome is Outcome.COMPATIBLE for verdict in mine):
            assert answer.verdict.outcome is Outcome.COMPATIBLE


@given(_fleets())
def test_one_host_answers_as_it_does_among_all(door: MemoryDoor) -> None:
    """``can_migrate`` and ``targets`` never contradict each other."""
    for answer in _ask(door).answers:
        assert can_migrate(door, UUID, answer.target.host, now=NOW) == answer


@given(_fleets(), st.integers(1, 4))
def test_limits_and_filters_take_from_the_same_list(door: MemoryDoor, limit: int) -> None:
    """Compatible first, then unknown, then incompatible; the counts do not change."""
    whole = _ask(door)
    ranks = [list(Outcome).index(answer.verdict.outcome) for answer in whole.answers]
    order = {Outcome.COMPATIBLE: 0, Outcome.UNKNOWN: 1, Outcome.INCOMPATIBLE: 2}
    assert sorted(whole.answers, key=lambda answer: order[answer.verdict.outcome]) == list(whole.answers)
    assert len(ranks) == len(whole.answers)
    assert _ask(door, limit).answers == whole.answers[:limit]
    for outcome in Outcome:
        some = _ask(door, outcome=outcome)
        assert list(some.answers) == [each for each in whole.answers if each.verdict.outcome is outcome]
        assert some.counts == whole.counts
        assert whole.counts[outcome.value] == len(some.answers)


def test_an_answer_says_how_long_it_may_be_relied_on() -> None:
    """The older of the two hosts decides; of the past nothing grows old."""
    door = MemoryDoor([_SOURCE, host("beta", mtty("2"), seen_s=20)])
    answer = can_migrate(door, UUID, "beta", now=NOW)
    assert (answer.facts_age_s, answer.reliable_until) == (20, NOW + timedelta(seconds=40))
    past = can_migrate(door, UUID, "beta", now=NOW, moment=Moment(as_of=NOW - timedelta(hours=1)))
    assert (past.facts_age_s, past.reliable_until) == (None, None)
    assert past.verdict.outcome is Outcome.COMPATIBLE


def test_the_way_back_is_the_same_question_the_other_way() -> None:
    """Directional: new may load old while old refuses new."""
    answer = can_migrate(small_fleet(), UUID, "beta", now=NOW)
    assert (answer.verdict.outcome, answer.way_back) == (Outcome.COMPATIBLE, Outcome.INCOMPATIBLE)


def test_one_offer_of_a_host_can_be_asked_about() -> None:
    """By parent, or by parent and type; what is not there is named with what is."""
    door = small_fleet()
    assert can_migrate(door, UUID, "beta/mtty", now=NOW) == can_migrate(door, UUID, "beta", now=NOW)
    asked = can_migrate(door, UUID, "epsilon/mdpy/mdpy-vga", now=NOW).verdict
    assert asked.user is Outcome.INCOMPATIBLE
    with pytest.raises(NotFoundError, match="mtty"):
        can_migrate(door, UUID, "beta/mtyt", now=NOW)
    with pytest.raises(NotFoundError, match="mtty-1"):
        can_migrate(door, UUID, "beta/mtty/mtty-9", now=NOW)


def test_a_limit_below_one_is_a_wrong_question() -> None:
    """Not an empty list, which would read as "no host"."""
    with pytest.raises(UsageError, match="at least 1"):
        _ask(small_fleet(), limit=0)


def test_the_way_back_is_closed_where_the_guest_would_see_another_device() -> None:
    """Both ways the stream alone would load: another type is no way back either."""
    fleet = MemoryDoor([_SOURCE, host("beta", msgspec.structs.replace(_retyped(mtty("2")), name="mtty"))])
    answer = can_migrate(fleet, UUID, "beta/mtty/other-1", now=NOW)
    assert (answer.verdict.user, answer.verdict.migration) == (Outcome.INCOMPATIBLE, Outcome.COMPATIBLE)
    assert answer.way_back is Outcome.INCOMPATIBLE


def test_a_named_parent_is_what_the_answer_is_about() -> None:
    """Another parent of the host may well offer the type."""
    other = msgspec.structs.replace(_retyped(mtty("2")), name="other", path="/devices/other")
    fleet = MemoryDoor([_SOURCE, host("beta", mtty("2"), other)])
    answer = can_migrate(fleet, UUID, "beta/other", now=NOW)
    assert answer.target_parent == "other"
    assert answer.verdict.reasons[0].text.startswith("beta/other does not offer mtty-1; it offers other-1")


def _retyped(parent: Parent) -> Parent:
    types = tuple(msgspec.structs.replace(kind, id=kind.id.replace("mtty", "other")) for kind in parent.types)
    return msgspec.structs.replace(parent, types=types)


def _rule(effect: Literal["deny", "allow"], **changed: Any) -> Rule:
    good = Rule(id="new", effect=effect, author="op", message="why", valid_from=NOW - timedelta(hours=1))
    return msgspec.structs.replace(good, **changed)


def test_operators_rules_decide_in_every_question() -> None:
    """One host, all hosts; the counts are of what was decided, and the rule is among the reasons."""
    door = MemoryDoor([_SOURCE, host("beta", mtty("2")), host("gamma", mtty(None))])
    assert _outcomes(door) == {"beta": Outcome.COMPATIBLE, "gamma": Outcome.UNKNOWN}
    allow = door.add_rule(_rule("allow", target=Scope(host=("gamma",))))
    assert _outcomes(door) == {"beta": Outcome.COMPATIBLE, "gamma": Outcome.COMPATIBLE}
    deny = door.add_rule(_rule("deny", where=Scope(driver=("mtty",))))
    assert _outcomes(door) == {"beta": Outcome.INCOMPATIBLE, "gamma": Outcome.INCOMPATIBLE}
    assert _ask(door).counts == {"compatible": 0, "incompatible": 2, "unknown": 0}
    answer = can_migrate(door, UUID, "gamma", now=NOW)
    assert {reason.name for reason in answer.verdict.reasons if reason.about == "rule"} == {allow.id, deny.id}


def test_the_rules_are_those_that_hold_at_the_time_asked_about() -> None:
    """Valid time: an ended rule still decides about the past; system time: what was not known then does not."""
    door = MemoryDoor([_SOURCE, host("beta", mtty("2"))])
    before = door.position
    rule = door.add_rule(_rule("deny"))
    door.end_rule(rule.id, at=NOW - timedelta(minutes=10), author="op")
    asked = {
        "now": Moment(),
        "an hour before it began": Moment(as_of=NOW - timedelta(minutes=90)),
        "while it held": Moment(as_of=NOW - timedelta(minutes=30)),
        "as known before": Moment(as_of=NOW - timedelta(minutes=30), known_at=before),
    }
    found = {
        name: can_migrate(door, UUID, "beta", now=NOW, moment=when).verdict.outcome for name, when in asked.items()
    }
    assert found == {
        "now": Outcome.COMPATIBLE,
        "an hour before it began": Outcome.COMPATIBLE,
        "while it held": Outcome.INCOMPATIBLE,
        "as known before": Outcome.COMPATIBLE,
    }


def test_a_saved_stream_asks_every_host_that_loads_its_format() -> None:
    """Of its type, if that is named; where it was saved does not matter, and there is no way back."""
    stream = Inspected(format="mtty", scheme="integer", version="2")
    door = MemoryDoor([host("alpha", mtty("2")), host("beta", mtty("3")), host("gamma", other_parent("mtty-1"))])
    found = targets_of_stream(door, stream, now=NOW)
    assert {answer.target.hostname: answer.verdict.outcome for answer in found.answers} == {
        "alpha": Outcome.COMPATIBLE,
        "beta": Outcome.INCOMPATIBLE,
    }
    assert {answer.way_back for answer in found.answers} == {Outcome.UNKNOWN}
    assert targets_of_stream(door, stream, now=NOW, kind="mtty-2").answers == ()
    typed = targets_of_stream(door, stream, now=NOW, kind="mtty-1")
    assert {answer.verdict.user for answer in typed.answers} == {Outcome.COMPATIBLE}


def test_a_stale_host_is_unknown_for_a_saved_stream_too() -> None:
    """The stream has no host, so that the target's silence alone counts."""
    stream = Inspected(format="mtty", scheme="integer", version="2")
    door = MemoryDoor([host("alpha", mtty("2"), seen_s=99)])
    (answer,) = targets_of_stream(door, stream, now=NOW).answers
    assert (answer.verdict.outcome, answer.facts_age_s) == (Outcome.UNKNOWN, 99)


def _outcomes(door: MemoryDoor) -> dict[str, Outcome]:
    answers = _ask(door).answers
    for answer in answers:
        assert can_migrate(door, UUID, answer.target.host, now=NOW) == answer
    return {answer.target.hostname: answer.verdict.outcome for answer in answers}
