"""The answers to many pairs as a view: one row each, and what they come to."""

from __future__ import annotations

from collections import Counter

from mdevreg.cli.view import Cell, Line, Sheet, View, document_of
from mdevreg.cli.words import ANSWER, EXIT_CODE, where_read
from mdevreg.query.batch import BriefAnswer, BriefAnswers
from mdevreg.verdict import Outcome

_COLUMNS = (
    "answer",
    "device",
    "to",
    "codes",
    "negotiated",
    "available_instances",
    "way_back",
    "position",
    "facts_age_s",
    "reliable_for_s",
    "problem",
)
_SHOWN = ("answer", "device", "to", "codes")
#: A pair that has no answer.
_PROBLEM = "error"
_USAGE = 2


def batch_view(found: BriefAnswers) -> View:
    """The view of a batch. The exit code is the worst: an error, then no, then unknown, then yes."""
    rows = [_row(each) for each in found.answers]
    outcomes = [each.answer.outcome for each in found.answers if each.answer is not None]
    problems = len(rows) - len(outcomes)
    says = Outcome.all_of(outcomes)
    word = _PROBLEM if problems else ANSWER[says]
    return View(
        document=document_of(found, answer=word),
        sheet=Sheet(_COLUMNS, rows),
        head=(Line(f"{word}: {_counted(rows)}", None if problems else says),),
        table=Sheet(_SHOWN, [(*row[:3], row[3] or row[-1]) for row in rows]),
        foot=(where_read(found.position, found.as_of, found.snapshot),),
        exit_code=_USAGE if problems else EXIT_CODE[says],
    )


def _row(each: BriefAnswer) -> tuple[Cell, ...]:
    if each.answer is None:
        problem = each.problem
        text = "" if problem is None else f"{problem.code}: {problem.message}"
        return (_PROBLEM, each.device, each.to, *[None] * (len(_COLUMNS) - 4), text)
    brief, ruling = each.answer, each.answer.ruling
    return (
        ANSWER[ruling.outcome],
        each.device,
        each.to,
        " ".join(ruling.codes),
        ruling.negotiated,
        brief.available_instances,
        ANSWER[ruling.way_back],
        brief.position,
        brief.facts_age_s,
        brief.reliable_for_s,
        None,
    )


def _counted(rows: list[tuple[Cell, ...]]) -> str:
    """``3 pairs: 2 yes, 1 no``."""
    counts = Counter(str(row[0]) for row in rows)
    listed = ", ".join(f"{counts[word]} {word}" for word in ("yes", "no", "unknown", _PROBLEM) if counts[word])
    return f"{len(rows)} pair{'s' if len(rows) > 1 else ''}: {listed}"
