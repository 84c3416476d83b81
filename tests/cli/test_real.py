"""The console script against a real registry: ``mdevreg-server up``, records over NATS, answers over NATS and SQL."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import nats
import pytest

from mdevreg import subjects
from support.processes import Program, RunCli, StartCli, eventually
from support.publisher import Look, Publisher
from support.small_fleet import LONELY, UUID, small_hosts

pytestmark = pytest.mark.timeout(120)


class Registry:
    """A running registry that knows the small fleet, and the command line beside it, which finds it by itself."""

    def __init__(self, run_cli: RunCli, home: Path) -> None:
        self._run = run_cli
        self.state = home / ".local" / "state" / "mdevreg"

    @property
    def url(self) -> str:
        return (self.state / "url").read_text(encoding="utf-8").strip()

    @property
    def database(self) -> str:
        return f"sqlite:///{self.state / 'registry.sqlite3'}"

    def __call__(self, *argv: str) -> CompletedProcess[str]:
        return self._run(["mdevreg", *argv])

    def answer(self, *argv: str) -> dict[str, Any]:
        done = self(*argv, "-o", "json")
        assert done.stderr == ""
        document: dict[str, Any] = json.loads(done.stdout)
        return document


@pytest.fixture
def server(start_cli: StartCli) -> Program:
    """``mdevreg-server up``, ready."""
    program = start_cli(["mdevreg-server", "up", "--no-agent", "--port", "0"])
    program.wait_for("mdevreg is up")
    return program


@pytest.fixture
def registry(server: Program, run_cli: RunCli, home: Path) -> Registry:
    """It, with the small fleet's records committed."""
    found = Registry(run_cli, home)
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
    known = registry.answer("hosts")["hosts"]
    return len(known) == hosts and all(host["evidence"]["in_sync"] and host["parents"] for host in known)


def test_every_question_is_answered_over_nats_and_over_sql(registry: Registry) -> None:
    """One session, because a registry takes its seconds to start: each command, each outcome, each door."""
    _answers(registry, "--url", registry.url)
    _answers(registry, "--url", registry.database)
    _says_the_same(registry, ["hosts"], ["show", "alpha"], ["drivers"], ["history", "alpha"], ["targets", UUID])
    _errors(registry)


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
        assert (done.returncode, done.stderr) == (code, ""), argv
        assert done.stdout.startswith(first), argv
    assert "STREAM_VERSION_LOADS" in registry(*door, "can-migrate", UUID, "--to", "beta").stdout
    header, *rows = csv.reader(io.StringIO(registry(*door, "hosts", "-o", "csv").stdout))
    assert [row[header.index("hostname")] for row in rows] == ["alpha", "beta", "delta", "epsilon", "gamma", "zeta"]
    changes = registry.answer(*door, "history", UUID)["changes"]
    assert [change["name"] for change in changes][0].endswith(UUID)


def _says_the_same(registry: Registry, *questions: Iterable[str]) -> None:
    """Every door hands out the same facts at the same position."""
    for argv in questions:
        one, other = (registry.answer(*argv, "--url", url) for url in (registry.url, registry.database))
        assert _timeless(one) == _timeless(other), argv


def _timeless(value: Any) -> Any:
    """Without what depends on the moment of asking."""
    volatile = {"answered_at", "facts_age_s", "last_seen", "reliable_until"}
    if isinstance(value, dict):
        return {key: _timeless(item) for key, item in value.items() if key not in volatile}
    return [_timeless(item) for item in value] if isinstance(value, list) else value


def _errors(registry: Registry) -> None:
    for url in (registry.url, registry.database):
        done = registry("--url", url, "show", "alhpa")
        assert (done.returncode, done.stdout) == (2, "")
        assert "no host is named 'alhpa'; the nearest known: alpha" in done.stderr
        done = registry("--url", url, "hosts", "--as-of", "2000-01-01T00:00:00Z")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith("no host")


def test_a_registry_that_is_away_is_told_with_its_address(run_cli: RunCli) -> None:
    """Exit 5, within the time that was allowed."""
    done = run_cli(["mdevreg", "--url", "nats://127.0.0.1:1", "--timeout", "2", "hosts", "-o", "json"], timeout_s=20)
    assert (done.returncode, done.stdout) == (5, "")
    assert json.loads(done.stderr)["error"]["code"] == "UNREACHABLE"
    done = run_cli(["mdevreg", "--url", "nats://127.0.0.1:1", "--timeout", "2", "hosts"], timeout_s=20)
    assert done.stderr.splitlines()[1] == "mdevreg: asked nats://127.0.0.1:1 (from --url); name another with --url"


def test_a_missing_database_is_no_empty_registry(run_cli: RunCli, tmp_path: Path) -> None:
    """A mistyped path must not read as "no hosts", and must not create anything."""
    missing = tmp_path / "missing.sqlite3"
    done = run_cli(["mdevreg", "--url", f"sqlite:///{missing}", "hosts"])
    assert (done.returncode in (2, 5), done.stdout) == (True, "")
    assert done.stderr.startswith("mdevreg: ")
    assert "INTERNAL" not in done.stderr
    assert not missing.exists()
