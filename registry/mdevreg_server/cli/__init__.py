"""`mdevreg-server`: run the registry, look after its database, deal with what it refused."""

from __future__ import annotations

import os
import sys

from mdevreg.errors import MdevregError, MissingExtraError


def main() -> None:
    """The console script. Errors are one line on stderr; exit codes as in the README."""
    try:
        code = _run()
    except MdevregError as error:
        print(f"mdevreg-server: {error.code}: {error.message}", file=sys.stderr)
        code = error.exit_code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        code = 141
    sys.exit(code)


def _run() -> int:
    try:
        import click

        from mdevreg_server.cli.commands import cli
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("mdevreg"):
            raise
        raise MissingExtraError("mdevreg-server", "server") from error
    try:
        cli.main(standalone_mode=False, prog_name="mdevreg-server")
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.exceptions.Abort:
        return 130
    except click.ClickException as error:
        error.show()
        return 2
    return 0
