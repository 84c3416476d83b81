"""The questions people ask, over any door: facts in, ``judge``, answer out. Pure but for the door."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

import msgspec

from mdevreg.compatibility import DEFAULT_RULES, Rules, judge, judge_absent
from mdevreg.errors import NotFoundError, UsageError
from mdevreg.facts import NOW, Candidates, Evidence, Moment, Pair, Side
from mdevreg.query.door import Door
from mdevreg.verdict import Outcome, Verdict

#: No answer is relied on for longer than a century; a timedelta has bounds.
_LONGEST_S = 100 * 365 * 86_400.0
_RANK = {Outcome.COMPATIBLE: 0, Outcome.UNKNOWN: 1, Outcome.INCOMPATIBLE: 2}


class Answer(msgspec.Struct, frozen=True):
    """A verdict with what a caller needs to rely on it.

    ``position``: the log position of the facts. ``facts_age_s``: seconds since the older of the two hosts was
    last heard, ``None`` in answers about the past or if never. ``reliable_until``: re-ask after this time.
    ``way_back``: could the device come back, by its type and its stream; how fresh the facts are is not in it.
    """

    verdict: Verdict
    source: Side
    target: Evidence
    target_parent: str | None
    way_back: Outcome
    position: int
    answered_at: datetime
    as_of: datetime | None = None
    facts_age_s: float | None = None
    reliable_until: datetime | None = None


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


class _Asking(msgspec.Struct, frozen=True):
    """What all answers to one question share."""

    position: int
    moment: Moment
    rules: Rules
    now: datetime

    def judged(self, source: Side, offer: Side) -> Answer:
        verdict = judge(source, offer, self.rules, self.now)
        reverse = judge(offer, source, self.rules, self.now)
        back = Outcome.all_of((reverse.user, reverse.migration))
        return self.answer(source, offer.evidence, offer.parent, verdict, back)

    def absent(self, pair: Pair, parent: str | None) -> Answer:
        """``parent``: the one that was named, if one was."""
        there = [offer for offer in pair.offers if parent in (None, offer.parent)]
        where = pair.target.hostname if parent is None else f"{pair.target.hostname}/{parent}"
        verdict = judge_absent(pair.source, pair.target, where, _types(there), self.rules, self.now)
        return self.answer(pair.source, pair.target, parent, verdict, Outcome.UNKNOWN)

    def answer(self, source: Side, target: Evidence, parent: str | None, verdict: Verdict, back: Outcome) -> Answer:
        seen = [host.last_seen for host in (source.evidence, target) if host.last_seen is not None]
        oldest = min(seen) if len(seen) == 2 and self.moment.as_of is None else None  # noqa: PLR2004  (both sides)
        return Answer(
            verdict=verdict,
            source=source,
            target=target,
            target_parent=parent,
            way_back=back,
            position=self.position,
            answered_at=self.now,
            as_of=self.moment.as_of,
            facts_age_s=max(0.0, (self.now - oldest).total_seconds()) if oldest else None,
            reliable_until=oldest + timedelta(seconds=min(self.rules.stale_after_s, _LONGEST_S)) if oldest else None,
        )


def can_migrate(
    door: Door, device: str, to: str, *, now: datetime, moment: Moment = NOW, rules: Rules = DEFAULT_RULES
) -> Answer:
    """Can this device's migration stream be loaded on that host?

    ``device``: an mdev uuid, ``HOST/VF`` or ``HOST/PARENT/TYPE``. ``to``: ``HOST``, or ``HOST/PARENT[/TYPE]`` to
    ask about one offer. Of several offers on the host the best one answers. Raises ``NotFoundError``.
    """
    host, _, rest = to.partition("/")
    pair = door.pair(device, host, moment)
    asking = _Asking(pair.position, moment, rules, now)
    offers = _wanted(pair, rest)
    if not offers:
        return asking.absent(pair, rest.partition("/")[0] or None)
    return min((asking.judged(pair.source, offer) for offer in offers), key=_best)


def targets(
    door: Door,
    device: str,
    *,
    now: datetime,
    moment: Moment = NOW,
    rules: Rules = DEFAULT_RULES,
    limit: int | None = None,
    outcome: Outcome | None = None,
) -> Targets:
    """Which hosts could take this device? The source's own host is left out.

    ``limit``: at most so many answers. ``outcome``: only those.
    """
    if limit is not None and limit < 1:
        raise UsageError(f"limit is {limit}; at least 1 was expected")
    found = door.candidates(device, moment)
    best = _best_by_host(found, _Asking(found.position, moment, rules, now))
    counts = {each.value: sum(answer.verdict.outcome is each for answer in best) for each in Outcome}
    chosen = sorted((answer for answer in best if outcome in (None, answer.verdict.outcome)), key=_order)
    return Targets(found.source, tuple(chosen[:limit]), counts, found.position, now, moment.as_of)


def _best_by_host(found: Candidates, asking: _Asking) -> list[Answer]:
    best: dict[str, Answer] = {}
    for offer in found.offers:
        host = offer.evidence.host
        if host != found.source.evidence.host:
            answer = asking.judged(found.source, offer)
            best[host] = min(best.get(host, answer), answer, key=_best)
    return list(best.values())


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
    return (_RANK[answer.verdict.outcome], -(free or 0), answer.target_parent or "")


def _order(answer: Answer) -> tuple[int, int, str, str]:
    rank, free, _ = _best(answer)
    return (rank, free, answer.target.hostname, answer.target.host)
