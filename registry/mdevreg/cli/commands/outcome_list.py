"""``mdevreg outcome list``."""

from __future__ import annotations

import click

from mdevreg.cli.decision_words import OUTCOME_COLUMNS, outcome_row
from mdevreg.cli.options import Question
from mdevreg.cli.session import Session
from mdevreg.cli.view import Line, Sheet, View, document_of
from mdevreg.cli.words import where_read
from mdevreg.moments import clock_of, snapshot_of
from mdevreg.outcomes import MAX_PAGE, OutcomesAsked

_SHOWN = 8
DEFAULT_LIMIT = 20


@click.command(
    "list",
    cls=Question,
    examples=(
        ("mdevreg outcome list", f"The last {DEFAULT_LIMIT} reports, oldest first."),
        ("mdevreg outcome list --decision d1204", "How the migration of that decision ended."),
        ("mdevreg outcome list --host beta --as-of -7d", "Of beta, a week ago."),
    ),
)
@click.option("--device", help="Only of this device, as it is called in reports.")
@click.option("--host", help="Only from or to this host.")
@click.option("--decision", metavar="ID", help="Only of this decision.")
@click.option(
    "--limit", type=click.IntRange(1, MAX_PAGE), default=DEFAULT_LIMIT, show_default=True, help="The last so many."
)
@click.pass_obj
def command(session: Session, *, device: str | None, host: str | None, decision: str | None, limit: int) -> View:
    """List reports of real migrations, oldest first."""
    moment = session.moment
    asked = OutcomesAsked(device, host, decision, limit=limit, as_of=moment.as_of, known_at=moment.known_at)
    with session.door() as door:
        found = door.outcomes(asked)
    sheet = Sheet(OUTCOME_COLUMNS, [outcome_row(report) for report in found.outcomes])
    table = Sheet(OUTCOME_COLUMNS[:_SHOWN], [row[:_SHOWN] for row in sheet.rows])
    empty = () if found.outcomes else (Line("no outcome was reported"),)
    older = () if found.next is None else (Line("there are older ones: raise --limit"),)
    clock = clock_of(moment, session.now)
    snapshot = snapshot_of(found.position, moment.as_of or clock)
    document = document_of(found, answered_at=clock, as_of=moment.as_of, snapshot=snapshot)
    return View(document, sheet, table=table, foot=(*empty, *older, where_read(found.position, moment.as_of, snapshot)))
