"""What a report of a real migration is about: looked up through any door. Pure but for the door."""

from __future__ import annotations

from datetime import datetime

from mdevreg.answering import Answer, answer_of
from mdevreg.errors import UsageError
from mdevreg.facts import NOW, Moment, Pair
from mdevreg.outcomes import OutcomeDraft, OutcomeReport, check
from mdevreg.query.door import Door
from mdevreg.times import utc

#: The id of a report that has none yet.
DRAFT = "draft"


def report_of(door: Door, draft: OutcomeDraft, *, now: datetime) -> OutcomeReport:
    """The report of a draft, without its id: with the two profiles that it is about.

    They are those of its decision, or those of the device and the offer at the time when the migration ended.
    Raises ``UsageError``, ``NotFoundError``.
    """
    check(draft, now)
    answer = _decided(door, draft, draft.decision) if draft.decision is not None else _found(door, draft, now)
    source, target = answer.source, answer.target
    if not source.digest or answer.target_digest is None:
        text = f"{draft.to or target.hostname} offered nothing that was judged; a report is about two profiles"
        raise UsageError(
            f"{text}: name HOST/PARENT/TYPE, and with 'at' a time at which it was there", code="NO_PROFILE"
        )
    return OutcomeReport(
        id=DRAFT,
        result=draft.result,
        at=draft.at or now,
        author=draft.author,
        source=source.digest,
        target=answer.target_digest,
        device=source.device or f"{source.evidence.hostname}/{source.parent}/{source.profile.type}",
        to=f"{target.hostname}/{answer.target_parent}/{answer.target_type}",
        source_host=source.evidence.host,
        target_host=target.host,
        decision=draft.decision,
        detail=draft.detail,
    )


def _decided(door: Door, draft: OutcomeDraft, decision: str) -> Answer:
    """The answer that was recorded. A report of another host is not about it."""
    known = door.decision(decision)
    if draft.at is not None and draft.at < known.at:
        text = f"decision {decision} was recorded at {utc(known.at)}; its migration can't have ended at {utc(draft.at)}"
        raise UsageError(text, code="TOO_EARLY")
    answer = known.told
    target = answer.target
    host, _, rest = (draft.to or "").partition("/")
    place = (f"{answer.target_parent}", f"{answer.target_parent}/{answer.target_type}")
    if draft.to is not None and (host not in (target.host, target.hostname) or rest not in ("", *place)):
        was = f"{target.hostname}/{place[1]}"
        text = f"decision {decision} is about {was}, not about {draft.to}; report the device and the host without it"
        raise UsageError(text, code="OTHER_TARGET")
    return answer


def _found(door: Door, draft: OutcomeDraft, now: datetime) -> Answer:
    """The facts when the migration ended."""
    host, _, rest = (draft.to or "").partition("/")
    moment = NOW if draft.at is None else Moment(as_of=draft.at)
    pair = door.pair(draft.device or "", host, moment)
    _refuse_several(pair, host, rest)
    return answer_of(pair, rest, now=now, moment=moment)


def _refuse_several(pair: Pair, host: str, rest: str) -> None:
    """A host with two builds of one type: only whoever moved the device knows which one it was."""
    kind = pair.source.profile.type
    offers = [
        offer for offer in pair.offers if offer.profile.type == kind and rest.partition("/")[0] in ("", offer.parent)
    ]
    if len({offer.digest for offer in offers}) > 1:
        parents = ", ".join(f"{host}/{offer.parent}" for offer in offers)
        raise UsageError(f"{host} offers {kind} under several profiles; name the parent: {parents}", code="AMBIGUOUS")
