"""The console script against a real registry: ``mdevreg-server up``, records over NATS, answers over NATS and SQL."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import nats
import pytest

from mdevreg import subjects
from mdevreg.cli.edge import run
from support.command_line import CommandLine, Done
from support.processes import Program, RunCli, StartCli, eventually
from support.publisher import Look, Publisher
from support.small_fleet import LONELY, UUID, small_hosts

STREAMS = Path(__file__).parents[1] / "streams"

pytestmark = pytest.mark.timeout(120)


class Registry:
    """A running registry that knows the small fleet. Asked in this process: a script takes its second to start."""

    def __init__(self, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.state = home / ".local" / "state" / "mdevreg"
        self.home, self.capsys = home, capsys

    @property
    def url(self) -> str:
        return (self.state / "url").read_text(encoding="utf-8").strip()

    @property
    def database(self) -> str:
        return f"sqlite:///{self.state / 'registry.sqlite3'}"

    def __call__(self, *argv: str) -> Done:
        code = run(argv, environ={"HOME": str(self.home)})
        captured = self.capsys.readouterr()
        return Done(code, captured.out, captured.err)

    def answer(self, *argv: str) -> dict[str, Any]:
        done = self(*argv, "-o", "json")
        assert done.err == ""
        document: dict[str, Any] = json.loads(done.out)
        return document


@pytest.fixture
def server(start_cli: StartCli) -> Program:
    """``mdevreg-server up``, ready."""
    program = start_cli(["mdevreg-server", "up", "--no-agent", "--port", "0"])
    program.wait_for("mdevreg is up")
    return program


@pytest.fixture
def registry(server: Program, home: Path, capsys: pytest.CaptureFixture[str]) -> Registry:
    """It, with the small fleet's records committed."""
    found = Registry(home, capsys)
    sent = {
        host.id: _records(host.id, Look(state.facts, {p.path: p for p in state.parents}))
        for host in small_hosts()
        for state in host.states
        if state.facts
    }
    asyncio.run(_publish(found.url, sent))
    eventually(partial(_knows, found, len(sent)), "every host is known")
    return found


def _records(host: str, look: Look) -> list[bytes]:
    return Publisher(host=host).snapshot(look)


async def _publish(url: str, sent: dict[str, list[bytes]]) -> None:
    async with await nats.connect(url) as client:
        for host, records in sent.items():
            for record in records:
                await client.jetstream().publish(subjects.record(host), record)


def _knows(registry: Registry, hosts: int) -> bool:
    """Signs of life are written a moment after the records."""
    known = registry.answer("hosts")["hosts"]
    whole = [host for host in known if host["parents"] and host["doubts"] == []]
    return len(whole) == hosts


def test_every_question_is_answered_over_nats_and_over_sql(registry: Registry, run_cli: RunCli) -> None:
    """One test, because a registry takes its seconds to start: each command, each outcome, each door."""
    for target, code in (("beta", 0), ("gamma", 1)):  # the script finds the running registry by itself
        done = run_cli(["mdevreg", "can-migrate", UUID, "--to", target])
        same = registry("can-migrate", UUID, "--to", target)
        assert (done.returncode, same.code, done.stderr) == (code, code, "")
        assert done.stdout.splitlines()[0] == same.first
    _answers(registry, "--url", registry.url)
    _answers(registry, "--url", registry.database)
    _says_the_same(registry, ["hosts"], ["show", "alpha"], ["drivers"], ["history", "alpha"], ["targets", UUID])
    _errors(registry)
    _rules(registry)
    _streams(registry)


def _rules(registry: Registry) -> None:
    """A rule decides at the next question through every door; beside a running registry only it may write."""
    added = registry.answer("rule", "add", "deny", "--to", "host=beta", "--message", "CASE-7")["rule"]
    for url in (registry.url, registry.database):
        done = registry("--url", url, "can-migrate", UUID, "--to", "beta")
        assert (done.code, f"deny rule {added['id']} by " in done.out) == (1, True)
        assert registry("--url", url, "rule", "show", added["id"]).first.endswith(": CASE-7")
        assert registry("--url", url, "rule", "show", "r").code == 2
    done = registry("--url", registry.database, "rule", "end", added["id"])
    assert (done.code, done.out) == (2, "")
    assert "SECOND_WRITER" in done.err
    assert registry("rule", "end", added["id"]).first.startswith("ended: ")
    assert registry("can-migrate", UUID, "--to", "beta").code == 0
    assert registry("rule", "list").first == "0 rules in force, 0 to come; 1 ended (--all lists them)"


