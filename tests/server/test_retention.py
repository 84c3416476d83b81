"""The policy, through every way in; a running registry that keeps to it; the commands."""

from __future__ import annotations

import asyncio
import json
import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from mdevreg import keeping as policy
from mdevreg import query, subjects
from mdevreg.errors import DecodeError, StateError, UsageError
from mdevreg.facts import NOW, History, Hosts, HostView, Moment, Retention
from mdevreg.times import moment_of, utc
from mdevreg_server import keeping, pruner, retiring
from mdevreg_server.backup import back_up
from mdevreg_server.broker import Broker
from mdevreg_server.engine import open_engine
from mdevreg_server.http.config import HttpConfig
from mdevreg_server.retiring import Retiring
from mdevreg_server.sql_door import SqlDoor
from mdevreg_server.wholeness import faults_of
from support.bus_client import ask
from support.faces import LOOPBACK
from support.hosts import look, mtty, told
from support.processes import RunCli
from support.pruned import emptied, prune_up_to
from support.publisher import Publisher
from support.registry import Desk, migrated, positions, projections
from support.serving import serving

Server = Callable[..., "subprocess.CompletedProcess[str]"]


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


def _life(desk: Desk, name: str = "a") -> None:
    for record in told(Publisher(name), [look(mtty(free=free), hostname=name) for free in (5, 4, 3, 2, 1)]):
        desk.take(record)


# What may be meant


@pytest.mark.parametrize(("text", "days"), [("400d", 400), ("1d", 1), ("36500d", 36_500), ("forever", None)])
def test_a_policy_is_days_or_for_ever(text: str, days: int | None) -> None:
    """And is written as it was typed."""
    assert policy.days_of(text) == days
    assert policy.policy_of(days) == text


@pytest.mark.parametrize("text", ["0d", "36501d", "400", "400D", "-1d", "1w", "", "٤d", "400d\n", "99999d"])
def test_another_policy_is_refused(text: str) -> None:
    """What was expected is said."""
    with pytest.raises(UsageError, match="expected days, 1d to 36500d, or forever"):
        policy.days_of(text)


def test_an_entry_of_a_newer_program_is_not_guessed_at(desk: Desk) -> None:
    """Questions stop there, as with amendments."""
    with pytest.raises(DecodeError, match="no entry about what is kept"):
        policy.decode_keeping(b'{"schema":"9.0"}')
    with desk.ledger.tending() as connection:
        desk.ledger.append(connection, keeping.EPOCH, "retention", b"{}", now_us=desk.now_us)
    with SqlDoor(desk.engine) as door, pytest.raises(StateError, match="position 1 of the log") as caught:
        door.hosts(Moment(known_at=1))
    assert caught.value.code == "LOG_UNREADABLE"


# The policy is history


def test_a_policy_is_an_entry_of_the_log_with_its_author(desk: Desk) -> None:
    """The newest is in force; rebuild leaves it; nothing was pruned by it yet."""
    _life(desk)
    assert desk.book.set_retention("400d", author="alice") == Retention("400d")
    assert desk.book.set_retention("30d", author="bob") == Retention("30d")
    with desk.engine.connect() as connection:
        entries = keeping.entries(connection)
        assert keeping.policy(connection) == 30
    assert [entry.keeping.author for entry in entries] == ["alice", "bob"]
    desk.ledger.rebuild()
    assert faults_of(desk.engine) == []
    with SqlDoor(desk.engine) as door:
        assert door.history("a", NOW, 3).retention == Retention("30d")
        assert door.hosts(NOW).retention is None
    with pytest.raises(UsageError, match="the author is blank"):
        desk.book.set_retention("30d", author=" ")


def test_a_running_registry_is_told_over_nats(desk: Desk, url: str, nats_server: Broker) -> None:
    """It is an operator's decision like a rule."""
    with serving(url, nats_server.url):
        subject = subjects.decision("set-retention")
        reply = ask(nats_server.url, subject, json.dumps({"bodies": "400d", "author": "alice"}).encode())
        assert json.loads(reply.data)["policy"] == "400d"
        refused = ask(nats_server.url, subject, b'{"bodies":"soon","author":"alice"}')
        assert json.loads(refused.data)["code"] == "USAGE"
    with desk.engine.connect() as connection:
        assert keeping.policy(connection) == 400


# A running registry


