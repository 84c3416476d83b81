"""``mdevreg drivers``."""

from __future__ import annotations

import click

from mdevreg.cli.options import Question
from mdevreg.cli.session import Session
from mdevreg.cli.view import Line, Sheet, View, document_of
from mdevreg.cli.words import build_columns, where_read
from mdevreg.moments import clock_of

_COLUMNS = ("driver", "module", "kernel", "version", "srcversion", "build_id", "hosts", "parents")


@click.command(
    "drivers",
    cls=Question,
    examples=(
        ("mdevreg drivers", "Which driver builds run, and on how many hosts."),
        ("mdevreg drivers --as-of -1d", "Which ran yesterday: how far did the upgrade come?"),
    ),
)
@click.pass_obj
def command(session: Session) -> View:
    """List the fleet's driver builds and how many hosts run each."""
    moment = session.moment
    with session.door() as door:
        found = door.drivers(moment)
    sheet = Sheet(_COLUMNS, [(*build_columns(each.build), each.hosts, each.parents) for each in found.drivers])
    document = document_of(found, answered_at=clock_of(moment, session.now), as_of=moment.as_of)
    empty = () if found.drivers else (Line("no driver build is known"),)
    return View(document, sheet, table=sheet, foot=(*empty, where_read(found.position, moment.as_of, found.snapshot)))
