"""``mdevreg schema show NAME``."""

from __future__ import annotations

import click
import msgspec

from mdevreg.cli.options import Local
from mdevreg.cli.view import Line, Sheet, View
from mdevreg.query.schemas import schema_of


@click.command(
    "show",
    cls=Local,
    examples=(
        ("mdevreg schema show record", "What an agent publishes."),
        ("mdevreg schema show can-migrate.request -o yaml", "What a question must have."),
    ),
)
@click.argument("name")
def command(name: str) -> View:
    """Print the JSON Schema (2020-12) of a message.

    NAME is one of `mdevreg schema list`.
    """
    schema = schema_of(name)
    text = msgspec.json.format(msgspec.json.encode(schema), indent=2).decode()
    return View(schema, Sheet(("name", "schema"), [(name, text)]), head=tuple(map(Line, text.splitlines())))
