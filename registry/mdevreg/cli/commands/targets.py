"""``mdevreg targets DEVICE``."""

from __future__ import annotations

import click

from mdevreg.cli.options import Question
from mdevreg.cli.rows import ANSWER_COLUMNS, answer_row
from mdevreg.cli.session import Session
from mdevreg.cli.view import Cell, Line, Sheet, View, document_of
from mdevreg.cli.words import ANSWER, EXIT_CODE, counted, source_name, where_read
from mdevreg.query.questions import Answer, Targets, targets
from mdevreg.verdict import Outcome

_TABLE = ("answer", "hostname", "parent", "free", "way_back", "why")


@click.command(
    "targets",
    cls=Question,
    examples=(
        ("mdevreg targets 83b8f4f2-509f-382f-3c1e-e6bfe0fa1001", "Every host that offers its type, best first."),
        (
            "mdevreg targets alpha/mtty/mtty-1 --outcome compatible --limit 3",
            "The three best of those that would load it.",
        ),
    ),
)
@click.argument("device")
@click.option("--limit", type=click.IntRange(min=1), help="List at most so many hosts.")
@click.option("--outcome", type=click.Choice([each.value for each in Outcome]), help="List only these.")
@click.pass_obj
def command(session: Session, device: str, limit: int | None, outcome: str | None) -> View:
    """List the hosts that could take DEVICE, best first.

    Those that could not are listed after them, with the reasons.

    DEVICE is an mdev's uuid, HOST/VF (a PCI address), or HOST/PARENT/TYPE for a device that could be created.
    The exit code and the first line are about all hosts, whatever is listed.
    """
    moment = session.moment
    chosen = None if outcome is None else Outcome(outcome)
    with session.door() as door:
        found = targets(door, device, now=session.now, moment=moment, rules=session.rules, limit=limit, outcome=chosen)
    overall = _overall(found)
    return View(
        document=document_of(found, answer=ANSWER[overall]),
        sheet=Sheet(ANSWER_COLUMNS, [answer_row(answer) for answer in found.answers]),
        head=(Line(_first_line(found, overall), overall),),
        table=Sheet(_TABLE, [_row(answer) for answer in found.answers]),
        foot=(*_left_out(found), where_read(found.position, found.as_of)),
        exit_code=EXIT_CODE[overall],
    )


def _overall(found: Targets) -> Outcome:
    """Is there a target? Kleene's *or*: one yes decides, then one unknown; nothing at all is no."""
    for outcome in (Outcome.COMPATIBLE, Outcome.UNKNOWN):
        if found.counts[outcome.value]:
            return outcome
    return Outcome.INCOMPATIBLE


def _first_line(found: Targets, overall: Outcome) -> str:
    source, total = source_name(found.source), sum(found.counts.values())
    if not total:
        return f"no: no other host offers the type of {source}"
    counts = ", ".join(f"{count} {name}" for name, count in found.counts.items() if count)
    return f"{ANSWER[overall]}: of {counted(total, 'host')} that offer the type of {source}: {counts}"


def _left_out(found: Targets) -> list[Line]:
    left_out = sum(found.counts.values()) - len(found.answers)
    return [Line(f"not listed: {counted(left_out, 'host')}")] if left_out else []


def _row(answer: Answer) -> tuple[Cell, ...]:
    """The reasons that decide stand under *why*, and what is told beside them of its capacity."""
    verdict = answer.verdict
    why = [reason for reason in verdict.reasons if reason.says in (verdict.outcome, None)]
    return (
        ANSWER[verdict.outcome],
        answer.target.hostname,
        answer.target_parent,
        verdict.available_instances,
        ANSWER[answer.way_back],
        " ".join(dict.fromkeys(reason.code for reason in why)),
    )
