"""The console script as a process: its help, its pipes, its signals, what it imports."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from support.processes import RunCli, isolated_environment, program

_COMMANDS = [
    *("hosts", "show", "can-migrate", "targets", "accepting", "matrix", "eval", "explain", "history"),
    *("diff", "export", "blame", "drivers", "upgrades", "upgrade", "baseline", "islands", "plan"),
    *("decisions", "outcome", "regret", "rule", "watch", "webhook", "audit", "stream", "vercmp", "schema"),
]
#: A run over the small fleet, in a process of its own: ``TESTS`` is where ``support`` is.
_OVER_MEMORY = """
import sys, time
sys.path.insert(0, TESTS)
from mdevreg.cli.edge import run
from support.memory_door import MemoryDoor
from support.small_fleet import NOW, small_fleet
def sleep():
    print("asking", file=sys.stderr, flush=True)
    time.sleep(60)
door = MemoryDoor([], sleep) if SLEEPS else small_fleet()
sys.exit(run(sys.argv[1:], now=NOW, open_door=lambda url, **options: door))
"""


def _over_memory(*argv: str, sleeps: bool = False) -> list[str]:
    tests = str(Path(__file__).parent.parent)
    return [sys.executable, "-c", f"TESTS, SLEEPS = {tests!r}, {sleeps}\n{_OVER_MEMORY}", *argv]


@pytest.mark.parametrize("command", [[], *([each] for each in _COMMANDS)], ids=" ".join)
def test_help_begins_with_examples(run_cli: RunCli, command: list[str]) -> None:
    """And exits 0, on stdout."""
    done = run_cli(["mdevreg", *command, "--help"])
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"Examples:\n  mdevreg {' '.join(command)}")
    assert "Usage: mdevreg" in done.stdout


def test_every_command_is_listed_whole(run_cli: RunCli) -> None:
    """No sentence of the list is cut off."""
    listed = run_cli(["mdevreg", "--help"]).stdout.partition("Commands:\n")[2]
    assert [row.split()[0] for row in listed.splitlines()] == _COMMANDS
    assert "..." not in listed


def test_no_arguments_is_a_wrong_question_with_the_help(run_cli: RunCli) -> None:
    """On stderr, exit 2: a script that forgot its command must not read "yes"."""
    done = run_cli(["mdevreg"])
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Examples:")


def test_version_is_told(run_cli: RunCli) -> None:
    """``mdevreg 0.1.0``."""
    done = run_cli(["mdevreg", "--version"])
    assert done.returncode == 0
    assert done.stdout.startswith("mdevreg ")
    assert done.stdout.split()[1][0].isdigit()


def test_help_loads_neither_renderers_nor_doors(home: Path) -> None:
    """Start-up is fast because nothing heavy is imported."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", program("mdevreg"), "--help"],
        capture_output=True,
        text=True,
        check=True,
        env=isolated_environment(home),
    )
    loaded = {row.rpartition("|")[2].strip().partition(".")[0] for row in done.stderr.splitlines()}
    assert "click" in loaded
    assert not loaded & {"rich", "yaml", "nats", "sqlalchemy", "mdevreg_server", "mdevreg_agent", "asyncio"}


def test_a_base_install_names_the_extra(home: Path) -> None:
    """The script is there without the extra [cli]; Click is not."""
    blocked = "import sys; sys.modules['click'] = None; from mdevreg.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", blocked],
        capture_output=True,
        text=True,
        check=False,
        env=isolated_environment(home),
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("mdevreg: MISSING_EXTRA: the command line needs the extra [cli]")


@pytest.mark.parametrize("argv", [["--help"], ["hosts"], ["hosts", "-o", "json"]], ids=" ".join)
def test_a_reader_that_goes_away_is_no_error(home: Path, argv: list[str]) -> None:
    """``mdevreg hosts | head -1``: 141, as a shell reports SIGPIPE, and not a word."""
    reads, writes = os.pipe()
    os.close(reads)
    done = subprocess.run(
        _over_memory(*argv), stdout=writes, stderr=subprocess.PIPE, check=False, env=isolated_environment(home)
    )
    os.close(writes)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full on this system")  # noqa: PTH110  (a decorator's condition)
def test_an_answer_that_can_not_be_written_is_no_answer(home: Path) -> None:
    """A full disk under stdout must not exit 0."""
    with open("/dev/full", "wb") as full:  # noqa: PTH123  (a device)
        done = subprocess.run(
            _over_memory("hosts"), stdout=full, stderr=subprocess.PIPE, check=False, env=isolated_environment(home)
        )
    assert done.returncode == 2
    assert done.stderr.startswith(b"mdevreg: STATE: the answer could not be written")


def test_a_closed_stdout_is_told(home: Path) -> None:
    """``mdevreg hosts >&-``."""
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" >&-', "sh", *_over_memory("hosts")],
        stderr=subprocess.PIPE,
        check=False,
        env=isolated_environment(home),
    )
    assert done.returncode == 2
    assert done.stderr.startswith(b"mdevreg: STATE: stdout is closed")


def test_ctrl_c_ends_at_once_and_quietly(home: Path) -> None:
    """While it waits for an answer: 130, no traceback."""
    process = subprocess.Popen(
        _over_memory("hosts", sleeps=True),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=isolated_environment(home),
    )
    assert process.stderr is not None
    assert process.stderr.readline() == b"asking\n"
    asked = time.monotonic()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (130, b"", b"")
    assert time.monotonic() - asked < 20


def test_data_is_utf_8_in_every_locale(home: Path) -> None:
    """A program that reads JSON knows its encoding; the table uses the terminal's and loses no character."""
    environment = isolated_environment(home, PYTHONIOENCODING="ascii")
    name = "höst"
    script = _over_memory("hosts", "-o", "json")
    script[2] = (
        script[2]
        .replace("small_fleet()\n", f"MemoryDoor([host({name!r})])\n")
        .replace("import NOW", "import host, NOW")
    )
    done = subprocess.run(script, capture_output=True, check=True, env=environment)
    assert name.encode() in done.stdout
    script[-1] = "table"
    done = subprocess.run(script, capture_output=True, check=True, env=environment)
    assert rb"h\xf6st" in done.stdout
