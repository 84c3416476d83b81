"""Commands that know the shared options, and whose help begins with examples."""

from __future__ import annotations

import importlib
import math
from typing import Any, ClassVar

import click

from mdevreg.cli.examples import Exampled, ExampledGroup
from mdevreg.cli.session import DEFAULT_TIMEOUT_S, DEFAULT_URL, FORMATS, Session
from mdevreg.compatibility import DEFAULT_STALE_AFTER_S
from mdevreg.nearest import nearest

#: Ten years: longer is a mistake, and must not overflow a time.
MAX_SECONDS = 315_360_000


class Seconds(click.ParamType[float]):
    """A finite number of seconds above zero."""

    name = "seconds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read it, or fail as Click does."""
        try:
            seconds = float(value)
        except ValueError:
            seconds = math.nan
        if not 0 < seconds <= MAX_SECONDS:  # false for nan too
            self.fail(f"{value!r} is no number of seconds above 0 and up to {MAX_SECONDS}", param, ctx)
        return seconds


class Question(Exampled):
    """A command that asks a registry: takes the shared options, hands its view on."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += shared_options()


class Timeless(Exampled):
    """A command that has nothing to do with the past: ``--as-of``, given before its name, is refused."""

    def invoke(self, ctx: click.Context) -> Any:
        """As Click does, if no past is asked about."""
        refuse_times(ctx)
        return super().invoke(ctx)


def refuse_times(ctx: click.Context) -> None:
    """Raises Click's ``UsageError`` if a past was asked about."""
    given = ctx.ensure_object(Session).given
    for name, option in (("as_of", "--as-of"), ("known_at", "--known-at"), ("snapshot", "--snapshot")):
        if given.get(name) is not None:
            raise click.UsageError(f"{option} has no meaning here: nothing is asked of the past", ctx)


class Present(Timeless):
    """A command that asks a registry about now, and can't about the past."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += [*registry_options(), *output_options()]


class Decision(Present):
    """A command that changes what a registry believes, from now on."""


class Local(Timeless):
    """A command that needs no registry."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += output_options()


class Questions(ExampledGroup):
    """A group; a command is imported when it is called or listed."""

    #: name → module of its command, which is named ``command``
    lazy: ClassVar[dict[str, str]] = {}

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  (Click's signature)
        """In the order of a newcomer's questions."""
        return list(self.lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  (Click's)
        """Import one."""
        if cmd_name not in self.lazy:
            return None
        command: click.Command = importlib.import_module(self.lazy[cmd_name]).command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As Click does, but an unknown command gets the nearest ones."""
        if args[0] not in self.lazy and not args[0].startswith("-"):
            hint = ", ".join(nearest(args[0], self.lazy)) or ", ".join(self.lazy)
            ctx.fail(f"there is no command {args[0]!r}; the nearest: {hint}")
        return super().resolve_command(ctx, args)


def shared_options() -> list[click.Parameter]:
    """The options that every question takes, before or after its name."""
    stale = _option(
        "--stale-after",
        type=Seconds(),
        help=f"Don't rely on hosts silent for longer, in seconds [{DEFAULT_STALE_AFTER_S:g}].",
    )
    past = _option(
        "--as-of", metavar="TIME", help="Ask about the past: 2026-11-24T10:00:00Z, -2h30m, 'yesterday 14:00' (UTC)."
    )
    known = _option(
        "--known-at",
        metavar="TIME|seq:N",
        help="As the registry knew it at a time or log position, catalog and rules included.",
    )
    again = _option("--snapshot", metavar="TOKEN", help="Both times, as an answer told them: the same answer again.")
    form, color = output_options()
    return [*registry_options(), form, stale, past, known, again, color]


def registry_options() -> list[click.Parameter]:
    """Which registry, and how to reach it."""
    return [
        _option("--url", metavar="URL", help=f"The registry. Else MDEVREG_URL, a running `up`, {DEFAULT_URL}."),
        _option("--creds", type=click.Path(dir_okay=False), help="NATS credentials file."),
        _option("--timeout", type=Seconds(), help=f"Wait so long for an answer, in seconds [{DEFAULT_TIMEOUT_S:g}]."),
    ]


def output_options() -> list[click.Parameter]:
    """How the answer is printed."""
    return [
        _option("-o", "--output", type=click.Choice(FORMATS), help="What to print [table]."),
        _option("--no-color", is_flag=True, default=None, help="No colours; NO_COLOR=1 does the same."),
    ]


def _option(*names: str, **settings: Any) -> click.Option:
    return click.Option(list(names), expose_value=False, callback=_remember, **settings)


def _remember(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    """The command's options are read after the group's, so that the last one wins."""
    if value is not None and param.name is not None:
        ctx.ensure_object(Session).given[param.name] = value
