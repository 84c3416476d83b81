"""The edge of the program: arguments in, text and an exit code out. Every error ends here."""

from __future__ import annotations

import io
import os
import shutil
import sys
import traceback
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import click
import msgspec
from click.shell_completion import shell_complete

from mdevreg import query
from mdevreg.addresses import shown
from mdevreg.cli.app import mdevreg
from mdevreg.cli.render import render
from mdevreg.cli.session import OpenDoor, Session
from mdevreg.cli.view import Streamed, View
from mdevreg.errors import CatalogError, MdevregError, StateError, UnreachableError, UsageError
from mdevreg.texts import printable

#: What a shell reports of a program that SIGINT (2) or SIGPIPE (13) ended.
INTERRUPTED, BROKEN_PIPE = 130, 141
INTERNAL = 2
_COMPLETE = "_MDEVREG_COMPLETE"


def run(
    argv: Sequence[str],
    *,
    environ: Mapping[str, str] | None = None,
    now: datetime | None = None,
    open_door: OpenDoor = query.open,
) -> int:
    """Run one command line. Returns its exit code."""
    session = Session(os.environ if environ is None else environ, now or datetime.now(UTC), open_door, _width())
    try:
        return _run(argv, session)
    except BrokenPipeError:
        _abandon_stdout()
        return BROKEN_PIPE
    except KeyboardInterrupt:
        return INTERRUPTED
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    except click.ClickException as error:
        return _report(_usage(error), argv, session)
    except MdevregError as error:
        return _report(error, argv, session)
    except Exception as error:  # noqa: BLE001  (the one edge: left to Python, the exit code would be 1, which means "no")
        return _unexpected(error, argv, session)


def _run(argv: Sequence[str], session: Session) -> int:
    if instruction := session.environ.get(_COMPLETE):
        return shell_complete(mdevreg, {"obj": session}, "mdevreg", _COMPLETE, instruction)
    _check_encodable(argv)
    try:
        # Not Click's own main(): it would turn a broken pipe into exit code 1.
        with mdevreg.make_context("mdevreg", list(argv), obj=session) as context:
            view = mdevreg.invoke(context)
    except click.exceptions.Exit as done:  # --help, --version
        return done.exit_code
    if isinstance(view, Streamed):
        return _stream(view, session)
    if not isinstance(view, View):
        raise TypeError(f"the command returned {view!r}, not a view")
    _write(render(view, session.format, width=session.width, color=session.color), session)
    return view.exit_code


def _stream(streamed: Streamed, session: Session) -> int:
    """Write lines as they come. Ctrl-C is how a person ends it, and no fault."""
    try:
        for text in streamed.texts:
            _write(text, session)
    except KeyboardInterrupt:
        return 0
    return 0


def _check_encodable(argv: Sequence[str]) -> None:
    for argument in argv:
        if any("\ud800" <= char <= "\udfff" for char in argument):
            raise UsageError(f"the argument {argument!r} is not UTF-8; names of hosts and devices are")


def _write(text: str, session: Session) -> None:
    """Write the answer, whole or not at all as far as the caller's exit code tells."""
    if sys.stdout is None:
        raise StateError("stdout is closed; there is nowhere to print the answer")
    if isinstance(sys.stdout, io.TextIOWrapper):
        utf8 = sys.stdout.encoding if session.format == "table" else "utf-8"  # data is UTF-8 in every locale
        sys.stdout.reconfigure(encoding=utf8, errors="backslashreplace")
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        _abandon_stdout()
        raise StateError(f"the answer could not be written: {error}") from error


def _abandon_stdout() -> None:
    """Nobody reads on: keep Python from complaining when it flushes at its end."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)


def _usage(error: click.ClickException) -> UsageError:
    context = error.ctx if isinstance(error, click.UsageError) else None
    see = f"; see: {context.command_path} --help" if context else ""
    return UsageError(error.format_message().rstrip(".") + see)


def _unexpected(error: Exception, argv: Sequence[str], session: Session) -> int:
    if session.environ.get("MDEVREG_DEBUG"):
        traceback.print_exception(error)
    text = f"{type(error).__name__}: {error}; this is a fault of mdevreg, MDEVREG_DEBUG=1 shows where it is"
    return _report(MdevregError(text, code="INTERNAL"), argv, session)


def _report(error: MdevregError, argv: Sequence[str], session: Session) -> int:
    if _wants_json(argv):
        text = msgspec.json.encode({"error": {"code": error.code, "message": error.message}}).decode()
    else:
        text = f"mdevreg: {error.code}: {_shown(error)}"
        if isinstance(error, UnreachableError):
            address = session.address
            asked = printable(shown(address.url))
            text += f"\nmdevreg: asked {asked} (from {address.learned_from}); name another with --url"
    if sys.stderr is not None:
        sys.stderr.write(text + "\n")
    return error.exit_code


def _shown(error: MdevregError) -> str:
    """One line; faults of catalog files a line each, as editors and greps expect them."""
    if not isinstance(error, CatalogError):
        return printable(error.message)
    faults = (f"{file}:{line}: {text}" for file, line, text in error.faults)
    return "\n".join((f"{len(error.faults)} faults", *map(printable, faults)))


def _wants_json(argv: Sequence[str]) -> bool:
    """Whether ``-o json`` was meant, however wrong the rest of the line is."""
    pairs = zip(argv, [*argv[1:], ""], strict=True)
    return any(
        (name in ("-o", "--output") and value == "json") or name in ("-ojson", "--output=json") for name, value in pairs
    )


def _width() -> int | None:
    return shutil.get_terminal_size().columns if sys.stdout is not None and sys.stdout.isatty() else None
