"""``mdevreg history HOST|DEVICE``."""

from __future__ import annotations

import click

from mdevreg.cli.options import Question
from mdevreg.cli.session import Session
from mdevreg.cli.view import Cell, Line, Sheet, View, document_of
from mdevreg.cli.words import where_read
from mdevreg.facts import Change
from mdevreg.moments import clock_of

DEFAULT_LIMIT = 20
MAX_LIMIT = 100_000
_COLUMNS = ("valid_from", "valid_to", "host", "object", "name", "event", "detail", "position")
#: In csv always; of them a table has the last two, and only where a change is flagged.
_STAMPS = ("observed_at", "received_at", "committed_at")
_CLOCK = ("flag", "clock_skew_s")
_FLAGGED = (
    "flag: the clock of the host was wrong; valid_from is not later than the record was received, else as that clock "
    "said. All three times of a record: -o json"
)


@click.command(
    "history",
    cls=Question,
    examples=(
        ("mdevreg history alpha", f"The last {DEFAULT_LIMIT} changes on alpha, oldest first."),
        ("mdevreg history 83b8f4f2-509f-382f-3c1e-e6bfe0fa1001 --limit 5", "The last five of one device."),
    ),
)
@click.argument("name", metavar="HOST|DEVICE")
@click.option(
    "--limit", type=click.IntRange(1, MAX_LIMIT), default=DEFAULT_LIMIT, show_default=True, help="So many changes."
)
@click.pass_obj
def command(session: Session, name: str, limit: int) -> View:
    """Show the last changes of a host or device, oldest first.

    With --as-of, those that had happened by then.
    """
    moment = session.moment
    with session.door() as door:
        found = door.history(name, moment, limit)
    sheet = Sheet((*_COLUMNS, *_STAMPS, *_CLOCK), [_row(change) for change in found.changes])
    flagged = any(change.flag for change in found.changes)
    table = sheet.only((*_COLUMNS, *_CLOCK) if flagged else _COLUMNS)
    document = document_of(found, answered_at=clock_of(moment, session.now), as_of=moment.as_of)
    notes = (Line(_FLAGGED),) if flagged else () if found.changes else (Line("no change is known"),)
    return View(document, sheet, table=table, foot=(*notes, where_read(found.position, moment.as_of, found.snapshot)))


def _row(change: Change) -> tuple[Cell, ...]:
    return (
        change.valid_from,
        change.valid_to,
        change.host,
        change.object,
        change.name,
        change.event,
        change.detail,
        change.position,
        change.observed_at,
        change.received_at,
        change.committed_at,
        change.flag,
        change.clock_skew_s,
    )
