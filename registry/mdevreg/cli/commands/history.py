"""``mdevreg history NAME``."""

from __future__ import annotations

import click

from mdevreg.cli.options import Question
from mdevreg.cli.session import Session
from mdevreg.cli.view import Cell, Line, Sheet, View, document_of
from mdevreg.cli.words import kept, where_read
from mdevreg.facts import HISTORY_KINDS, Change, HistoryKind
from mdevreg.moments import clock_of

DEFAULT_LIMIT = 20
MAX_LIMIT = 100_000
_COLUMNS = ("valid_from", "valid_to", "host", "object", "name", "event", "detail", "position", "hostname")
_SHOWN = ("valid_from", "valid_to", "hostname", "object", "name", "event", "detail", "position")
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
        ("mdevreg history nvidia", "Where and when this driver came, changed, went."),
        ('mdevreg history "nvidia 550.90.05"', "The same of one build: by version, srcversion or build-id."),
        ("mdevreg history nvidia-558", "Which parents offered this type, when, and what it stated."),
        ("mdevreg history r926", "Who decided this rule, and who ended it."),
        ("mdevreg history registry --limit 50", "What was decided: rules, catalog entries, campaigns, baselines."),
        ("mdevreg history to-580 --kind campaign", "Who began this campaign, and who ended it."),
    ),
)
@click.argument("name", metavar="HOST|DEVICE|DRIVER|TYPE|RULE|registry")
@click.option(
    "--kind",
    type=click.Choice(HISTORY_KINDS),
    help="What the name is of, where it is of several; catalog: an entry's id, removed ones too.",
)
@click.option(
    "--limit", type=click.IntRange(1, MAX_LIMIT), default=DEFAULT_LIMIT, show_default=True, help="So many changes."
)
@click.pass_obj
def command(session: Session, *, name: str, kind: HistoryKind | None, limit: int) -> View:
    """Show the last changes of a host, device, driver, type, rule.

    The oldest comes first. With --as-of, those that had happened by then.
    """
    moment = session.moment
    with session.door() as door:
        found = door.history(name, moment, limit, kind)
    sheet = Sheet((*_COLUMNS, *_STAMPS, *_CLOCK), [_row(change) for change in found.changes])
    flagged = any(change.flag for change in found.changes)
    document = document_of(found, answered_at=clock_of(moment, session.now), as_of=moment.as_of)
    notes = (Line(_FLAGGED),) if flagged else () if found.changes else (Line("no change is known"),)
    if len(found.changes) == limit:
        notes = (*notes, Line(f"the last {limit} changes; there may be earlier ones: raise --limit"))
    read = where_read(found.position, moment.as_of, found.snapshot)
    table = Sheet((*_SHOWN, *(_CLOCK if flagged else ())), [_shown(change, flagged) for change in found.changes])
    return View(document, sheet, table=table, foot=(*notes, *kept(found.retention), read))


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
        change.hostname,
        change.observed_at,
        change.received_at,
        change.committed_at,
        change.flag,
        change.clock_skew_s,
    )


def _shown(change: Change, flagged: bool) -> tuple[Cell, ...]:
    told = (change.object, change.name, change.event, change.detail, change.position)
    clock = (change.flag, change.clock_skew_s) if flagged else ()
    return (change.valid_from, change.valid_to, change.hostname or change.host, *told, *clock)
