"""Which hosts would load it, as a view."""

from __future__ import annotations

from mdevreg.cli.overall import counted_by_outcome, overall
from mdevreg.cli.rows import ANSWER_COLUMNS, answer_row
from mdevreg.cli.support_words import is_stream, learned, source_line
from mdevreg.cli.view import Cell, Line, Sheet, View, document_of
from mdevreg.cli.words import ANSWER, EXIT_CODE, counted, source_name, where_read
from mdevreg.facts import Side
from mdevreg.query.questions import Answer, Targets
from mdevreg.support import StreamSupport
from mdevreg.verdict import Outcome

_TABLE = ("answer", "hostname", "parent", "free", "way_back", "negotiated", "learned", "why")
#: A saved stream comes from nowhere, and tells nothing of its type.
_TABLE_OF_STREAM = ("answer", "hostname", "parent", "type", "free", "learned", "why")


def targets_view(found: Targets, notes: tuple[str, ...] = ()) -> View:
    """The best first. No host that is known to load a stream's format is no evidence, and not a no.

    ``notes``: what is doubtful about a saved stream.
    """
    stream = is_stream(found.source)
    outcome = Outcome.UNKNOWN if stream and not sum(found.counts.values()) else overall(found.counts)
    table = Sheet(_TABLE_OF_STREAM if stream else _TABLE, [_row(answer, stream=stream) for answer in found.answers])
    return View(
        document=document_of(found, answer=ANSWER[outcome], **({"notes": notes} if notes else {})),
        sheet=Sheet(ANSWER_COLUMNS, [answer_row(answer) for answer in found.answers]),
        head=(Line(_first_line(found, outcome), outcome),),
        table=table,
        foot=(
            *_left_out(found),
            *(Line(f"note: {note}") for note in notes),
            source_line(found.source),
            where_read(found.position, found.as_of, found.snapshot),
        ),
        exit_code=EXIT_CODE[outcome],
    )


def _first_line(found: Targets, outcome: Outcome) -> str:
    source, total = source_name(found.source), sum(found.counts.values())
    if is_stream(found.source):
        what = _known_to_load(found.source)
        if not total:
            return f"unknown: no host is {what}"
        hosts = f"for {source}, of {counted(total, 'host')} {what}"
    else:
        if not total:
            return f"no: no other host offers the type of {source}"
        hosts = f"of {counted(total, 'host')} that offer the type of {source}"
    return f"{ANSWER[outcome]}: {hosts}: {counted_by_outcome(found.counts)}"


def _known_to_load(source: Side) -> str:
    form = source.support.format if isinstance(source.support, StreamSupport) else "such"
    return f"known to load {form} streams" + (f" of {source.profile.type}" if source.profile.type else "")


def _left_out(found: Targets) -> list[Line]:
    left_out = sum(found.counts.values()) - len(found.answers)
    return [Line(f"not listed: {counted(left_out, 'host')}")] if left_out else []


def _row(answer: Answer, *, stream: bool) -> tuple[Cell, ...]:
    """The reasons that decide stand under *why*, and what is told beside them of its capacity."""
    verdict = answer.verdict
    overruled = any(reason.code == "RULE_ALLOWS" for reason in verdict.reasons)  # then what it overrules is told too
    why = [reason for reason in verdict.reasons if overruled or reason.says in (verdict.outcome, None)]
    begin = (ANSWER[verdict.outcome], answer.target.hostname, answer.target_parent)
    end = (learned(answer.target_support), " ".join(dict.fromkeys(reason.code for reason in why)))
    if stream:
        return (*begin, answer.target_type, verdict.available_instances, *end)
    return (*begin, verdict.available_instances, ANSWER[answer.way_back], verdict.negotiated, *end)
