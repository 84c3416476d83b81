"""Answers: facts in, ``judge``, and what a caller needs to rely on the verdict. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

import msgspec

from mdevreg.compatibility import DEFAULT_RULES, Rules, judge, judge_absent
from mdevreg.errors import NotFoundError, UsageError
from mdevreg.facts import NOW, Candidates, Evidence, Moment, Pair, Side
from mdevreg.moments import clock_of, snapshot_of
from mdevreg.outcomes import OutcomeReport
from mdevreg.rules import Rule, in_force
from mdevreg.rulings import Brief, ruling_of
from mdevreg.support import Support
from mdevreg.suspended import judge_stream
from mdevreg.verdict import RANK, Outcome, Verdict, on_its_merits

#: No answer is relied on for longer than a century; a timedelta has bounds.
_LONGEST_S = 100 * 365 * 86_400.0


class Answer(msgspec.Struct, frozen=True):
    """A verdict with what a caller needs to rely on it.

    ``position``: the log position of the facts; ``snapshot``: the token that gives what follows from the record again,
    whatever is learned later. ``answered_at``: the time that it is given for: now, or the question's own where it
    fixes both times. ``facts_age_s``: seconds since the older of the two hosts was
    last heard, ``None`` in answers about the past or if never. ``reliable_until``: re-ask after this time.
    ``way_back``: could the device come back, by its type, its stream and the rules; how fresh the
    facts are is not in it.
    """

    verdict: Verdict
    source: Side
    target: Evidence
    target_parent: str | None
    target_type: str | None
    target_support: Support | None
    way_back: Outcome
    position: int
    answered_at: datetime
    as_of: datetime | None = None
    facts_age_s: float | None = None
    reliable_until: datetime | None = None
    target_digest: str | None = None  # of the profile that was judged
    snapshot: str = ""


class Targets(msgspec.Struct, frozen=True):
    """Every host that offers the source's type, one best answer each: compatible first, then unknown.

    ``counts`` are over all of them, before ``limit``.
    """

    source: Side
    answers: tuple[Answer, ...]
    counts: dict[str, int]
    position: int
    answered_at: datetime
    as_of: datetime | None = None
    snapshot: str = ""


class Evaluation(msgspec.Struct, frozen=True):
    """What becomes of each type that one host offers at another: compatible first, then unknown."""

    answers: tuple[Answer, ...]
    counts: dict[str, int]
    answered_at: datetime


class Asking(msgspec.Struct, frozen=True):
    """What all answers to one question share."""

    position: int
    moment: Moment
    rules: Rules
    now: datetime

    @classmethod
    def of(
        cls,
        position: int,
        moment: Moment,
        rules: Rules,
        now: datetime,
        ruled: tuple[Rule, ...],
        tried: tuple[OutcomeReport, ...] = (),
    ) -> Asking:
        """With the operators' rules, of all that were known, that hold at the time asked about, and what was tried."""
        return cls(position, moment, rules, clock_of(moment, now)).holding(ruled, tried)

    @property
    def snapshot(self) -> str:
        """The token of what is asked."""
        return snapshot_of(self.position, self.moment.as_of or self.now)

    def holding(self, rules: tuple[Rule, ...], outcomes: tuple[OutcomeReport, ...] = ()) -> Asking:
        """With the operators' rules that hold at the time asked about, and what was tried by then."""
        held = in_force(rules, self.moment.as_of or self.now)
        holding = msgspec.structs.replace(self.rules, in_force=held, outcomes=outcomes)
        return msgspec.structs.replace(self, rules=holding)

    def judged(self, source: Side, offer: Side) -> Answer:
        """What becomes of the source at one offer."""
        verdict = judge(source, offer, self.rules, self.now)
        reverse = judge(offer, source, self.rules, self.now)
        return self.answer(source, offer.evidence, offer, verdict, on_its_merits(reverse))

    def loaded(self, stream: Side, offer: Side) -> Answer:
        """A saved stream comes from nowhere, so that there is no way back."""
        verdict = judge_stream(stream, offer, self.rules, self.now)
        return self.answer(stream, offer.evidence, offer, verdict, Outcome.UNKNOWN)

    def absent(self, pair: Pair, parent: str | None) -> Answer:
        """``parent``: the one that was named, if one was."""
        there = [offer for offer in pair.offers if parent in (None, offer.parent)]
        where = pair.target.hostname if parent is None else f"{pair.target.hostname}/{parent}"
        verdict = judge_absent(pair.source, pair.target, where, _types(there), self.rules, self.now)
        return self.answer(pair.source, pair.target, parent, verdict, Outcome.UNKNOWN)

    def answer(
        self, source: Side, target: Evidence, offer: Side | str | None, verdict: Verdict, back: Outcome
    ) -> Answer:
        """``offer``: what was judged, or the name of the parent that offers nothing fitting."""
        hosts = [host for host in (source.evidence, target) if host.host]  # a saved stream is on none
        seen = [host.last_seen for host in hosts if host.last_seen is not None]
        lasting = not any(host.leaving for host in hosts)
        oldest = min(seen) if len(seen) == len(hosts) and self.moment.as_of is None else None
        return Answer(
            verdict=verdict,
            source=source,
            target=target,
            target_parent=offer.parent if isinstance(offer, Side) else offer,
            target_type=offer.profile.type if isinstance(offer, Side) else None,
            target_support=offer.support if isinstance(offer, Side) else None,
            way_back=back,
            position=self.position,
            answered_at=self.now,
            as_of=self.moment.as_of,
            facts_age_s=max(0.0, (self.now - oldest).total_seconds()) if oldest else None,
            reliable_until=oldest + timedelta(seconds=min(self.rules.stale_after_s, _LONGEST_S))
            if oldest and lasting
            else None,
            target_digest=(offer.digest or None) if isinstance(offer, Side) else None,
            snapshot=self.snapshot,
        )


