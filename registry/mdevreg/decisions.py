"""Decisions: answers that were recorded on request, with who asked and the whole evidence. Pure.

A decision is an entry of the log that changes no belief: nothing is ever judged otherwise because it was recorded.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta

from mdevreg.answering import Answer
from mdevreg.compatibility import DEFAULT_STALE_AFTER_S, Rules
from mdevreg.errors import DecodeError, UsageError
from mdevreg.facts import Moment
from mdevreg.outcomes import Remark, refuse_unreadable
from mdevreg.shapes import Count, Line, Name, Path, Strict, Time
from mdevreg.verdict import Outcome

T = TypeVar("T")

#: Through which door somebody asked: the database itself, or a registry over the network.
Via = Literal["sql", "nats", "http"]
#: A century.
_LONGEST_S = 3_153_600_000
#: Most rows of one page, and how many decisions are looked at for it: what a page costs, however long the log is.
MAX_PAGE = 1_000
LOOKED_AT = 2_000


class Question(Strict, frozen=True):
    """What was asked; fields as of ``mdevreg.query.can_migrate``."""

    device: Path
    to: Path
    as_of: Time | None = None
    known_at: Count | Time | None = None
    stale_after_s: Annotated[float, Meta(ge=0, le=_LONGEST_S)] = DEFAULT_STALE_AFTER_S

    @property
    def moment(self) -> Moment:
        """The two times that it is about."""
        return Moment(self.as_of, self.known_at)

    @property
    def rules(self) -> Rules:
        """The rules as far as the question states them."""
        return Rules(stale_after_s=self.stale_after_s)


class DecisionDraft(Strict, frozen=True):
    """A question that is to be answered and recorded. ``author``: who asks; ``asked_for``: on whose behalf."""

    question: Question
    author: Line = ""
    asked_for: Line | None = None
    note: Remark = ""


class Decision(Strict, frozen=True):
    """A recorded answer, as it is in the log. ``id``: ``d`` and its log position. ``at``: the registry's clock.

    ``answer``: the whole ``mdevreg.query.Answer`` as it was told, byte for byte.
    """

    schema: Line
    id: Name
    at: Time
    author: Line
    via: Via
    question: Question
    answer: msgspec.Raw
    asked_for: Line | None = None
    note: Remark = ""

    @property
    def told(self) -> Answer:
        """The answer. Raises ``DecodeError``."""
        return decode_answer(bytes(self.answer))


class DecisionLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """A decision in a list. ``codes``: of its reasons, capacity aside; ``position``: of the facts that it rested on."""

    id: str
    at: datetime
    outcome: Outcome
    device: str
    to: str
    codes: tuple[str, ...]
    position: int
    author: str
    via: Via
    asked_for: str | None = None
    note: str = ""


class DecisionList(msgspec.Struct, frozen=True):
    """Decisions, oldest first. ``position``: of the log. ``next``: older ones are asked for by that ``before``.

    A page may have fewer lines than asked for, or none, and a ``next``: it looks at so many decisions and no more.
    """

    position: int
    decisions: tuple[DecisionLine, ...]
    next: int | None = None


class DecisionsAsked(msgspec.Struct, frozen=True):
    """Which decisions: those of a device and of a host, in ``[since, until)``, before a log position; the newest."""

    device: str | None = None
    host: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    before: int | None = None
    limit: int = 100


class _Named(msgspec.Struct):
    host: str
    hostname: str


class _Source(msgspec.Struct):
    evidence: _Named
    device: str | None = None


class _Reason(msgspec.Struct):
    code: str
    about: str


class _Verdict(msgspec.Struct):
    outcome: Outcome
    reasons: tuple[_Reason, ...]


class _Answer(msgspec.Struct):
    verdict: _Verdict
    source: _Source
    target: _Named
    position: int


class _Glance(msgspec.Struct):
    """As much of a decision as a list needs."""

    id: str
    at: datetime
    author: str
    via: Via
    question: Question
    answer: _Answer
    asked_for: str | None = None
    note: str = ""


_decision = msgspec.json.Decoder(Decision)
_glance = msgspec.json.Decoder(_Glance)
_answer = msgspec.json.Decoder(Answer)


def check(draft: DecisionDraft) -> DecisionDraft:
    """The draft, if it can be meant. Raises ``UsageError``."""
    refuse_unreadable(draft, "a decision")
    if not draft.author.strip():
        raise UsageError("the author is blank; say who asks: it is kept with the decision")
    if draft.asked_for is not None and not draft.asked_for.strip():
        raise UsageError("asked_for is blank; say on whose behalf the question is, or leave it out")
    return draft


def encode_decision(decision: Decision) -> bytes:
    """JSON as it is logged."""
    return msgspec.json.encode(decision)


def decode_decision(data: bytes) -> Decision:
    """Read a logged decision. Raises ``DecodeError``."""
    return _read(_decision, data)


def decode_answer(data: bytes) -> Answer:
    """Read a told answer. Raises ``DecodeError``."""
    return _read(_answer, data)


def line_of(body: bytes, asked: DecisionsAsked) -> DecisionLine | None:
    """The line of a logged decision; ``None``: it is not one of those asked for. Raises ``DecodeError``."""
    found = _read(_glance, body)
    return _line(found) if _fits(found, asked) else None


def _fits(found: _Glance, asked: DecisionsAsked) -> bool:
    source, target = found.answer.source, found.answer.target
    hosts = {source.evidence.host, source.evidence.hostname, target.host, target.hostname}
    return (
        asked.device in (None, found.question.device, source.device)
        and (asked.host is None or asked.host in hosts)
        and (asked.since is None or found.at >= asked.since)
        and (asked.until is None or found.at < asked.until)
    )


def _line(found: _Glance) -> DecisionLine:
    codes = dict.fromkeys(reason.code for reason in found.answer.verdict.reasons if reason.about != "capacity")
    return DecisionLine(
        id=found.id,
        at=found.at,
        outcome=found.answer.verdict.outcome,
        device=found.question.device,
        to=found.question.to,
        codes=tuple(codes),
        position=found.answer.position,
        author=found.author,
        via=found.via,
        asked_for=found.asked_for,
        note=found.note,
    )


def _read(decoder: msgspec.json.Decoder[T], data: bytes) -> T:
    try:
        return decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise DecodeError(f"no decision: {error}", code="DECISION") from error
