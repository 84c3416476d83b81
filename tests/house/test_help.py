"""Help of every command, of every program, begins with examples."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest

from mdevreg.cli.app import Mdevreg
from mdevreg.cli.examples import Exampled
from mdevreg_server.cli.commands import cli as server
from support.processes import RunCli


def _commands(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    yield name, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for inner in command.list_commands(context):
            found = command.get_command(context, inner)
            assert found is not None
            yield from _commands(found, f"{name} {inner}")


EVERY = [*_commands(Mdevreg("mdevreg"), "mdevreg"), *_commands(server, "mdevreg-server")]


@pytest.mark.parametrize(("name", "command"), EVERY, ids=[name for name, _ in EVERY])
def test_a_command_shows_how_it_is_used_before_it_explains_itself(name: str, command: click.Command) -> None:
    """At least one example, of this very program, with what it does; each line of it in the help's beginning."""
    assert isinstance(command, Exampled)
    program = name.split(maxsplit=1)[0]
    assert command.examples
    assert all(line.startswith(program) and purpose.strip() for line, purpose in command.examples)
    text = command.get_help(click.Context(command, info_name=name))
    assert text.lstrip().startswith("Examples:")


@pytest.mark.parametrize("command", ["run", "scan", "simulate"])
def test_so_does_the_agent(command: str, run_cli: RunCli) -> None:
    """argparse, but the same habit."""
    shown = run_cli(["mdevreg-agent", command, "--help"]).stdout
    assert shown.lower().startswith("examples:")
    assert f"mdevreg-agent {command}" in shown.partition("usage:")[0]
