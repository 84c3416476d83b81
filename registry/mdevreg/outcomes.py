"""How real migrations ended, as whoever ran them reports it. Pure.

A report is about two *profiles*, whatever hosts have them: what a driver build refused once it will refuse again, and
what becomes of another build is another question. So a driver upgrade ends what a report says, by itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Literal, get_args

import msgspec
from msgspec import Meta

from mdevreg.errors import UsageError
from mdevreg.shapes import Digest, Line, Name, Path, Strict, Time
from mdevreg.texts import forbidden_in, path_of, texts_of

#: ``loaded``: it ran there. ``refused``: the target's driver rejected the stream. ``failed``: another cause (the
#: network, a cancellation), which says nothing of the two profiles.
Result = Literal["loaded", "refused", "failed"]
RESULTS: tuple[Result, ...] = get_args(Result)
#: Longest detail of a report, and longest note of a decision, in characters.
MAX_REMARK_CHARS = 1_000

#: Most reports of one page.
MAX_PAGE = 1_000

Remark = Annotated[str, Meta(max_length=MAX_REMARK_CHARS)]


class OutcomeReport(Strict, frozen=True):
    """How one migration ended, as it is in the log. ``at``: when that was, on the clock of whoever reports it.

    ``source``, ``target``: digests of the two profiles. ``device``: what was moved, ``to``: HOST/PARENT/TYPE; the host
    ids are those of then. ``decision``: the id of the decision that it followed, if there was one.
    """

    id: Name
    result: Result
    at: Time
    author: Line
    source: Digest
    target: Digest
    device: Path
    to: Path
    source_host: Name
    target_host: Name
    decision: Name | None = None
    detail: Remark = ""

    def __str__(self) -> str:
        said = f": {self.detail}" if self.detail else ""
        return f"{self.id} by {self.author}, {self.device} to {self.to} at {self.at:%Y-%m-%d %H:%M:%SZ}{said}"


class OutcomeDraft(Strict, frozen=True):
    """A report before the registry has looked up what it is about. ``at``: ``None`` = now.

    Either ``decision`` (its id; then ``to`` may be left out), or ``device`` and ``to`` (``HOST[/PARENT[/TYPE]]``).
    """

    result: Result
    decision: Name | None = None
    device: Path | None = None
    to: Path | None = None
    at: Time | None = None
    detail: Remark = ""
    author: Line = ""


class OutcomeList(msgspec.Struct, frozen=True):
    """Reports, oldest first. ``next``: older ones are asked for by that ``before``; ``None``: there are none."""

    position: int
    outcomes: tuple[OutcomeReport, ...]
    next: int | None = None


class OutcomesAsked(msgspec.Struct, frozen=True):
    """Which reports: of a device, of a host, of a decision, of two profiles, before a log position.

    The newest of those. ``as_of``: that had ended by then; ``known_at``: that were known at that log position, or time.
    """

    device: str | None = None
    host: str | None = None
    decision: str | None = None
    source: str | None = None
    target: str | None = None
    before: int | None = None
    limit: int = 100
    as_of: datetime | None = None
    known_at: int | datetime | None = None


#: The reports of ordered pairs of profiles: (source, target) → reports in log order.
Tried = dict[tuple[str, str], tuple[OutcomeReport, ...]]


def check(draft: OutcomeDraft, now: datetime) -> OutcomeDraft:
    """The draft, if it can be meant. Raises ``UsageError``."""
    refuse_unreadable(draft, "a report")
    if not draft.author.strip():
        raise UsageError("the author is blank; say who reports it: it is kept with the report")
    if (draft.decision is None) == (draft.device is None):
        raise UsageError("a report is about a decision or about a device: one of the two was expected")
    if draft.device is not None and draft.to is None:
        raise UsageError("the request has no 'to': the host that the device was moved to")
    if draft.at is not None and draft.at > now:
        raise UsageError(f"the migration would end at {draft.at}, which is in the future (it is {now} now)")
    return draft


def refuse_unprintable(said: msgspec.Struct, what: str) -> None:
    """Raises ``UsageError`` (CONTROL_CHARACTER) for a text with control characters or halves of surrogate pairs."""
    for place, text in texts_of(msgspec.to_builtins(said)):
        if forbidden_in(text) or any("\ud800" <= char <= "\udfff" for char in text):
            told = f"{what} is printable text: {text[:40]!r} (at {path_of(place)}) holds a control character"
            raise UsageError(told, code="CONTROL_CHARACTER")


def refuse_unreadable(said: msgspec.Struct, what: str) -> None:
    """Raises ``UsageError`` for what could not be read again: too long, or of no known kind."""
    refuse_unprintable(said, what)
    try:
        msgspec.convert(msgspec.to_builtins(said), type(said))
    except msgspec.ValidationError as error:
        raise UsageError(f"{what} can't be kept so: {error}") from error


def added(tried: Tried, report: OutcomeReport) -> None:
    """Put a report to those of its pair of profiles."""
    pair = (report.source, report.target)
    tried[pair] = (*tried.get(pair, ()), report)


def standing(reports: Iterable[OutcomeReport], as_of: datetime | None = None) -> OutcomeReport | None:
    """What the reports of one pair of profiles come to: the newest that is evidence, by its time, then by the log.

    ``as_of``: of those that had ended by then; ``None``: of all.
    """
    told = [each for each in reports if each.result != "failed" and (as_of is None or each.at <= as_of)]
    return max(reversed(told), key=lambda report: report.at, default=None)


def standing_between(
    tried: Tried, source: str, targets: Iterable[str], as_of: datetime | None = None
) -> tuple[OutcomeReport, ...]:
    """What was tried of a profile with each of some others, there and back; see ``standing``."""
    pairs = dict.fromkeys(pair for target in targets for pair in ((source, target), (target, source)))
    found = (standing(tried[pair], as_of) for pair in pairs if pair in tried)
    return tuple(report for report in found if report is not None)


def listed(tried: Tried, asked: OutcomesAsked, position: int) -> OutcomeList:
    """Those asked for. ``position``: of the log. Raises ``UsageError``."""
    if not 1 <= asked.limit <= MAX_PAGE:
        raise UsageError(f"limit is {asked.limit}; a number from 1 to {MAX_PAGE} was expected")
    found = sorted((each for each in _alike(tried, asked) if _fits(each, asked)), key=position_of)
    page = tuple(found[-asked.limit :])
    return OutcomeList(position, page, position_of(page[0]) if len(found) > len(page) else None)


def _alike(tried: Tried, asked: OutcomesAsked) -> Iterable[OutcomeReport]:
    """Those of the profiles asked for."""
    if asked.source is not None and asked.target is not None:
        return tried.get((asked.source, asked.target), ())
    return (
        report
        for (source, target), reports in tried.items()
        if asked.source in (None, source) and asked.target in (None, target)
        for report in reports
    )


def _fits(report: OutcomeReport, asked: OutcomesAsked) -> bool:
    return (
        asked.device in (None, report.device)
        and asked.host in (None, report.source_host, report.target_host)
        and asked.decision in (None, report.decision)
        and (asked.as_of is None or report.at <= asked.as_of)
        and (asked.before is None or position_of(report) < asked.before)
    )


def position_of(report: OutcomeReport) -> int:
    """The log position that a report is named after."""
    return int(report.id[1:])
