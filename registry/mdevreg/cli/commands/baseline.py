"""``mdevreg baseline``: best-known configurations."""

from __future__ import annotations

from typing import ClassVar

import click

from mdevreg.cli.options import Questions, shared_options

_COMMANDS = "mdevreg.cli.commands"


class Baselines(Questions):
    """``mdevreg baseline``."""

    examples = (
        ("mdevreg baseline create gold --from-host alpha", "What alpha looks like is how hosts should be."),
        ("mdevreg baseline check gold --where site=a", "Which hosts of site a are not so, in what, and since when?"),
        ("mdevreg baseline diff gold@1 gold", "What did the last version change?"),
    )
    lazy: ClassVar[dict[str, str]] = {
        "create": f"{_COMMANDS}.baseline_create",
        "list": f"{_COMMANDS}.baseline_list",
        "show": f"{_COMMANDS}.baseline_show",
        "check": f"{_COMMANDS}.baseline_check",
        "diff": f"{_COMMANDS}.baseline_diff",
        "end": f"{_COMMANDS}.baseline_end",
    }


@click.group("baseline", cls=Baselines, params=shared_options())
def command() -> None:
    """Keep best-known configurations, and find who deviates.

    A baseline says what is expected of each class of what hosts offer: a driver build, a kernel, what is saved and
    loaded, match fields. It changes no verdict. Creating one under a name that is there makes its next version.
    """