def _streams(registry: Registry) -> None:
    """The fleet's drivers state whole numbers, the stream says 1.0: known to load mtty, and yet not comparable."""
    stream = str(STREAMS / "mtty-stream-1.0-1port.bin")
    for url in (registry.url, registry.database):
        done = registry("--url", url, "targets", "--stream", stream)
        assert (done.code, done.err) == (3, "")
        assert "of 4 hosts known to load mtty streams: 4 unknown" in done.first
        assert "STREAM_SCHEMES_DIFFER" in done.out


def _answers(registry: Registry, *door: str) -> None:
    asked = {
        ("can-migrate", UUID, "--to", "beta"): (0, "yes: "),
        ("can-migrate", "alpha/mtty/mtty-1", "--to", "beta/mtty"): (0, "yes: "),
        ("can-migrate", UUID, "--to", "gamma"): (1, "no: "),
        ("can-migrate", UUID, "--to", "epsilon"): (1, "no: "),
        ("can-migrate", UUID, "--to", "beta", "--stale-after", "0.000001"): (3, "unknown: "),
        ("targets", UUID): (0, "yes: "),
        ("targets", LONELY): (1, "no: "),
        ("targets", UUID, "--stale-after", "0.000001"): (3, "unknown: "),
    }
    for argv, (code, first) in asked.items():
        done = registry(*door, *argv)
        assert (done.code, done.err) == (code, ""), argv
        assert done.out.startswith(first), argv
    header, *rows = csv.reader(io.StringIO(registry(*door, "hosts", "-o", "csv").out))
    assert [row[header.index("hostname")] for row in rows] == ["alpha", "beta", "delta", "epsilon", "gamma", "zeta"]
    changes = registry.answer(*door, "history", UUID)["changes"]
    assert UUID in changes[0]["name"]


def _says_the_same(registry: Registry, *questions: Iterable[str]) -> None:
    """Every door hands out the same facts at the same position."""
    for argv in questions:
        one, other = (registry.answer(*argv, "--url", url) for url in (registry.url, registry.database))
        assert _timeless(one) == _timeless(other), argv


def _timeless(value: Any) -> Any:
    """Without what depends on the moment of asking."""
    volatile = {"answered_at", "facts_age_s", "last_seen", "reliable_until", "snapshot"}
    if isinstance(value, dict):
        return {key: _timeless(item) for key, item in value.items() if key not in volatile}
    return [_timeless(item) for item in value] if isinstance(value, list) else value


def _errors(registry: Registry) -> None:
    for url in (registry.url, registry.database):
        done = registry("--url", url, "show", "alhpa")
        assert (done.code, done.out) == (2, "")
        assert "no host is named 'alhpa'; the nearest known: alpha" in done.err
        done = registry("--url", url, "hosts", "--as-of", "2000-01-01T00:00:00Z")
        assert (done.code, done.out) == (2, "")
        assert "BEFORE_HISTORY: nothing is known of 2000-01-01T00:00:00Z: the earliest is " in done.err


def test_a_registry_that_is_away_is_told_with_its_address(run_cli: RunCli) -> None:
    """Exit 5, within the time that was allowed."""
    done = run_cli(["mdevreg", "--url", "nats://127.0.0.1:1", "--timeout", "1", "hosts"], timeout_s=20)
    assert (done.returncode, done.stdout) == (5, "")
    first, second = done.stderr.splitlines()
    assert first.startswith("mdevreg: UNREACHABLE: ")
    assert second == "mdevreg: asked nats://127.0.0.1:1 (from --url); name another with --url"


def test_a_missing_database_is_no_empty_registry(line: CommandLine, tmp_path: Path) -> None:
    """A mistyped path must not read as "no hosts", and must not create anything."""
    missing = tmp_path / "missing.sqlite3"
    code = run(["--url", f"sqlite:///{missing}", "hosts"], environ={"HOME": str(tmp_path)})
    captured = line.capsys.readouterr()
    assert (code in (2, 5), captured.out) == (True, "")
    assert captured.err.startswith("mdevreg: ")
    assert "INTERNAL" not in captured.err
    assert not missing.exists()
