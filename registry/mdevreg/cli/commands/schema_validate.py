"""``mdevreg schema validate NAME FILE``."""

from __future__ import annotations

import click

from mdevreg.cli.files import read_whole
from mdevreg.cli.options import Local
from mdevreg.cli.session import Session
from mdevreg.cli.view import Line, Sheet, View
from mdevreg.query.schemas import validate

#: No message of any broker is longer.
MAX_BYTES = 64 * 1024 * 1024


@click.command(
    "validate",
    cls=Local,
    examples=(
        ("mdevreg schema validate record record.json", "Exits 0, or 2 with the path of the first fault."),
        ("mdevreg schema validate targets-page.request - < ask.json", "From stdin."),
    ),
)
@click.argument("name")
@click.argument("file", metavar="FILE|-")
@click.pass_obj
def command(session: Session, name: str, file: str) -> View:
    """Read a message as the program does that it is meant for.

    That is stricter than its schema: the size of a record counts too, and names that must not be there twice.
    """
    data, _ = read_whole(file, MAX_BYTES, now=session.now)
    validate(name, data)
    row = (name, file, True)
    document = dict(zip(("name", "file", "valid"), row, strict=True))
    shown = "stdin" if file == "-" else file
    return View(document, Sheet(("name", "file", "valid"), [row]), head=(Line(f"{shown} is a valid {name}"),))
