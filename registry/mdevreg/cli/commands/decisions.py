"""``mdevreg decisions``: answers that were recorded."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

import click

from mdevreg.cli.decision_words import DECISION_COLUMNS, decision_row
from mdevreg.cli.options import Questions, output_options, refuse_times, registry_options
from mdevreg.cli.session import Session
from mdevreg.cli.view import Line, Sheet, View, document_of
from mdevreg.cli.words import where_read
from mdevreg.decisions import MAX_PAGE, DecisionList, DecisionsAsked
from mdevreg.query.door import Door
from mdevreg.times import past_time

_COMMANDS = "mdevreg.cli.commands"
_SHOWN = 7
DEFAULT_LIMIT = 20


class Decisions(Questions):
    """``mdevreg decisions``."""

    examples = (
        ("mdevreg decisions", f"The last {DEFAULT_LIMIT}, oldest first."),
        ("mdevreg decisions --host beta --since -7d -o csv", "Of a host, within a week, for a spreadsheet."),
        ("mdevreg decisions show d1204", "One with all its evidence, as it was told."),
    )
    lazy: ClassVar[dict[str, str]] = {"show": f"{_COMMANDS}.decisions_show"}


@click.group("decisions", cls=Decisions, invoke_without_command=True, params=[*registry_options(), *output_options()])
@click.option("--device", help="Only of this device.")
@click.option("--host", help="Only from or to this host.")
@click.option("--since", metavar="TIME", help="Only those recorded then or later: 2026-11-24T10:00:00Z, or -7d.")
@click.option("--until", metavar="TIME", help="Only those recorded before then.")
@click.option(
    "--limit", type=click.IntRange(1, MAX_PAGE), default=DEFAULT_LIMIT, show_default=True, help="The last so many."
)
@click.pass_context
def command(
    ctx: click.Context, *, device: str | None, host: str | None, since: str | None, until: str | None, limit: int
) -> View | None:
    """List recorded answers, and who asked: can-migrate --record.

    A decision is kept as it was told; nothing is judged otherwise because of it.
    """
    if ctx.invoked_subcommand is not None:
        return None
    refuse_times(ctx)
    session: Session = ctx.obj
    wanted = DecisionsAsked(device, host, _time(since, session), _time(until, session), None, limit)
    with session.door() as door:
        found = gathered(door, wanted)
    sheet = Sheet(DECISION_COLUMNS, [decision_row(line) for line in found.decisions])
    table = Sheet(DECISION_COLUMNS[:_SHOWN], [row[:_SHOWN] for row in sheet.rows])
    empty = () if found.decisions else (Line("no answer was recorded"),)
    older = () if found.next is None else (Line("there may be older ones: raise --limit, or say --until"),)
    document = document_of(found, answered_at=session.now)
    return View(document, sheet, table=table, foot=(*empty, *older, where_read(found.position, None)))


def gathered(door: Door, wanted: DecisionsAsked) -> DecisionList:
    """As many as are asked for, over several pages: one looks at so many and no more."""
    page = found = door.decisions(wanted)
    while page.next is not None and len(found.decisions) < wanted.limit:
        left = wanted.limit - len(found.decisions)
        page = door.decisions(_before(wanted, page.next, left))
        found = DecisionList(found.position, (*page.decisions, *found.decisions), page.next)
    return found


def _before(wanted: DecisionsAsked, position: int, limit: int) -> DecisionsAsked:
    return DecisionsAsked(wanted.device, wanted.host, wanted.since, wanted.until, position, limit)


def _time(text: str | None, session: Session) -> datetime | None:
    return None if text is None else past_time(text, session.now)
