"""An answer as one row of a sheet."""

from __future__ import annotations

from mdevreg.cli.support_words import is_stream, learned
from mdevreg.cli.view import Cell
from mdevreg.cli.words import ANSWER
from mdevreg.query.questions import Answer
from mdevreg.support import loads_of, saves_of

ANSWER_COLUMNS = (
    "answer",
    "device",
    "type",
    "source_hostname",
    "source_host",
    "source_parent",
    "target_hostname",
    "target_host",
    "target_parent",
    "user",
    "migration",
    "negotiated",
    "available_instances",
    "way_back",
    "reasons",
    "position",
    "answered_at",
    "as_of",
    "facts_age_s",
    "reliable_until",
    "detection",
    "saves",
    "source_learned",
    "loads",
    "target_learned",
)


def answer_row(answer: Answer) -> tuple[Cell, ...]:
    """The cells of ``ANSWER_COLUMNS``; reasons are codes, separated by spaces."""
    source, target, verdict = answer.source, answer.target, answer.verdict
    return (
        ANSWER[verdict.outcome],
        source.device,
        source.profile.type,
        source.evidence.hostname,
        source.evidence.host,
        source.parent,
        target.hostname,
        target.host,
        answer.target_parent,
        ANSWER[verdict.user],
        ANSWER[verdict.migration],
        verdict.negotiated,
        verdict.available_instances,
        None if is_stream(source) else ANSWER[answer.way_back],
        " ".join(reason.code for reason in verdict.reasons),
        answer.position,
        answer.answered_at,
        answer.as_of,
        answer.facts_age_s,
        answer.reliable_until,
        verdict.detection,
        saves_of(source.support),
        learned(source.support),
        loads_of(answer.target_support),
        learned(answer.target_support),
    )
