"""``mdevreg schema``: the JSON Schemas of what is sent."""

from __future__ import annotations

from typing import ClassVar

import click

from mdevreg.cli.options import Questions, output_options

_COMMANDS = "mdevreg.cli.commands"


class Schema(Questions):
    """``mdevreg schema``."""

    examples = (
        ("mdevreg schema list", "Which messages have a schema?"),
        ("mdevreg schema show can-migrate.reply > answer.json", "What does a program read?"),
        ("mdevreg schema validate record record.json", "Would a registry take this record?"),
    )
    lazy: ClassVar[dict[str, str]] = {
        "list": f"{_COMMANDS}.schema_list",
        "show": f"{_COMMANDS}.schema_show",
        "validate": f"{_COMMANDS}.schema_validate",
    }


@click.group("schema", cls=Schema, params=output_options())
def command() -> None:
    """Print the JSON Schemas of all messages.

    Requests, replies, records, and what a registry publishes of the fleet.

    No registry is asked; a running one hands out its own at mdevreg.v1.q.schema.
    """
