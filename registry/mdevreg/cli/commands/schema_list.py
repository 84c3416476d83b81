"""``mdevreg schema list``."""

from __future__ import annotations

import click

from mdevreg.cli.options import Local
from mdevreg.cli.view import Sheet, View
from mdevreg.query.requests import PROTOCOL
from mdevreg.query.schemas import NAMES, about


@click.command(
    "list",
    cls=Local,
    examples=(
        ("mdevreg schema list", "Every name, with what it is."),
        ("mdevreg schema list -o json", "With the protocol's version."),
    ),
)
def command() -> View:
    """List the messages that have a schema."""
    rows = [(name, about(name)) for name in NAMES]
    sheet = Sheet(("name", "about"), rows)
    listed = [dict(zip(sheet.columns, row, strict=True)) for row in rows]
    return View({"protocol": PROTOCOL, "schemas": listed}, sheet, table=sheet)
