"""The options that name hosts and what they are to become."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import click

from mdevreg.cli.rule_draft import scope_of
from mdevreg.rules import Scope


def hosts_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--hosts``."""
    return click.option(
        "--hosts",
        "where",
        multiple=True,
        metavar="HOST|KEY=PATTERN",
        help="Only these hosts: names, or what they are or offer (site=a, driver=nvidia, version='550.*').",
    )(command)


def goal_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--driver``, ``--profile-from``, ``--stream``: one of them."""
    options = (
        click.option(
            "--driver",
            metavar="BUILD",
            help="The build that they get: NAME VERSION, or NAME srcversion=… and the like.",
        ),
        click.option("--profile-from", metavar="HOST", help="They get what this host has."),
        click.option("--stream", metavar="SPEC", help="Their streams become so: saves=8,loads=6..8[,format=NAME]."),
    )
    for option in reversed(options):
        command = option(command)
    return hosts_option(command)


def hosts_of(stated: Sequence[str]) -> Scope:
    """Names of hosts and ``KEY=PATTERN``. Raises ``UsageError``."""
    return scope_of([text if "=" in text else f"host={text}" for text in stated], "--hosts")
