"""``mdevreg diff --from T1 [--to T2]``."""

from __future__ import annotations

import click

from mdevreg.cli.diff_words import cells, first_line
from mdevreg.cli.moments import METAVAR, moment_in
from mdevreg.cli.options import Question
from mdevreg.cli.session import Session
from mdevreg.cli.view import Cell, Line, Sheet, View, document_of
from mdevreg.differences import Differences, Group
from mdevreg.differing import DifferenceAsked
from mdevreg.facts import Moment
from mdevreg.moments import clock_of
from mdevreg.query.past import differences
from mdevreg.times import utc

CHANGED = 1
_COLUMNS = ("object", "event", "what", "change", "where")
_CSV = ("object", "event", "what", "aspect", "before", "after", "implied", "host", "hostname", "parent", "device")


@click.command(
    "diff",
    cls=Question,
    examples=(
        ("mdevreg diff --from -1d", "What is different in the fleet from yesterday?"),
        ("mdevreg diff --from -7d --to -6d --site lab", "What changed on that day, at one site?"),
        ("mdevreg diff --from seq:1200 --to seq:1300", "What the registry learned in between."),
        ("mdevreg diff --from seq:1200 --to seq:1300 --as-of -2d", "What that corrected of two days ago."),
    ),
)
@click.option("--from", "begin", required=True, metavar=METAVAR, help="The earlier moment.")
@click.option("--to", "end", metavar=METAVAR, help="The later one [now].")
@click.option("--host", help="Only this host.")
@click.option("--site", help="Only hosts that are, or were, at this site.")
@click.option("--capacity", is_flag=True, help="Free instances too: they change with every device.")
@click.pass_obj
def command(
    session: Session, *, begin: str, end: str | None, host: str | None, site: str | None, capacity: bool
) -> View:
    """Compare the fleet at two moments.

    The net difference is told, whatever happened in between.

    Times are about what was true then, by what is known now (or with --known-at); positions about what was known
    then, of what was true now (or with --as-of). Exit codes as of diff: 0 nothing changed, 1 something did.
    """
    moment = session.moment
    asked = DifferenceAsked(
        begin=moment_in(begin, session.now, moment),
        end=moment if end is None else moment_in(end, session.now, moment),
        host=host,
        site=site,
        capacity=capacity,
    )
    with session.door() as door:
        found = differences(door, asked, now=clock_of(asked.end, session.now))
    return _view(found, asked)


def _view(found: Differences, asked: DifferenceAsked) -> View:
    shown = [group for group in found.groups if not group.implied]
    hidden = len(found.groups) - len(shown)
    document = document_of(found, changed=bool(found.groups), begin=asked.begin, end=asked.end)
    more = (Line(f"not listed: {hidden} more that follow from hosts or parents that came or went"),) if hidden else ()
    compared = f"from {_words(asked.begin)} to {_words(asked.end)}; log position: {found.position}"
    return View(
        document,
        Sheet(_CSV, [row for group in found.groups for row in _rows(group)]),
        head=(Line(first_line(found.groups)),),
        table=Sheet(_COLUMNS, [cells(group) for group in shown]),
        foot=(*more, Line(compared)),
        exit_code=CHANGED if found.groups else 0,
    )


def _rows(group: Group) -> list[tuple[Cell, ...]]:
    said = (group.object, group.event, group.what, group.aspect, group.before, group.after, group.implied)
    return [(*said, place.host, place.hostname, place.parent, place.device) for place in group.places]


def _words(moment: Moment) -> str:
    known = "" if moment.known_at is None else f" as known at {moment.known_at}"
    return f"{'now' if moment.as_of is None else utc(moment.as_of)}{known}"
