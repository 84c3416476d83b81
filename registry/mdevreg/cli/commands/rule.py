"""``mdevreg rule``: what operators decide about verdicts."""

from __future__ import annotations

from typing import ClassVar

import click

from mdevreg.cli.options import Questions, shared_options

_COMMANDS = "mdevreg.cli.commands"


class Rule(Questions):
    """``mdevreg rule``."""

    examples = (
        ("mdevreg rule list", "Which rules are in force?"),
        ('mdevreg rule add deny --where site=lab --message "rack is being moved"', "Nothing moves from or to the lab."),
        ("mdevreg rule end r1204", "From now on it is not in force."),
    )
    lazy: ClassVar[dict[str, str]] = {
        "add": f"{_COMMANDS}.rule_add",
        "list": f"{_COMMANDS}.rule_list",
        "show": f"{_COMMANDS}.rule_show",
        "end": f"{_COMMANDS}.rule_end",
    }


@click.group("rule", cls=Rule, params=shared_options())
def command() -> None:
    """Add, list and end operators' rules.

    A deny beats everything, an allow all but a deny. Every answer names the rules that had a say.
    """
