"""The laws of rules in ``mdevreg.query.door``: one suite for every door, over a registry of its own for each test."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from msgspec import structs

from contracts.door_contract import OpenDoor
from mdevreg.errors import NotFoundError, UsageError
from mdevreg.facts import NOW, Moment
from mdevreg.query import questions
from mdevreg.query.door import Door
from mdevreg.rules import Rule, Scope
from support.door_fleet import ASKED
from support.hosts import uuid_of

BEGUN = ASKED - timedelta(minutes=10)
DRAFT = Rule(
    id="draft",
    effect="deny",
    author="ops@desk",
    message="beta's rack is being moved",
    valid_from=BEGUN,
    target=Scope(host=("beta",)),
)


def _codes(door: Door, moment: Moment = NOW) -> set[str]:
    answer = questions.can_migrate(door, uuid_of(1), "beta", now=ASKED, moment=moment)
    return {reason.code for reason in answer.verdict.reasons}


class RuleContract:
    """Rules are added and ended through every door, and are history."""

    @pytest.fixture
    def door(self, open_fresh: OpenDoor) -> Iterator[Door]:
        with open_fresh() as door:
            yield door

    def test_an_added_rule_gets_an_id_of_its_own_and_is_known_at_once(self, door: Door) -> None:
        before = door.rules(NOW)
        other = structs.replace(DRAFT, message="and once more")
        first, second = door.add_rule(DRAFT), door.add_rule(other)
        names = [first.id, second.id, DRAFT.id, *(rule.id for rule in before.rules)]
        assert len(set(names)) == len(names)
        assert structs.replace(first, id=DRAFT.id) == DRAFT
        found = door.rules(NOW)
        assert found.rules == (*before.rules, first, second)
        assert found.position == before.position + 2

    def test_who_got_no_answer_may_ask_again(self, door: Door) -> None:
        rule = door.add_rule(DRAFT)
        known = door.rules(NOW).rules
        assert door.add_rule(DRAFT) == rule
        assert door.rules(NOW).rules == known
        door.end_rule(rule.id, at=ASKED, author="ops@desk")
        assert door.add_rule(DRAFT).id != rule.id

    def test_a_rule_decides_from_its_time_and_position_on(self, door: Door) -> None:
        before = door.rules(NOW).position
        assert "RULE_DENIES" not in _codes(door)
        rule = door.add_rule(DRAFT)
        answer = questions.can_migrate(door, uuid_of(1), "beta", now=ASKED)
        assert answer.verdict.outcome == "incompatible"
        assert [reason.name for reason in answer.verdict.reasons if reason.code == "RULE_DENIES"] == [rule.id]
        assert "RULE_DENIES" in _codes(door, Moment(as_of=BEGUN))
        assert "RULE_DENIES" not in _codes(door, Moment(as_of=BEGUN - timedelta(seconds=1)))
        assert "RULE_DENIES" not in _codes(door, Moment(known_at=before))

    def test_an_ended_rule_stays_in_the_history(self, door: Door) -> None:
        rule = door.add_rule(DRAFT)
        known = door.rules(NOW).position
        end = ASKED - timedelta(minutes=5)
        ended = door.end_rule(rule.id, at=end, author="ops@desk")
        assert ended == structs.replace(rule, valid_until=end)
        assert door.rules(NOW).rules[-1] == ended
        assert "RULE_DENIES" not in _codes(door)
        assert "RULE_DENIES" in _codes(door, Moment(as_of=end - timedelta(seconds=1)))
        assert door.rules(Moment(known_at=known)).rules[-1] == rule

    def test_without_a_time_it_ends_now_and_before_its_beginning_at_once(self, door: Door) -> None:
        asked = datetime.now(UTC)
        rule, coming = (
            door.add_rule(structs.replace(DRAFT, valid_from=begin)) for begin in (BEGUN, asked + timedelta(days=1))
        )
        ended = door.end_rule(rule.id, at=None, author="ops@desk").valid_until
        assert ended is not None
        assert asked <= ended <= datetime.now(UTC)
        assert door.end_rule(coming.id, at=None, author="ops@desk").valid_until == coming.valid_from

    def test_a_rule_that_can_not_be_meant_is_refused_and_changes_nothing(self, door: Door) -> None:
        before = door.rules(NOW).rules
        for wrong in ({"effect": "pin"}, {"fields": ("psid",)}, {"versions": "1"}, {"valid_until": BEGUN}):
            with pytest.raises(UsageError):
                door.add_rule(structs.replace(DRAFT, **wrong))
        assert door.rules(NOW).rules == before

    def test_an_unknown_rule_and_an_ended_one_can_not_be_ended(self, door: Door) -> None:
        rule = door.add_rule(DRAFT)
        with pytest.raises(NotFoundError) as caught:
            door.end_rule(rule.id + "7", at=None, author="ops@desk")
        assert rule.id in caught.value.nearest
        door.end_rule(rule.id, at=ASKED, author="ops@desk")
        with pytest.raises(UsageError):
            door.end_rule(rule.id, at=ASKED, author="ops@desk")
