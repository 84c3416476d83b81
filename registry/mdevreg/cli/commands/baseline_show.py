"""``mdevreg baseline show NAME``."""

from __future__ import annotations

import click

from mdevreg.cli.baseline_words import about, class_sheet
from mdevreg.cli.options import Question
from mdevreg.cli.session import Session
from mdevreg.cli.view import Line, View, document_of
from mdevreg.cli.words import where_read
from mdevreg.moments import clock_of


@click.command(
    "show",
    cls=Question,
    examples=(
        ("mdevreg baseline show gold", "What is expected, class by class."),
        ("mdevreg baseline show gold@2 -o json", "An older version, as a file that `create` reads."),
        ("mdevreg baseline show gold --as-of -30d", "The version that was valid a month ago."),
    ),
)
@click.argument("name", metavar="NAME[@VERSION]")
@click.pass_obj
def command(session: Session, name: str) -> View:
    """Show a baseline: what is expected of each class."""
    moment = session.moment
    with session.door() as door:
        found = door.baseline(name, moment)
    document = document_of(
        found, answered_at=clock_of(moment, session.now), as_of=moment.as_of, classes=found.baseline.classes
    )
    lines = [*about(found.baseline), f"versions: {', '.join(map(str, found.versions))}"]
    sheet = class_sheet(found.baseline)
    read = where_read(found.position, moment.as_of, found.snapshot)
    return View(document, sheet, head=tuple(map(Line, lines)), table=sheet, foot=(read,))
