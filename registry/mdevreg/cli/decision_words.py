"""Decisions, outcomes and regrets in words and rows. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from mdevreg.cli.view import Cell, Line
from mdevreg.cli.words import ANSWER
from mdevreg.decisions import Decision, DecisionLine
from mdevreg.outcomes import OutcomeReport
from mdevreg.query.regretting import Regret
from mdevreg.times import utc
from mdevreg.verdict import Outcome

DECISION_COLUMNS = (
    "id",
    "at",
    "answer",
    "device",
    "to",
    "codes",
    "author",
    "asked_for",
    "note",
    "via",
    "position",
)
OUTCOME_COLUMNS = (
    "id",
    "at",
    "result",
    "device",
    "to",
    "decision",
    "author",
    "detail",
    "source_host",
    "target_host",
    "source",
    "target",
)
REGRET_COLUMNS = ("decision", "at", "now", "device", "to", "author", "codes", "turned_at", "reported", "problem")


def decision_row(line: DecisionLine) -> tuple[Cell, ...]:
    """The cells of ``DECISION_COLUMNS``."""
    return (
        line.id,
        line.at,
        ANSWER[line.outcome],
        line.device,
        line.to,
        " ".join(line.codes),
        line.author,
        line.asked_for,
        line.note or None,
        line.via,
        line.position,
    )


def outcome_row(report: OutcomeReport) -> tuple[Cell, ...]:
    """The cells of ``OUTCOME_COLUMNS``."""
    return tuple(getattr(report, name) or None for name in OUTCOME_COLUMNS)


def regret_row(regret: Regret) -> tuple[Cell, ...]:
    """The cells of ``REGRET_COLUMNS``."""
    line, problem = regret.decision, regret.problem
    return (
        line.id,
        line.at,
        ANSWER[regret.outcome],
        line.device,
        line.to,
        line.author,
        " ".join(dict.fromkeys(reason.code for reason in regret.against)),
        " ".join(str(turn.position) for turn in regret.turns),
        None if regret.reported is None else f"{regret.reported.id} {regret.reported.result}",
        None if problem is None else f"{problem.code}: {problem.message}",
    )


def asked(decision: Decision) -> str:
    """``d12: asked by alice through nats at 2026-11-24T10:00:00Z, for nova: rack 7``."""
    asked_for = f", for {decision.asked_for}" if decision.asked_for else ""
    note = f": {decision.note}" if decision.note else ""
    return f"{decision.id}: asked by {decision.author} through {decision.via} at {utc(decision.at)}{asked_for}{note}"


def regret_lines(regret: Regret) -> Iterator[Line]:
    """A yes, what is now said against it, and what turned it."""
    line, problem = regret.decision, regret.problem
    still = "still yes by its facts" if regret.outcome is Outcome.COMPATIBLE else f"now {ANSWER[regret.outcome]}"
    told = f"{line.id}: yes to {line.device} to {line.to} at {utc(line.at)} by {line.author}; {still}"
    yield Line(told, regret.outcome)
    for reason in regret.against:
        yield Line(f"  {reason.code}  {reason.text}", reason.says)
    for turn in regret.turns:
        yield Line(f"  log position {turn.position} ({turn.kind}): {turn.text}")
    if regret.reported is not None:
        refused = Outcome.INCOMPATIBLE if regret.reported.result == "refused" else None
        yield Line(f"  {regret.reported.result}: {regret.reported}", refused)
    if problem is not None:
        yield Line(f"  {problem.code}  {problem.message}")
