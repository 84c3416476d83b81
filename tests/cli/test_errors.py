"""Every way to fail: one line on stderr, nothing on stdout, the exit code of the design."""

from __future__ import annotations

import json

import pytest

from mdevreg.errors import (
    AuthError,
    DecodeError,
    MdevregError,
    MissingExtraError,
    RemoteError,
    StateError,
    UnreachableError,
    UsageError,
    WrongRevisionError,
)
from support.command_line import CommandLine
from support.small_fleet import UUID

_ERRORS: list[tuple[MdevregError, int]] = [
    (UsageError("what?"), 2),
    (MissingExtraError("the door nats://", "nats"), 2),
    (DecodeError("no record"), 2),
    (StateError("locked"), 2),
    (WrongRevisionError(None, "1", "sqlite:///x"), 2),
    (RemoteError("failed there", code="OVERLOADED"), 2),
    (AuthError("refused"), 4),
    (UnreachableError("away"), 5),
]
_WRONG = [
    ["hots"],
    ["can-migrate"],
    ["can-migrate", UUID],
    ["hosts", "--bogus"],
    ["hosts", "-o", "xml"],
    ["hosts", "surplus"],
    ["targets", UUID, "--limit", "0"],
    ["targets", UUID, "--outcome", "maybe"],
    ["history", "alpha", "--limit", "1000001"],
    ["hosts", "--stale-after", "nan"],
    ["hosts", "--stale-after", "inf"],
    ["hosts", "--timeout", "0"],
    ["hosts", "--timeout", "-1"],
    ["hosts", "--timeout", "soon"],
    ["hosts", "--as-of", "2026-11-24T10:00:01Z"],
    ["hosts", "--as-of", "last monday"],
    ["show", "al\udcffpha"],
]


@pytest.mark.parametrize(("error", "code"), _ERRORS, ids=lambda case: type(case).__name__)
def test_each_error_has_its_exit_code_and_is_one_line(line: CommandLine, error: MdevregError, code: int) -> None:
    """2 wrong or internal, 4 credentials, 5 unreachable; stdout stays empty."""
    line.fail_with(error)
    done = line("hosts")
    assert (done.code, done.out) == (code, "")
    assert done.err.splitlines()[0] == f"mdevreg: {error.code}: {error.message}"
    done = line("-o", "json", "hosts")
    assert (done.code, done.out) == (code, "")
    assert json.loads(done.err) == {"error": {"code": error.code, "message": error.message}}


@pytest.mark.parametrize("argv", _WRONG, ids=lambda argv: ascii(" ".join(argv)))
def test_a_wrong_command_line_exits_2_before_any_door_is_opened(line: CommandLine, argv: list[str]) -> None:
    """Never 1, which means "no"; in JSON where JSON was asked for, even if the rest can't be parsed."""
    done = line(*argv)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("mdevreg: USAGE: ")
    assert line.opened == []
    if "xml" not in argv:
        for spelling in (["-o", "json"], ["-ojson"], ["--output=json"]):
            done = line(*spelling, *argv)
            assert (done.code, done.out) == (2, "")
            assert json.loads(done.err)["error"]["code"] == "USAGE"


def test_unknown_names_get_the_nearest_ones(line: CommandLine) -> None:
    """Hosts, devices, parents and commands alike."""
    assert "the nearest known: alpha" in line("show", "alhpa").err
    assert UUID in line("targets", UUID[:8]).err
    assert "the nearest known: mtty/mtty-1" in line("targets", "alpha/mtty/mtty-2").err
    assert "the nearest: targets" in line("target", UUID).err
    done = line("can-migrate", UUID, "--to", "bety", "-o", "json")
    assert (done.code, json.loads(done.err)["error"]["code"]) == (2, "NOT_FOUND")


def test_an_unreachable_registry_tells_which_one_was_asked(line: CommandLine) -> None:
    """And where that address came from, so that it can be corrected."""
    line.fail_with(UnreachableError("no answer within 5 s"))
    done = line("hosts", environ={"MDEVREG_URL": "nats://elsewhere:4222"})
    assert done.err.splitlines()[1] == (
        "mdevreg: asked nats://elsewhere:4222 (from MDEVREG_URL); name another with --url"
    )


def test_a_password_in_an_address_is_in_no_message(line: CommandLine) -> None:
    """Error messages end in tickets and logs."""
    line.fail_with(UnreachableError("no answer within 5 s"))
    done = line("hosts", environ={"MDEVREG_URL": "nats://me:secret@elsewhere:4222"})
    assert "secret" not in done.err + done.out
    assert "nats://elsewhere:4222" in done.err


def test_an_unexpected_exception_exits_2_and_tells_how_to_see_it(line: CommandLine) -> None:
    """Left to Python it would be 1, which means "no"; the traceback is for those who ask."""
    line.fail_with(ZeroDivisionError("by zero"))
    done = line("can-migrate", UUID, "--to", "beta")
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        "mdevreg: INTERNAL: ZeroDivisionError: by zero; this is a fault of mdevreg, MDEVREG_DEBUG=1 shows where it is\n"
    )
    assert "Traceback" in line("hosts", environ={"MDEVREG_DEBUG": "1"}).err


def test_an_interrupt_ends_quietly(line: CommandLine) -> None:
    """130, as a shell reports it."""
    line.fail_with(KeyboardInterrupt())
    done = line("hosts")
    assert (done.code, done.out, done.err) == (130, "", "")


def test_an_error_message_has_no_power_over_the_terminal(line: CommandLine) -> None:
    """What the registry says is printed as text, escapes and all."""
    line.fail_with(RemoteError("\x1b[2Jgone\nmdevreg: fine"))
    assert line("hosts").err == "mdevreg: REMOTE: \\x1b[2Jgone\\nmdevreg: fine\n"
