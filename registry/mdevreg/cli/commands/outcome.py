"""``mdevreg outcome``: how real migrations ended."""

from __future__ import annotations

from typing import ClassVar

import click

from mdevreg.cli.options import Questions, shared_options

_COMMANDS = "mdevreg.cli.commands"


class Outcomes(Questions):
    """``mdevreg outcome``."""

    examples = (
        ("mdevreg outcome report d1204 --result loaded", "The migration of that decision worked."),
        ("mdevreg outcome list --host beta", "How those from or to beta ended."),
    )
    lazy: ClassVar[dict[str, str]] = {
        "report": f"{_COMMANDS}.outcome_report",
        "list": f"{_COMMANDS}.outcome_list",
    }


@click.group("outcome", cls=Outcomes, params=shared_options())
def command() -> None:
    """Report how a real migration ended.

    A report is about the two profiles, not the two hosts: it concerns every pair of hosts with the same driver builds,
    and ends with an upgrade of either.
    """
