"""The server's command line as a person at a terminal, and a program in a pipe, meet it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from mdevreg import wire
from mdevreg_server.broker import Broker
from support.hosts import look, mtty
from support.processes import RunCli, isolated_environment, program
from support.publisher import Publisher
from support.registry import Desk, refused
from support.serving import serving

Server = Callable[..., "subprocess.CompletedProcess[str]"]

_FAULTY = b'{"schema":"1.0","host":"host-1","epoch":"epoch-1","seq":4}'


@pytest.fixture
def url(desk: Desk) -> str:
    """The database of ``desk``."""
    return desk.engine.url.render_as_string(hide_password=False)


@pytest.fixture
def server(run_cli: RunCli, url: str) -> Server:
    """Runs `mdevreg-server` on the database of ``desk``."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return run_cli(["mdevreg-server", *arguments], env={"MDEVREG_DATABASE": url})

    return run


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.split("  ") if cell.strip()]


def test_the_list_is_an_aligned_table_with_a_header(desk: Desk, server: Server) -> None:
    """Who sent it, on which subject, when; ``-`` where the sender can't be known. Empty, it is the header alone."""
    header = _cells(server("quarantine", "list").stdout)
    assert header == ["ID", "STATE", "CODE", "RECEIVED", "SUBJECT", "SENDER", "TIMES", "REASON"]
    desk.take(_FAULTY, b"not json", _FAULTY)
    first, *lines = server("quarantine", "list").stdout.splitlines()
    nobody, host = map(_cells, lines)
    assert nobody[4:7] == ["mdevreg.v1.record.host-1", "-", "1"]
    assert host[1:3] == ["open", "DECODE"]
    assert datetime.strptime(host[3], "%Y-%m-%dT%H:%M:%S%z").utcoffset() == timedelta(0)
    assert host[5:7] == ["host-1/epoch-1/4", "2"]
    assert all(line[first.index("SENDER") - 1] == " " != line[first.index("SENDER")] for line in lines)
    cut = server("quarantine", "list", "--limit", "1")
    assert (len(cut.stdout.splitlines()), "the newest 1 of 2" in cut.stderr) == (2, True)


def test_the_list_is_one_json_array_for_programs(desk: Desk, server: Server) -> None:
    """Times are RFC 3339; no body, which ``show --raw`` writes."""
    assert json.loads(server("quarantine", "list", "-o", "json").stdout) == []
    desk.take(_FAULTY)
    [item] = json.loads(server("quarantine", "list", "-o", "json").stdout)
    assert (item["host"], item["epoch"], item["seq"], item["times"]) == ("host-1", "epoch-1", 4, 1)
    assert item["received_at"] <= item["last_received_at"]
    assert item["received_at"].endswith("Z")
    assert not any(name.endswith("_us") or name == "body" for name in item)


def test_an_item_is_shown_with_readable_times_and_no_power_over_the_terminal(desk: Desk, server: Server) -> None:
    """Controls and what turns the direction of text are escapes, in the message too."""
    desk.take(_FAULTY + "\x07\x1b[2J\u202e\nnext".encode())
    number = server("quarantine", "list").stdout.splitlines()[1].split()[0]
    shown = server("quarantine", "show", number).stdout
    assert "code: DECODE\n" in shown
    assert "\nreceived_at: 20" in shown
    assert "\nlast_received_at: 20" in shown
    assert "_us" not in shown
    assert shown.endswith('"seq":4}\\x07\\x1b[2J\\u202e\nnext\n')
    missing = server("quarantine", "show", "999")
    assert (missing.returncode, missing.stderr.startswith("mdevreg-server: NOT_FOUND: ")) == (2, True)


def test_a_long_message_is_shown_in_part_and_written_whole_when_asked(desk: Desk, server: Server, url: str) -> None:
    """4,096 bytes are shown, and how many are not; ``--raw`` is the message byte for byte, and nothing else."""
    body = b"x" * 4_096 + b"\xff\x00\x1b" * 1_000
    desk.take(body)
    number = server("quarantine", "list").stdout.splitlines()[1].split()[0]
    *_, message, foot = server("quarantine", "show", number).stdout.splitlines()
    assert message == "x" * 4_096
    assert foot.startswith("… 3000 bytes are left out")
    raw = subprocess.run(
        [program("mdevreg-server"), "quarantine", "show", number, "--raw", "--database", url],
        capture_output=True,
        check=True,
    )
    assert raw.stdout == body


