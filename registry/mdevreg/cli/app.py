"""The group ``mdevreg`` and its commands."""

from __future__ import annotations

from typing import Any, ClassVar

import click

from mdevreg.cli.options import Questions, shared_options

_COMMANDS = "mdevreg.cli.commands"


class Mdevreg(Questions):
    """``mdevreg``."""

    examples = (
        ("mdevreg hosts", "Which hosts does the registry know, and since when has each been silent?"),
        ("mdevreg can-migrate 83b8f4f2-509f-382f-3c1e-e6bfe0fa1001 --to beta", "Would beta load this device's stream?"),
        ("mdevreg targets 83b8f4f2-509f-382f-3c1e-e6bfe0fa1001 -o json", "Which hosts would? For a program."),
    )
    lazy: ClassVar[dict[str, str]] = {
        "hosts": f"{_COMMANDS}.hosts",
        "show": f"{_COMMANDS}.show",
        "can-migrate": f"{_COMMANDS}.can_migrate",
        "targets": f"{_COMMANDS}.targets",
        "accepting": f"{_COMMANDS}.accepting",
        "matrix": f"{_COMMANDS}.matrix",
        "eval": f"{_COMMANDS}.evaluate",
        "explain": f"{_COMMANDS}.explain",
        "history": f"{_COMMANDS}.history",
        "diff": f"{_COMMANDS}.diff",
        "export": f"{_COMMANDS}.export",
        "blame": f"{_COMMANDS}.blame",
        "drivers": f"{_COMMANDS}.drivers",
        "upgrades": f"{_COMMANDS}.upgrades",
        "upgrade": f"{_COMMANDS}.upgrade",
        "baseline": f"{_COMMANDS}.baseline",
        "islands": f"{_COMMANDS}.islands",
        "plan": f"{_COMMANDS}.plan",
        "decisions": f"{_COMMANDS}.decisions",
        "outcome": f"{_COMMANDS}.outcome",
        "regret": f"{_COMMANDS}.regret",
        "rule": f"{_COMMANDS}.rule",
        "watch": f"{_COMMANDS}.watch",
        "webhook": f"{_COMMANDS}.webhook",
        "audit": f"{_COMMANDS}.audit",
        "stream": f"{_COMMANDS}.stream",
        "vercmp": f"{_COMMANDS}.vercmp",
        "schema": f"{_COMMANDS}.schema",
    }


def _version(ctx: click.Context, _param: click.Parameter, value: Any) -> None:
    if value:
        from importlib.metadata import version

        click.echo(f"mdevreg {version('mdevreg')}")
        ctx.exit()


@click.group(cls=Mdevreg, params=shared_options(), context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Print it and exit."
)
def mdevreg() -> None:
    """Ask an mdevreg registry whether a mediated device can migrate, and why (not).

    Exit codes: 0 yes, 1 no, 2 wrong usage or an error, 3 unknown or stale, 4 credentials refused, 5 unreachable.
    """
