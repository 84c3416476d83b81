"""Yes that should not have been said: recorded decisions, judged again for their own time on what is known now.

Pure but for the door. What was told stays what it was; this asks whether it was right.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Literal

import msgspec
from msgspec import structs

from mdevreg.answering import Answer, answer_of
from mdevreg.decisions import Decision, DecisionLine, DecisionsAsked
from mdevreg.errors import UsageError
from mdevreg.facts import Moment, Pair, Side
from mdevreg.outcomes import MAX_PAGE, OutcomeReport, OutcomesAsked, standing
from mdevreg.query.batch import Problem, problem_of
from mdevreg.query.door import Door
from mdevreg.verdict import Outcome, Reason

#: Decisions that are looked at for one page, at most: each takes a few questions.
MAX_LOOKED_AT = 200


class Turn(msgspec.Struct, frozen=True):
    """An entry of the log that came after the decision, and what it brought up against it.

    ``code``: of the reason; empty: something that spoke for it is gone.
    """

    position: int
    kind: Literal["record", "rule", "catalog", "outcome"]
    code: str
    text: str


class Regret(msgspec.Struct, frozen=True, omit_defaults=True):
    """A yes, and what is now known of its time. ``against``: the reasons that now keep it from being one.

    ``turns``: what came late, or corrected what was believed, in log order. ``reported``: how the migration ended, or
    the last one between the same two profiles. ``problem``: why it can't be judged again.
    """

    decision: DecisionLine
    as_of: datetime
    outcome: Outcome
    against: tuple[Reason, ...] = ()
    turns: tuple[Turn, ...] = ()
    reported: OutcomeReport | None = None
    problem: Problem | None = None


class Regrets(msgspec.Struct, frozen=True):
    """The regrets of a period, by decision, oldest first. ``approved``: how many yes were looked at.

    ``next``: older decisions are asked for by that ``before``; ``None``: that was all.
    """

    position: int
    approved: int
    regrets: tuple[Regret, ...]
    answered_at: datetime
    next: int | None = None


def regret(
    door: Door,
    *,
    since: datetime,
    until: datetime | None = None,
    now: datetime,
    before: int | None = None,
    limit: int = 100,
) -> Regrets:
    """Which recorded yes of ``[since, until)`` would now be none? The newest ``limit`` decisions are looked at.

    Nothing is to be regretted where nothing was known later than the decisions. Raises ``UsageError``.
    """
    if not 1 <= limit <= MAX_LOOKED_AT:
        raise UsageError(f"limit is {limit}; a number from 1 to {MAX_LOOKED_AT} was expected")
    if until is not None and until <= since:
        raise UsageError(f"the period ends at {until}, which is not after its beginning {since}")
    page = door.decisions(DecisionsAsked(since=since, until=until, before=before, limit=limit))
    approved = [line for line in page.decisions if line.outcome is Outcome.COMPATIBLE]
    found = (_regretted(door, line, now) for line in approved)
    regrets = tuple(each for each in found if each is not None)
    return Regrets(page.position, len(approved), regrets, now, page.next)


def _regretted(door: Door, line: DecisionLine, now: datetime) -> Regret | None:
    decision = door.decision(line.id)
    again = _Again(door, decision, now)
    reported = _reported(door, decision)
    now_known = again.judged(None)
    if isinstance(now_known, UsageError):
        return Regret(line, again.as_of, Outcome.UNKNOWN, reported=reported, problem=problem_of(now_known))
    refused = reported is not None and reported.result == "refused"
    verdict = now_known.verdict
    if verdict.outcome is Outcome.COMPATIBLE and not refused:
        return None
    against = tuple(reason for reason in verdict.reasons if reason.says in (Outcome.INCOMPATIBLE, Outcome.UNKNOWN))
    return Regret(line, again.as_of, verdict.outcome, against, again.turns(now_known), reported)


def _reported(door: Door, decision: Decision) -> OutcomeReport | None:
    """How it ended, if that was reported; else what became of others between the same two profiles."""
    answer = decision.told
    alike = OutcomesAsked(source=answer.source.digest, target=answer.target_digest, limit=MAX_PAGE)
    if not alike.source or alike.target is None:
        return None  # nothing was judged that a report could be about
    own = standing(door.outcomes(structs.replace(alike, decision=decision.id)).outcomes)
    return own or standing(door.outcomes(alike).outcomes)


class _Again:
    """One decision's question, for its own time, as it would be answered at any log position."""

    def __init__(self, door: Door, decision: Decision, now: datetime) -> None:
        self._door, self._question, self._now = door, decision.question, now
        self._then = decision.told
        self.as_of = self._then.as_of or self._then.answered_at
        self._pairs: dict[int | None, Pair | UsageError] = {}

    def judged(self, known_at: int | None) -> Answer | UsageError:
        """The answer as known then, or why there is none."""
        pair, moment = self._pair(known_at), Moment(self.as_of, known_at)
        if isinstance(pair, UsageError):
            return pair
        rest = self._question.to.partition("/")[2]
        try:
            return answer_of(pair, rest, now=self._now, moment=moment, rules=self._question.rules)
        except UsageError as error:
            return error

    def turns(self, answer: Answer) -> tuple[Turn, ...]:
        """The entries after the decision that brought what is now said against it."""
        first, last = self._then.position, answer.position
        keys = [
            (each.code, each.name) for each in answer.verdict.reasons if each.says not in (None, Outcome.COMPATIBLE)
        ]
        found = [self._turn(first, last, self._says(code, name), code) for code, name in keys]
        if not any(found) and answer.verdict.outcome is not Outcome.COMPATIBLE:
            found = [self._turn(first, last, self._no_yes, "")]
        turns = {(turn.position, turn.code): turn for turn in found if turn is not None}
        return tuple(turns[key] for key in sorted(turns))

    def _turn(self, before: int, after: int, holds: Callable[[int], bool], code: str) -> Turn | None:
        """The entry since which it holds, found by halving; ``None``: it held when the decision was taken."""
        if after <= before or holds(before):
            return None
        while after - before > 1:
            middle = (before + after) // 2
            before, after = (before, middle) if holds(middle) else (middle, after)
        return self._told(after, code)

    def _says(self, code: str, name: str) -> Callable[[int], bool]:
        def holds(position: int) -> bool:
            answer = self.judged(position)
            if isinstance(answer, UsageError):
                return False
            return (code, name) in {(reason.code, reason.name) for reason in answer.verdict.reasons}

        return holds

    def _no_yes(self, position: int) -> bool:
        answer = self.judged(position)
        return isinstance(answer, UsageError) or answer.verdict.outcome is not Outcome.COMPATIBLE

    def _told(self, position: int, code: str) -> Turn:
        """What the entry at a position changed of the facts."""
        before, after = self._pair(position - 1), self._pair(position)
        if isinstance(before, UsageError) or isinstance(after, UsageError):
            return Turn(position, "record", code, f"a record of {self._then.target.hostname}, or of the source's host")
        for kind, old, new in (("rule", before.rules, after.rules), ("outcome", before.outcomes, after.outcomes)):
            if changed := [str(each) for each in new if each not in old]:
                return Turn(position, "rule" if kind == "rule" else "outcome", code, "; ".join(changed))
        if _digests(before) == _digests(after):
            return Turn(position, "catalog", code, "what is believed of one of the driver builds was changed")
        host = after.target if before.source.digest == after.source.digest else after.source.evidence
        return Turn(position, "record", code, f"a record of {host.hostname} ({host.host}) that came after the decision")

    def _pair(self, known_at: int | None) -> Pair | UsageError:
        if known_at not in self._pairs:
            try:
                found: Pair | UsageError = self._door.pair(
                    self._question.device, self._then.target.host, Moment(self.as_of, known_at)
                )
            except UsageError as error:
                found = error
            self._pairs[known_at] = found
        return self._pairs[known_at]


def _digests(pair: Pair) -> list[tuple[str, str]]:
    return [(side.parent, side.digest) for side in _sides(pair)]


def _sides(pair: Pair) -> Iterator[Side]:
    yield pair.source
    yield from pair.offers