def test_a_running_registry_keeps_to_the_policy(
    desk: Desk, url: str, nats_server: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The records are days old by the registry's clock, the policy too: it prunes by itself, in its own time."""
    _life(desk)
    desk.book.set_retention("1d", author="alice")
    monkeypatch.setattr(retiring, "LOOK_EVERY_S", 0.1)
    before = projections(desk.engine)
    with serving(url, nats_server.url) as registry:
        registry.until_said("prune.ended")
        registry.stop()
        assert sum("prune.begun" in line for line in registry.said) == 1
    assert emptied(desk.engine) == {3, 4, 5, 6}
    assert projections(desk.engine) == before
    assert faults_of(desk.engine) == []
    assert positions(desk.engine) == list(range(1, len(positions(desk.engine)) + 1))


def test_a_policy_that_was_just_set_can_be_set_back(
    desk: Desk, url: str, nats_server: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It rests for a day; for ever is the default, and nothing goes."""
    _life(desk)
    monkeypatch.setattr(retiring, "LOOK_EVERY_S", 0.05)
    request = b'{"bodies":"1d","author":"alice"}'
    with serving(url, nats_server.url) as registry:
        assert b'"1d"' in ask(nats_server.url, subjects.decision("set-retention"), request).data
        for _ in range(20):
            ask(nats_server.url, subjects.query("drivers"), b"")
        assert not any("prune." in line for line in registry.said)
    assert emptied(desk.engine) == set()


def test_one_of_several_registries_prunes(
    postgresql_database_url: str, nats_server: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who leads; the others go on ingesting."""
    monkeypatch.setattr(retiring, "LOOK_EVERY_S", 0.1)
    with migrated(postgresql_database_url) as engine:
        desk = Desk(engine)
        _life(desk)
        desk.book.set_retention("1d", author="alice")
        with (
            serving(postgresql_database_url, nats_server.url, partitions=2) as one,
            serving(postgresql_database_url, nats_server.url, partitions=2) as two,
        ):
            one.until(lambda: any("prune.ended" in line for line in [*one.said, *two.said]), "one has pruned", 40.0)
        assert sum("prune.ended" in line for line in [*one.said, *two.said]) == 1
        assert emptied(engine) == {3, 4, 5, 6}
        assert faults_of(engine) == []


# The commands


def test_show_set_and_prune_tell_what_they_do(desk: Desk, server: Server) -> None:
    """A dry run first; then the same, gone; the log's entries by author."""
    _life(desk)
    assert server("retention", "show").stdout == "bodies: forever\n"
    refused = server("prune")
    assert (refused.returncode, "the policy keeps documents for ever; say --before" in refused.stderr) == (2, True)
    assert server("retention", "set", "--bodies", "2d", "--author", "alice").stdout == "bodies: 2d\n"
    dry = server("prune", "--before", "-1s", "--dry-run").stdout
    assert dry.startswith("would go: 4 bodies of 1 hosts, ")
    assert emptied(desk.engine) == set()
    done = server("prune", "--before", "-1s", "--author", "bob")
    assert done.stdout.startswith(dry.split(",")[0].replace("would go", "gone"))
    assert "prune.lot hosts=1 bodies=4" in done.stderr
    assert emptied(desk.engine) == {3, 4, 5, 6}
    assert server("db", "check").returncode == 0
    shown = server("retention", "show").stdout.splitlines()
    assert shown[0] == "bodies: 2d"
    assert shown[1].startswith("pruned: detail before ")
    assert [line.split()[0] for line in shown[3:]] == ["8", "9", "10"]
    document = json.loads(server("retention", "show", "-o", "json").stdout)
    assert [entry["keeping"]["author"] for entry in document["entries"]] == ["alice", "bob", "bob"]
    assert server("prune", "--before", "-7000d").stdout.startswith("nothing to prune")


def test_the_database_of_a_running_registry_is_not_pruned_from_outside(
    desk: Desk, url: str, server: Server, nats_server: Broker
) -> None:
    """It prunes by itself; its policy is asked for over NATS."""
    _life(desk)
    with serving(url, nats_server.url):
        refused = server("prune", "--before", "-1s")
        assert (refused.returncode, "SECOND_WRITER" in refused.stderr) == (2, True)
        done = server("retention", "set", "--bodies", "9d", "--nats", nats_server.url)
        assert (done.returncode, done.stdout) == (0, "bodies: 9d\n")
    assert emptied(desk.engine) == set()


def test_lists_that_reach_back_say_what_was_pruned(desk: Desk, url: str, run_cli: RunCli) -> None:
    """One line in tables, a field in JSON; nothing where everything is kept."""
    _life(desk)

    def ask_cli(*arguments: str) -> str:
        return run_cli(["mdevreg", "--url", url, *arguments]).stdout

    assert "policy" not in ask_cli("history", "a")
    assert json.loads(ask_cli("history", "a", "-o", "json"))["retention"] is None
    desk.book.set_retention("400d", author="alice")
    assert "nothing was pruned yet; policy: bodies 400d" in ask_cli("history", "a")
    prune_up_to(desk, 7)
    with desk.engine.connect() as connection:
        found = keeping.retention(connection)
    assert found is not None
    assert found.pruned_before is not None
    said = (
        f"detail before {utc(found.pruned_before)} was pruned (position {found.pruned_position}); policy: bodies 400d"
    )
    then = utc(moment_of(_valid_from(desk.engine, 5)))
    for asked in (("history", "a"), ("hosts", "--as-of", then), ("show", "a", "--as-of", then)):
        assert said in ask_cli(*asked), asked
    shown = ask_cli("show", "a", "--as-of", then)
    assert "pruned: the documents of mtty; what timelines know is shown" in shown
    assert "mtty-1" in shown
    assert json.loads(ask_cli("show", "a", "--as-of", then, "-o", "json"))["pruned"] == ["/devices/virtual/mtty"]
    assert "pruned" not in ask_cli("hosts")


def _valid_from(engine: sa.Engine, position: int) -> int:
    with engine.connect() as connection:
        found = connection.scalar(sa.text(f"SELECT valid_from_us FROM parent WHERE position = {position}"))
    return int(found or 0)


# Copies


def test_a_backup_is_one_whole_file_and_never_written_over(
    desk: Desk, url: str, server: Server, tmp_path: Path
) -> None:
    """Made while the database is open elsewhere; PostgreSQL has tools of its own."""
    _life(desk)
    copy = tmp_path / "copy.sqlite3"
    done = server("db", "backup", str(copy))
    if desk.engine.dialect.name == "postgresql":
        assert (done.returncode, "pg_dump" in done.stderr, copy.exists()) == (2, True, False)
        return
    assert (done.returncode, str(copy.stat().st_size) in done.stdout) == (0, True)
    assert copy.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in tmp_path.iterdir() if "copy" in path.name) == ["copy.sqlite3"]
    again = server("db", "backup", str(copy))
    assert (again.returncode, "is there already" in again.stderr) == (2, True)
    restored = open_engine(f"sqlite:///{copy}", writer=False)
    assert projections(restored) == projections(desk.engine)
    assert faults_of(restored) == []
    restored.dispose()


def test_a_backup_that_can_not_be_written_leaves_nothing(desk: Desk, tmp_path: Path) -> None:
    """No half file under any name."""
    if desk.engine.dialect.name == "postgresql":
        return
    with pytest.raises(StateError, match="can't be written"):
        back_up(desk.engine, tmp_path / "no folder" / "copy")
    (tmp_path / ".copy.part").mkdir()
    with pytest.raises(StateError, match="can't be written"):
        back_up(desk.engine, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_every_door_says_the_same_of_what_was_pruned(desk: Desk, url: str, nats_server: Broker) -> None:
    """SQL, NATS, HTTP, and the replica, which asks the registry about the past."""
    _life(desk)
    desk.book.set_retention("400d", author="alice")
    then = Moment(as_of=moment_of(_valid_from(desk.engine, 5)))
    prune_up_to(desk, 7)
    with serving(url, nats_server.url, http=HttpConfig(LOOPBACK)) as registry:
        doors = (url, nats_server.url, registry.http_url, f"replica+{nats_server.url}")
        told_by = {door: _asked(door, then) for door in doors}
    first = told_by[url]
    assert first[0].retention is not None
    assert first[1].pruned == ("/devices/virtual/mtty",)
    assert all(said == first for said in told_by.values()), told_by


def _asked(door_url: str, then: Moment) -> tuple[Hosts, HostView, History]:
    with query.open(door_url) as door:
        return door.hosts(then), door.host("a", then), door.history("a", then, 10)


def test_a_registry_that_stops_does_not_wait_for_a_digest(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading all of a long history takes a while; nothing was begun yet, so nothing is lost."""
    _life(desk)
    desk.book.set_retention("1d", author="alice")
    reader = open_engine(desk.engine.url.render_as_string(hide_password=False), writer=False)
    reading, said = threading.Event(), list[str]()
    later = desk.now_us + 3 * 86_400 * 1_000_000

    def slowly(connection: sa.Connection, horizon: int, pulse: Callable[[], None]) -> str:
        reading.set()
        for _ in range(1_000):
            time.sleep(0.01)
            pulse()
        return "0" * 64

    async def run() -> None:
        with ThreadPoolExecutor(1) as writer, ThreadPoolExecutor(1) as pool:
            work = Retiring(desk.ledger, writer, reader, pool, now_us=lambda: later, say=said.append)
            task = asyncio.ensure_future(work.run())
            await asyncio.to_thread(reading.wait, 10)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    monkeypatch.setattr(pruner, "frozen_digest", slowly)
    began = time.monotonic()
    asyncio.run(run())
    reader.dispose()
    assert time.monotonic() - began < 8
    assert said == []
    with desk.engine.connect() as connection:
        assert keeping.unfinished(connection) is None
