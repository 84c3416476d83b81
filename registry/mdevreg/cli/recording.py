"""Answers that are kept: ``can-migrate --record``, one or many."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import structs

from mdevreg.answering import brief_of
from mdevreg.cli.answered import answer_view
from mdevreg.cli.batch_view import batch_view
from mdevreg.cli.session import Session
from mdevreg.cli.view import Line, View
from mdevreg.cli.whoami import author as whoami
from mdevreg.cli.words import reliance, where_read
from mdevreg.decisions import Decision, DecisionDraft, Question
from mdevreg.errors import UsageError
from mdevreg.query.batch import Asked, BriefAnswer, BriefAnswers, problem_of
from mdevreg.query.door import Door

#: Most pairs of a batch that are recorded: each is an entry of the log of its own, whole.
MAX_RECORDED = 1_000


class Keeping(msgspec.Struct, frozen=True):
    """What is kept beside an answer."""

    author: str
    asked_for: str | None
    note: str


def recording(*, author: str | None, asked_for: str | None, note: str | None, record: bool) -> Keeping | None:
    """What is to be kept; ``None``: nothing. Raises ``UsageError`` for a remark on an answer that is not kept."""
    if record:
        return Keeping(whoami() if author is None else author, asked_for, note or "")
    for option, value in (("--for", asked_for), ("--note", note), ("--author", author)):
        if value is not None:
            raise UsageError(f"{option} is kept with a recorded answer; say --record too")
    return None


def draft_of(session: Session, keeping: Keeping, device: str, to: str) -> DecisionDraft:
    """The question of a session as one to be recorded."""
    moment = session.moment
    question = Question(
        device=device,
        to=to,
        as_of=moment.as_of,
        known_at=moment.known_at,
        stale_after_s=session.rules.stale_after_s,
    )
    return DecisionDraft(question=question, **structs.asdict(keeping))


def decided_view(decision: Decision) -> View:
    """The answer, and under which id it is kept."""
    answer = decision.told
    foot = (Line(reliance(answer)), where_read(answer.position, answer.as_of, answer.snapshot), Line(_kept(decision)))
    view = answer_view(answer, *foot)
    return structs.replace(view, document={"decision": decision.id, **view.document})


def recorded_batch(door: Door, session: Session, pairs: Sequence[Asked], keeping: Keeping) -> View:
    """The answers to many pairs, each recorded; a pair that has none is told as in any batch."""
    if len(pairs) > MAX_RECORDED:
        raise UsageError(f"{len(pairs)} pairs; at most {MAX_RECORDED} are recorded at once", code="TOO_MANY_PAIRS")
    told = [_recorded(door, session, pair, keeping) for pair in pairs]
    found = [answer for _, answer in told]
    position = max((each.answer.position for each in found if each.answer is not None), default=0)
    view = batch_view(BriefAnswers(tuple(found), position, session.now, session.moment.as_of))
    names = [name for name, _ in told]
    kept = [name for name in names if name is not None]
    line = Line(f"recorded: {len(kept)}, from {kept[0]} to {kept[-1]}" if kept else "recorded: none")
    return structs.replace(view, document={"decisions": names, **view.document}, foot=(*view.foot, line))


def _recorded(door: Door, session: Session, pair: Asked, keeping: Keeping) -> tuple[str | None, BriefAnswer]:
    try:
        decision = door.record(draft_of(session, keeping, pair.device, pair.to))
    except UsageError as error:
        return None, BriefAnswer(pair.device, pair.to, problem=problem_of(error))
    return decision.id, BriefAnswer(pair.device, pair.to, answer=brief_of(decision.told))


def _kept(decision: Decision) -> str:
    asked_for = f" for {decision.asked_for}" if decision.asked_for else ""
    note = f": {decision.note}" if decision.note else ""
    return f"recorded: {decision.id} by {decision.author}{asked_for}{note}"
