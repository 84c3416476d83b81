"""Many pairs in one question, answered briefly. Pure but for the door."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol, runtime_checkable

import msgspec

from mdevreg.answering import brief_of
from mdevreg.compatibility import DEFAULT_RULES, Rules
from mdevreg.errors import NotFoundError, UsageError
from mdevreg.facts import NOW, Moment
from mdevreg.moments import clock_of, snapshot_of
from mdevreg.query.door import Door
from mdevreg.query.questions import can_migrate
from mdevreg.rulings import Brief

#: Most pairs in one question.
MAX_PAIRS = 10_000


class Asked(msgspec.Struct, frozen=True):
    """One pair: ``device`` and ``to`` as in ``can_migrate``."""

    device: str
    to: str


class Problem(msgspec.Struct, frozen=True):
    """Why one pair has no answer: an error's code and sentence. The nearest known names come with a single question."""

    code: str
    message: str


class BriefAnswer(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """The answer to one pair, or the problem with it."""

    device: str
    to: str
    answer: Brief | None = None
    problem: Problem | None = None


class BriefAnswers(msgspec.Struct, frozen=True):
    """The answers to many pairs, in the order of the question.

    ``position``, ``snapshot``: of the newest facts of them all; each answer tells its own position.
    """

    answers: tuple[BriefAnswer, ...]
    position: int
    answered_at: datetime
    as_of: datetime | None = None
    snapshot: str = ""

    @classmethod
    def of(cls, answers: tuple[BriefAnswer, ...], position: int, moment: Moment, now: datetime) -> BriefAnswers:
        """The answers to a question that was asked at ``now``."""
        clock = clock_of(moment, now)
        return cls(answers, position, clock, moment.as_of, snapshot_of(position, moment.as_of or clock))


@runtime_checkable
class NearDoor(Protocol):
    """A door that answers many pairs where the facts are: in this process, or at the registry."""

    def briefs(self, pairs: Sequence[Asked], moment: Moment, *, stale_after_s: float, now: datetime) -> BriefAnswers:
        """The answers, in the order of the question; a pair that can't be answered has a problem instead."""
        ...


def can_migrate_many(
    door: Door, pairs: Sequence[Asked], *, now: datetime, moment: Moment = NOW, rules: Rules = DEFAULT_RULES
) -> BriefAnswers:
    """Can each of these devices be migrated there? Raises ``UsageError`` for more than ``MAX_PAIRS``."""
    if len(pairs) > MAX_PAIRS:
        raise UsageError(f"{len(pairs)} pairs in one question; at most {MAX_PAIRS} are answered", code="TOO_MANY_PAIRS")
    if isinstance(door, NearDoor):
        return door.briefs(pairs, moment, stale_after_s=rules.stale_after_s, now=now)
    return one_by_one(door, pairs, now=now, moment=moment, rules=rules)


def one_by_one(door: Door, pairs: Sequence[Asked], *, now: datetime, moment: Moment, rules: Rules) -> BriefAnswers:
    """The same by asking for the facts of each pair."""
    answers = tuple(_answered(door, pair, now, moment, rules) for pair in pairs)
    position = max((each.answer.position for each in answers if each.answer is not None), default=0)
    return BriefAnswers.of(answers, position, moment, now)


def problem_of(error: UsageError) -> Problem:
    """An error as it stands in place of an answer."""
    plain = NotFoundError(error.kind, error.name) if isinstance(error, NotFoundError) else error
    return Problem(error.code, plain.message)


def _answered(door: Door, pair: Asked, now: datetime, moment: Moment, rules: Rules) -> BriefAnswer:
    try:
        found = can_migrate(door, pair.device, pair.to, now=now, moment=moment, rules=rules)
    except UsageError as error:
        return BriefAnswer(pair.device, pair.to, problem=problem_of(error))
    return BriefAnswer(pair.device, pair.to, answer=brief_of(found))
