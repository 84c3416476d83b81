"""``mdevreg plan``: upgrades before they happen."""

from __future__ import annotations

from typing import ClassVar

import click

from mdevreg.cli.options import Questions, shared_options

_COMMANDS = "mdevreg.cli.commands"


class Plan(Questions):
    """``mdevreg plan``."""

    examples = (
        (
            'mdevreg plan upgrade --hosts site=a --driver "nvidia 570.124.03"',
            "What would be lost if these hosts were upgraded?",
        ),
        (
            'mdevreg plan waves --hosts site=a --driver "nvidia 570.124.03" --at-once 4',
            "In which order can they be, so that nobody is ever stranded?",
        ),
    )
    lazy: ClassVar[dict[str, str]] = {
        "upgrade": f"{_COMMANDS}.plan_upgrade",
        "waves": f"{_COMMANDS}.plan_waves",
        "check": f"{_COMMANDS}.plan_check",
    }


@click.group("plan", cls=Plan, params=shared_options())
def command() -> None:
    """Foresee what an upgrade would do, and order it. Nothing is written."""
