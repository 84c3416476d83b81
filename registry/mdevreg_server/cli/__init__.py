"""`mdevreg-server`: run the registry, look after its database, deal with what it refused."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from mdevreg.errors import MdevregError, MissingExtraError, UsageError

if TYPE_CHECKING:
    import click

#: What a shell reports of a program that SIGINT (2) or SIGPIPE (13) ended.
INTERRUPTED, BROKEN_PIPE = 130, 141
_NAME = "mdevreg-server"
_COMPLETE = "_MDEVREG_SERVER_COMPLETE"


def main() -> None:
    """The console script. Errors are one line on stderr; exit codes as in the README."""
    try:
        code = _reported()
        if sys.stdout is not None:
            sys.stdout.flush()  # here, where a reader that went away is understood; not at the interpreter's end
    except BrokenPipeError:
        _abandon_output()
        code = BROKEN_PIPE
    except KeyboardInterrupt:
        code = INTERRUPTED
    sys.exit(code)


def _reported() -> int:
    try:
        return _run()
    except MdevregError as error:
        from mdevreg.texts import printable

        print(f"{_NAME}: {error.code}: {printable(error.message)}", file=sys.stderr)
        return error.exit_code


def _run() -> int:
    try:
        import click

        from mdevreg_server.cli.commands import cli
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("mdevreg"):
            raise
        raise MissingExtraError(_NAME, "server") from error
    try:
        return _invoked(cli)
    except click.exceptions.Exit as done:  # --help, --version
        return done.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    except click.ClickException as error:
        context = error.ctx if isinstance(error, click.UsageError) else None
        raise _usage(error.format_message(), context) from error


def _invoked(cli: click.Group) -> int:
    if instruction := os.environ.get(_COMPLETE):
        from click.shell_completion import shell_complete

        return shell_complete(cli, {}, _NAME, _COMPLETE, instruction)
    # Not Click's own main(): it would turn a broken pipe into exit code 1.
    with cli.make_context(_NAME, sys.argv[1:]) as context:
        cli.invoke(context)
    return 0


def _usage(message: str, context: click.Context | None) -> UsageError:
    see = f"; see {context.command_path} --help" if context else ""
    return UsageError(" ".join(message.split()).rstrip(".") + see)


def _abandon_output() -> None:
    """Nobody reads on: keep Python from complaining when it flushes at its end."""
    null = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        os.dup2(null, descriptor)
    os.close(null)