def test_a_drop_without_a_reason_or_of_what_is_dropped_is_refused(desk: Desk, server: Server) -> None:
    """The first reason stays."""
    desk.take(_FAULTY)
    number = server("quarantine", "list").stdout.splitlines()[1].split()[0]
    blank = server("quarantine", "drop", number, "--reason", "")
    assert (blank.returncode, blank.stderr[:43]) == (2, "mdevreg-server: USAGE: the reason is blank;")
    assert server("quarantine", "drop", number, "--reason", "a test").returncode == 0
    again = server("quarantine", "drop", number, "--reason", "another")
    assert (again.returncode, f"{number} is dropped already (a test)" in again.stderr) == (2, True)
    assert "\nresolution: a test\n" in server("quarantine", "show", number).stdout


def test_a_dropped_item_that_is_tried_again_becomes_applied(
    desk: Desk, server: Server, url: str, nats_server: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through a real broker and the registry itself; nothing but the answer is said. An applied one is refused."""
    publisher = Publisher()
    desk.take(*publisher.snapshot(look(mtty())))
    [created] = publisher.changes(look(mtty(devices=[1])))
    with monkeypatch.context() as older:  # a program that does not know this schema yet
        older.setattr(wire, "SCHEMA_MAJOR", 0)
        desk.take(created)
    number = server("quarantine", "list").stdout.splitlines()[1].split()[0]
    server("quarantine", "drop", number, "--reason", "too new")
    retry = ("quarantine", "retry", number, "--nats", nats_server.url)
    with serving(url, nats_server.url) as registry:
        done = server(*retry)
        registry.until(lambda: refused(desk.engine) == [("applied", "SCHEMA_VERSION", 1)], "it is applied")
    assert (done.returncode, done.stderr) == (0, "")
    again = server(*retry)
    assert (again.returncode, again.stdout) == (2, "")
    assert again.stderr.startswith(f"mdevreg-server: USAGE: it can't be applied twice; {number} is applied already")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nonsense",), "No such command 'nonsense'; see mdevreg-server --help"),
        (("quarantine", "list", "--limit", "0"), "; see mdevreg-server quarantine list --help"),
        (("quarantine", "drop", "1"), "Missing option '--reason'; see mdevreg-server quarantine drop --help"),
        (("quarantine", "show", "9" * 30), "; see mdevreg-server quarantine show --help"),
    ],
)
def test_wrong_usage_is_one_line_that_leads_to_the_help(run_cli: RunCli, arguments: tuple[str, ...], said: str) -> None:
    """As `mdevreg` says it."""
    done = run_cli(["mdevreg-server", *arguments])
    assert (done.returncode, done.stdout) == (2, "")
    [line] = done.stderr.splitlines()
    assert line.startswith("mdevreg-server: USAGE: ")
    assert line.endswith(said)


def test_the_version_is_printed_as_that_of_the_other_programs(run_cli: RunCli) -> None:
    """Name and number, nothing between."""
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    done = run_cli(["mdevreg-server", "--version"])
    assert (done.returncode, done.stdout) == (0, f"mdevreg-server {project['version']}\n")


@pytest.mark.parametrize("argv", [["--help"], ["quarantine", "list"], ["quarantine", "list", "-o", "json"]])
def test_a_reader_that_goes_away_is_no_error(home: Path, url: str, argv: list[str]) -> None:
    """``mdevreg-server quarantine list | true``: 141, as a shell reports SIGPIPE, and not a word."""
    reads, writes = os.pipe()
    os.close(reads)
    done = subprocess.run(
        [program("mdevreg-server"), *argv],
        stdout=writes,
        stderr=subprocess.PIPE,
        check=False,
        env=isolated_environment(home, MDEVREG_DATABASE=url),
    )
    os.close(writes)
    assert (done.returncode, done.stderr) == (141, b"")


def test_an_interrupt_is_no_traceback(home: Path) -> None:
    """Ctrl-C while a command works: 130, as a shell reports SIGINT, and not a word."""
    pressed = (
        "import signal, sys; from mdevreg_server.cli import main, commands; "
        "commands.cli.commands['rebuild'].callback = lambda database: signal.raise_signal(signal.SIGINT); "
        "sys.argv = ['mdevreg-server', 'rebuild']; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", pressed], capture_output=True, check=False, env=isolated_environment(home)
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"")
