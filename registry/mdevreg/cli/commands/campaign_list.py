"""``mdevreg upgrade campaign list``."""

from __future__ import annotations

import click
from msgspec import structs

from mdevreg.campaigns import CampaignState
from mdevreg.cli.campaign_words import LINE_COLUMNS, LINE_SHOWN, line_row
from mdevreg.cli.options import Question
from mdevreg.cli.session import Session
from mdevreg.cli.view import Line, Sheet, View, document_of
from mdevreg.cli.words import where_read
from mdevreg.moments import clock_of

_WORDS: tuple[tuple[CampaignState, str], ...] = (("running", "running"), ("to_come", "to come"), ("ended", "ended"))


@click.command(
    "list",
    cls=Question,
    examples=(
        ("mdevreg upgrade campaign list", "All campaigns, ended ones too, and how far each came."),
        ("mdevreg upgrade campaign list --running", "Only those that are under way."),
        ("mdevreg upgrade campaign list --as-of -7d", "How far were they a week ago?"),
    ),
)
@click.option("--running", is_flag=True, help="Only those that are under way.")
@click.pass_obj
def command(session: Session, *, running: bool) -> View:
    """List upgrade campaigns, oldest first."""
    moment = session.moment
    with session.door() as door:
        found = door.campaigns(moment)
    listed = tuple(each for each in found.campaigns if not running or each.state == "running")
    states = [each.state for each in found.campaigns]
    sheet = Sheet(LINE_COLUMNS, [line_row(each) for each in listed])
    first = ", ".join(f"{states.count(state)} {word}" for state, word in _WORDS)
    document = document_of(
        structs.replace(found, campaigns=listed), answered_at=clock_of(moment, session.now), as_of=moment.as_of
    )
    read = where_read(found.position, moment.as_of, found.snapshot)
    return View(document, sheet, head=(Line(f"campaigns: {first}"),), table=sheet.only(LINE_SHOWN), foot=(read,))
