"""``mdevreg outcome report DECISION|DEVICE``."""

from __future__ import annotations

import re
from typing import Any

import click
import msgspec

from mdevreg.cli.decision_words import OUTCOME_COLUMNS, outcome_row
from mdevreg.cli.options import Decision
from mdevreg.cli.session import Session
from mdevreg.cli.view import Line, Sheet, View
from mdevreg.cli.whoami import author as whoami
from mdevreg.outcomes import RESULTS, OutcomeDraft, Result
from mdevreg.times import past_time

#: The id of a decision; no device is called so.
_DECISION = re.compile(r"d[0-9]+")


@click.command(
    "report",
    cls=Decision,
    examples=(
        ("mdevreg outcome report d1204 --result loaded", "The migration of that decision worked."),
        (
            'mdevreg outcome report alpha/0000:3b:00.4 --to beta --result refused --detail "qemu: load failed: -22"',
            "The driver on beta rejected the stream.",
        ),
        ("mdevreg outcome report d1204 --result failed --at -2h", "It was cancelled two hours ago: no evidence."),
    ),
)
@click.argument("what", metavar="DECISION|DEVICE")
@click.option("--to", metavar="HOST[/PARENT[/TYPE]]", help="Where it was moved; a decision knows it.")
@click.option("--result", type=click.Choice(RESULTS), required=True, help="How it ended.")
@click.option("--at", metavar="TIME", help="When it ended [now].")
@click.option("--detail", metavar="TEXT", help="What was seen: it stands beside every answer that it concerns.")
@click.option("--author", help="Who reports it [user@host].")
@click.pass_obj
def command(
    session: Session,
    *,
    what: str,
    to: str | None,
    result: Result,
    at: str | None,
    detail: str | None,
    author: str | None,
) -> View:
    """Report how a real migration ended.

    loaded: it runs there. refused: the target's driver rejected the stream. failed: another cause, such as the network
    or a cancellation, which is no evidence.

    The last refusal between two profiles makes a yes of theirs unknown, until a migration between them loads, either
    driver is upgraded, or an operator allows it. A load contradicts a no and decides nothing.
    """
    is_decision = _DECISION.fullmatch(what) is not None
    draft = OutcomeDraft(
        result=result,
        decision=what if is_decision else None,
        device=None if is_decision else what,
        to=to,
        at=None if at is None else past_time(at, session.now),
        detail=detail or "",
        author=whoami() if author is None else author,
    )
    with session.door() as door:
        report = door.report(draft)
    lines = [f"{report.result}: {report}", f"profiles: {report.source[:12]} to {report.target[:12]}"]
    document: dict[str, Any] = {"outcome": msgspec.to_builtins(report)}
    return View(document, Sheet(OUTCOME_COLUMNS, [outcome_row(report)]), head=tuple(map(Line, lines)))
