"""The laws of decisions and outcomes in ``mdevreg.query.door``: one suite for every door, each test over a registry of
its own."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from msgspec import structs

from contracts.door_contract import OpenDoor
from mdevreg.decisions import Decision, DecisionDraft, DecisionsAsked, Question
from mdevreg.errors import NotFoundError, UsageError
from mdevreg.facts import NOW, Moment
from mdevreg.outcomes import OutcomeDraft, OutcomeReport, OutcomesAsked
from mdevreg.query import questions
from mdevreg.query.door import Door
from mdevreg.query.regretting import regret
from mdevreg.rules import Rule, Scope
from mdevreg.verdict import Outcome
from support.door_fleet import ASKED
from support.hosts import uuid_of

#: A yes of ``support.door_fleet``, however long ago its hosts were heard, and a no.
YES = Question(device=uuid_of(1), to="beta/mtty2", stale_after_s=3_000_000_000.0)
NO = structs.replace(YES, to="eta")
#: The way back of what loads there is none by its stream.
ONE_WAY = structs.replace(YES, to="beta/mtty")


def _asked(question: Question = YES, **more: Any) -> DecisionDraft:
    return DecisionDraft(question=question, author="alice@desk", **more)


def _ended(result: Any, **more: Any) -> OutcomeDraft:
    said = {"device": YES.device, "to": YES.to, "author": "nova", **more}
    return OutcomeDraft(result=result, **said)


def _codes(door: Door, question: Question = YES, moment: Moment = NOW) -> tuple[Outcome, set[str]]:
    answer = questions.can_migrate(door, question.device, question.to, now=ASKED, moment=moment, rules=question.rules)
    return answer.verdict.outcome, {reason.code for reason in answer.verdict.reasons}


class DeedContract:
    """Decisions and outcomes are kept alike through every door."""

    @pytest.fixture
    def door(self, open_fresh: OpenDoor) -> Iterator[Door]:
        with open_fresh() as door:
            yield door

    def test_a_decision_is_the_answer_with_who_asked_and_why(self, door: Door) -> None:
        before = door.rules(NOW)
        asked = datetime.now(UTC)
        told = door.record(_asked(asked_for="nova", note="rack 7"))
        assert asked - timedelta(seconds=1) <= told.at <= datetime.now(UTC) + timedelta(seconds=1)
        assert (told.author, told.asked_for, told.note, told.question) == ("alice@desk", "nova", "rack 7", YES)
        assert told.told.verdict.outcome is Outcome.COMPATIBLE
        assert told.told.position == before.position
        assert told.told.source.digest
        assert told.told.target_digest
        shown = door.decision(told.id)
        assert bytes(shown.answer) == bytes(told.answer)
        assert shown == told

    def test_a_decision_changes_nothing_that_is_judged(self, door: Door) -> None:
        before = [_codes(door, each) for each in (YES, NO)], door.rules(NOW).rules, door.drivers(NOW).drivers
        decisions = [door.record(_asked(question)) for question in (YES, NO)]
        after = [_codes(door, each) for each in (YES, NO)], door.rules(NOW).rules, door.drivers(NOW).drivers
        assert before == after
        assert [each.told.verdict.outcome for each in decisions] == [Outcome.COMPATIBLE, Outcome.INCOMPATIBLE]

    def test_decisions_are_listed_newest_last_and_page_by_page(self, door: Door) -> None:
        names = [door.record(_asked(question, note=f"{number}")).id for number, question in enumerate([YES, NO] * 3)]
        listed = door.decisions(DecisionsAsked())
        assert [line.id for line in listed.decisions] == names
        assert [line.note for line in listed.decisions] == ["0", "1", "2", "3", "4", "5"]
        assert listed.next is None
        found: list[str] = []
        page = door.decisions(DecisionsAsked(limit=4))
        found = [line.id for line in page.decisions]
        page = door.decisions(DecisionsAsked(limit=4, before=page.next))
        assert [*(line.id for line in page.decisions), *found] == names
        assert page.next is None

    def test_decisions_are_chosen_by_device_host_and_time(self, door: Door) -> None:
        first, second = (door.record(_asked(question)) for question in (YES, NO))
        for asked, expected in (
            (DecisionsAsked(device=uuid_of(1)), [first, second]),
            (DecisionsAsked(device=uuid_of(2)), []),
            (DecisionsAsked(host="eta"), [second]),
            (DecisionsAsked(host="host-a"), [first, second]),
            (DecisionsAsked(since=second.at), [second]),
            (DecisionsAsked(until=second.at), [first]),
            (DecisionsAsked(since=first.at, until=first.at), []),
        ):
            assert [line.id for line in door.decisions(asked).decisions] == [each.id for each in expected], asked

    def test_a_line_tells_what_was_asked_and_answered(self, door: Door) -> None:
        told = door.record(_asked())
        [line] = door.decisions(DecisionsAsked()).decisions
        assert (line.outcome, line.device, line.to, line.author) == ("compatible", YES.device, YES.to, "alice@desk")
        assert line.position == told.told.position
        assert "NO_FREE_INSTANCE" not in line.codes
        assert set(line.codes) <= {reason.code for reason in told.told.verdict.reasons}

    def test_what_can_not_be_answered_is_not_recorded(self, door: Door) -> None:
        for wrong, error in (
            (_asked(structs.replace(YES, device=uuid_of(77))), NotFoundError),
            (_asked(structs.replace(YES, to="nowhere")), NotFoundError),
            (structs.replace(_asked(), author=" "), UsageError),
            (_asked(note="a\x07b"), UsageError),
            (_asked(note="n" * 1_001), UsageError),
            (_asked(asked_for=""), UsageError),
        ):
            with pytest.raises(error):
                door.record(wrong)
        assert door.decisions(DecisionsAsked()).decisions == ()

    @pytest.mark.parametrize("name", ["d999", "d0", "r1", "x", "d1\x00", "d" + "9" * 40, "d01"])
    def test_an_unknown_decision_is_a_usage_error(self, door: Door, name: str) -> None:
        told = door.record(_asked())
        with pytest.raises(UsageError) as caught:
            door.decision(name)
        if isinstance(caught.value, NotFoundError) and name == "d999":
            assert told.id in caught.value.nearest
        with pytest.raises(UsageError):
            door.report(OutcomeDraft(result="loaded", decision=name, author="nova"))

    def test_a_refusal_makes_the_next_yes_of_these_profiles_unknown(self, door: Door) -> None:
        assert _codes(door)[0] is Outcome.COMPATIBLE
        known = door.rules(NOW).position
        report = door.report(_ended("refused", detail="vmstate load failed: -22"))
        outcome, codes = _codes(door)
        assert (outcome, "OUTCOME_REFUSED" in codes) == (Outcome.UNKNOWN, True)
        assert _codes(door, moment=Moment(known_at=known)) == (Outcome.COMPATIBLE, codes - {"OUTCOME_REFUSED"})
        before = Moment(as_of=report.at - timedelta(microseconds=1))
        assert "OUTCOME_REFUSED" not in _codes(door, moment=before)[1]
        assert "OUTCOME_REFUSED" in _codes(door, moment=Moment(as_of=report.at))[1]
        other = door.candidates("alpha/mtty/mtty-1", NOW).outcomes
        assert [each.id for each in other] == [report.id]
        door.report(_ended("loaded"))
        assert _codes(door)[0] is Outcome.COMPATIBLE

    def test_a_failure_of_another_cause_is_no_evidence(self, door: Door) -> None:
        before = _codes(door)
        door.report(_ended("failed", detail="network"))
        assert _codes(door) == before
        door.report(_ended("refused"))
        door.report(_ended("failed"))
        assert _codes(door)[0] is Outcome.UNKNOWN

    def test_a_report_that_comes_late_does_not_undo_a_newer_one(self, door: Door) -> None:
        door.report(_ended("loaded"))
        early = door.report(_ended("refused", at=datetime.now(UTC) - timedelta(minutes=1)))
        assert _codes(door)[0] is Outcome.COMPATIBLE
        assert "OUTCOME_REFUSED" in _codes(door, moment=Moment(as_of=early.at))[1]

    def test_a_report_on_a_decision_knows_its_profiles(self, door: Door) -> None:
        decision = door.record(_asked())
        report = door.report(OutcomeDraft(result="refused", decision=decision.id, author="nova"))
        answer = decision.told
        assert (report.source, report.target) == (answer.source.digest, answer.target_digest)
        assert (report.decision, report.device, report.to) == (decision.id, uuid_of(1), "beta/mtty2/mtty-1")
        with pytest.raises(UsageError) as caught:
            door.report(OutcomeDraft(result="refused", decision=decision.id, to="gamma", author="nova"))
        assert caught.value.code == "OTHER_TARGET"
        for same in ("beta", "host-b", "beta/mtty2", "beta/mtty2/mtty-1"):
            door.report(OutcomeDraft(result="loaded", decision=decision.id, to=same, author="nova"))

    def test_reports_are_listed_newest_last_and_chosen(self, door: Door) -> None:
        decision = door.record(_asked())
        first = door.report(_ended("refused"))
        second = door.report(OutcomeDraft(result="loaded", decision=decision.id, author="nova"))
        listed = door.outcomes(OutcomesAsked())
        assert listed.outcomes == (first, second)
        page = door.outcomes(OutcomesAsked(limit=1))
        assert (page.outcomes, page.next) == ((second,), int(second.id[1:]))
        rest = door.outcomes(OutcomesAsked(limit=1, before=page.next))
        assert (rest.outcomes, rest.next) == ((first,), None)
        for asked, expected in (
            (OutcomesAsked(decision=decision.id), (second,)),
            (OutcomesAsked(device=uuid_of(1), host="beta"), (first, second)),
            (OutcomesAsked(host="gamma"), ()),
            (OutcomesAsked(source=first.source, target=first.target), (first, second)),
            (OutcomesAsked(source=first.source, target="0" * 64), ()),
            (OutcomesAsked(as_of=first.at), (first,)),
            (OutcomesAsked(known_at=int(first.id[1:])), (first,)),
        ):
            assert door.outcomes(asked).outcomes == expected, asked
        with pytest.raises(NotFoundError):
            door.outcomes(OutcomesAsked(host="nowhere"))

    def test_who_got_no_answer_may_report_again(self, door: Door) -> None:
        draft = _ended("refused", at=datetime.now(UTC) - timedelta(seconds=5))
        report = door.report(draft)
        if type(door).__name__ != "MemoryDoor":
            assert door.report(draft) == report
            assert door.outcomes(OutcomesAsked()).outcomes == (report,)

    def test_a_report_that_can_not_be_meant_changes_nothing(self, door: Door) -> None:
        before = door.rules(NOW).position
        for wrong in (
            _ended("refused", device=uuid_of(77)),
            _ended("refused", to="nowhere"),
            _ended("refused", to="eta"),
            _ended("refused", to=None),
            _ended("refused", device=None, to=None),
            _ended("refused", decision="d1"),
            _ended("refused", author=""),
            _ended("refused", at=datetime.now(UTC) + timedelta(hours=1)),
            _ended("refused", at=ASKED - timedelta(days=9_000)),
            _ended("refused", detail="a\nb"),
            _ended("refused", detail="d" * 1_001),
            _ended("crashed"),
        ):
            with pytest.raises(UsageError):
                door.report(wrong)
        assert door.rules(NOW).position == before
        assert door.outcomes(OutcomesAsked()).outcomes == ()

    def test_what_is_recorded_is_read_as_json_by_anybody(self, door: Door) -> None:
        told = door.record(_asked())
        document = msgspec.json.decode(msgspec.json.encode(told))
        assert document["answer"]["verdict"]["outcome"] == "compatible"
        assert msgspec.convert(document["answer"], type(told.told)) == told.told
        assert isinstance(told, Decision)
        assert isinstance(door.report(_ended("loaded")), OutcomeReport)

    def test_nothing_is_regretted_where_nothing_came_later(self, door: Door) -> None:
        begun = datetime.now(UTC)
        for question in (YES, NO, ONE_WAY):
            door.record(_asked(question))
        found = regret(door, since=begun - timedelta(seconds=1), now=datetime.now(UTC))
        assert (found.approved, found.regrets, found.next) == (2, (), None)
        assert regret(door, since=begun - timedelta(days=1), until=begun, now=datetime.now(UTC)).approved == 0

    def test_a_rule_that_came_late_is_named_with_its_position(self, door: Door) -> None:
        begun = datetime.now(UTC)
        kept, wrong = door.record(_asked(ONE_WAY)), door.record(_asked())
        door.record(_asked(NO))
        late = door.add_rule(
            Rule(
                id="draft",
                effect="deny",
                author="ops",
                message="known-bad card",
                valid_from=begun - timedelta(hours=1),
                target=Scope(parent=("mtty2",)),
            )
        )
        found = regret(door, since=begun - timedelta(seconds=1), now=datetime.now(UTC))
        [told] = found.regrets
        assert found.approved == 2
        assert (told.decision.id, told.outcome) == (wrong.id, Outcome.INCOMPATIBLE)
        assert [reason.code for reason in told.against] == ["RULE_DENIES"]
        [turn] = told.turns
        assert (turn.position, turn.kind, turn.code) == (int(late.id[1:]), "rule", "RULE_DENIES")
        assert late.id in turn.text
        assert wrong.told.verdict.outcome is Outcome.COMPATIBLE
        assert door.decision(wrong.id) == wrong
        assert door.decision(kept.id) == kept

    def test_a_yes_that_was_refused_is_regretted_and_one_that_loaded_is_not(self, door: Door) -> None:
        begun = datetime.now(UTC)
        wrong, right = (door.record(_asked()) for _ in range(2))
        door.report(OutcomeDraft(result="refused", decision=wrong.id, author="nova"))
        door.report(OutcomeDraft(result="loaded", decision=right.id, author="nova"))
        door.report(OutcomeDraft(result="failed", decision=wrong.id, author="nova"))
        found = regret(door, since=begun - timedelta(seconds=1), now=datetime.now(UTC))
        [told] = found.regrets
        assert (told.decision.id, told.outcome) == (wrong.id, Outcome.COMPATIBLE)
        assert told.reported is not None
        assert (told.reported.result, told.reported.decision) == ("refused", wrong.id)

    def test_regrets_come_page_by_page_and_bounds_are_refused(self, door: Door) -> None:
        begun = datetime.now(UTC) - timedelta(seconds=1)
        names = [door.record(_asked()).id for _ in range(3)]
        door.report(_ended("refused", at=begun))
        now = datetime.now(UTC)
        last = regret(door, since=begun, now=now, limit=2)
        first = regret(door, since=begun, now=now, limit=2, before=last.next)
        assert [each.decision.id for each in (*first.regrets, *last.regrets)] == names
        assert first.next is None
        for told in (*first.regrets, *last.regrets):
            assert told.outcome is Outcome.UNKNOWN
            assert [turn.kind for turn in told.turns] == ["outcome"]
        for limit in (0, 201):
            with pytest.raises(UsageError, match="a number from 1 to 200"):
                regret(door, since=begun, now=now, limit=limit)
        with pytest.raises(UsageError, match="not after its beginning"):
            regret(door, since=begun, until=begun, now=now)
