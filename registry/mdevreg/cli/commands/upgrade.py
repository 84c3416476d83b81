"""``mdevreg upgrade``: driver upgrades of many hosts."""

from __future__ import annotations

from typing import ClassVar

import click

from mdevreg.cli.options import Questions, shared_options

_COMMANDS = "mdevreg.cli.commands"


class Upgrade(Questions):
    """``mdevreg upgrade``."""

    examples = (
        (
            'mdevreg upgrade campaign create to-580 --where site=a --driver "nvidia 580.95.05"',
            "All hosts of site a are to run this build.",
        ),
        ("mdevreg upgrade campaign status to-580", "How far did it come, and when will it end?"),
    )
    lazy: ClassVar[dict[str, str]] = {"campaign": f"{_COMMANDS}.campaign"}


@click.group("upgrade", cls=Upgrade, params=shared_options())
def command() -> None:
    """Follow driver upgrades of many hosts."""