def answer_of(
    pair: Pair, wanted: str = "", *, now: datetime, moment: Moment = NOW, rules: Rules = DEFAULT_RULES
) -> Answer:
    """The answer of ``can_migrate`` to facts at hand. ``wanted``: ``PARENT[/TYPE]`` of the target, or all it offers."""
    asking = Asking.of(pair.position, moment, rules, now, pair.rules, pair.outcomes)
    offers = _wanted(pair, wanted)
    if not offers:
        return asking.absent(pair, wanted.partition("/")[0] or None)
    return min((asking.judged(pair.source, offer) for offer in offers), key=_best)


def evaluate(pairs: Iterable[Pair], wanted: str = "", *, now: datetime) -> Evaluation:
    """The answer to each of several pairs of one target."""
    answers = sorted((answer_of(pair, wanted, now=now) for pair in pairs), key=_by_type)
    return Evaluation(tuple(answers), _counted(answers), now)


def best_by_host(found: Candidates, asking: Asking) -> list[Answer]:
    """The best answer of each host but the source's own."""
    own = found.source.evidence.host
    return best_each(asking.judged(found.source, offer) for offer in found.offers if offer.evidence.host != own)


def best_each(answers: Iterable[Answer]) -> list[Answer]:
    """The best answer of each host."""
    best: dict[str, Answer] = {}
    for answer in answers:
        host = answer.target.host
        best[host] = min(best.get(host, answer), answer, key=_best)
    return list(best.values())


def chosen(source: Side, best: list[Answer], asking: Asking, limit: int | None, outcome: Outcome | None) -> Targets:
    """Those that were asked for, in order, with the counts of all. Raises ``UsageError`` for a limit below 1."""
    if limit is not None and limit < 1:
        raise UsageError(f"limit is {limit}; at least 1 was expected")
    found = sorted((answer for answer in best if outcome in (None, answer.verdict.outcome)), key=_order)
    return Targets(
        source=source,
        answers=tuple(found[:limit]),
        counts=_counted(best),
        position=asking.position,
        answered_at=asking.now,
        as_of=asking.moment.as_of,
        snapshot=asking.snapshot,
    )


def _counted(answers: list[Answer]) -> dict[str, int]:
    return {each.value: sum(answer.verdict.outcome is each for answer in answers) for each in Outcome}


def _wanted(pair: Pair, rest: str) -> list[Side]:
    """The offers of the host that were asked about: of the source's type, or of the parent and type named."""
    parent, _, kind = rest.partition("/")
    if not parent:
        return [offer for offer in pair.offers if offer.profile.type == pair.source.profile.type]
    there = [offer for offer in pair.offers if offer.parent == parent]
    if not there:
        known = sorted({offer.parent for offer in pair.offers})
        raise NotFoundError(f"parent on {pair.target.hostname}", parent, tuple(known[:3]))
    wanted = kind or pair.source.profile.type
    named = [offer for offer in there if offer.profile.type == wanted]
    if kind and not named:
        raise NotFoundError(f"type of {pair.target.hostname}/{parent}", kind, _types(there)[:3])
    return named


def _types(offers: Iterable[Side]) -> tuple[str, ...]:
    return tuple(sorted({offer.profile.type for offer in offers if offer.profile.type is not None}))


def _best(answer: Answer) -> tuple[int, int, str]:
    free = answer.verdict.available_instances
    return (RANK[answer.verdict.outcome], -(free or 0), answer.target_parent or "")


def _order(answer: Answer) -> tuple[int, int, str, str]:
    rank, free, _ = _best(answer)
    return (rank, free, answer.target.hostname, answer.target.host)


def _by_type(answer: Answer) -> tuple[int, str, str]:
    source = answer.source
    return (RANK[answer.verdict.outcome], source.profile.type or "", source.parent)


def brief_of(answer: Answer) -> Brief:
    """The short form of an answer."""
    until = answer.reliable_until
    return Brief(
        ruling=ruling_of(answer.verdict, answer.way_back),
        available_instances=answer.verdict.available_instances,
        facts_age_s=answer.facts_age_s,
        reliable_for_s=None if until is None else max(0.0, (until - answer.answered_at).total_seconds()),
        position=answer.position,
    )
