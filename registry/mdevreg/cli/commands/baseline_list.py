"""``mdevreg baseline list``."""

from __future__ import annotations

import click

from mdevreg.cli.baseline_words import COLUMNS, baseline_row
from mdevreg.cli.options import Question
from mdevreg.cli.session import Session
from mdevreg.cli.view import Line, Sheet, View, document_of
from mdevreg.cli.words import counted, where_read
from mdevreg.moments import clock_of


@click.command(
    "list",
    cls=Question,
    examples=(
        ("mdevreg baseline list", "All baselines in their newest versions, ended ones too."),
        ("mdevreg baseline list --as-of -30d", "Which were valid a month ago?"),
    ),
)
@click.pass_obj
def command(session: Session) -> View:
    """List baselines, oldest first."""
    moment = session.moment
    with session.door() as door:
        found = door.baselines(moment)
    sheet = Sheet(COLUMNS, [baseline_row(each) for each in found.baselines])
    document = document_of(found, answered_at=clock_of(moment, session.now), as_of=moment.as_of)
    standing = sum(each.ended is None for each in found.baselines)
    first = f"{counted(standing, 'baseline')}, {len(found.baselines) - standing} ended"
    read = where_read(found.position, moment.as_of, found.snapshot)
    return View(document, sheet, head=(Line(first),), table=sheet, foot=(read,))
