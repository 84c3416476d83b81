"""The bench: its fleet is what a registry would publish, and a small run of it says all that it should."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import psutil
import pytest

from mdevreg import wire
from mdevreg.objects import Profiles
from mdevreg.published import decode_state
from mdevreg.records import Cause
from mdevreg.state import HostFold
from mdevreg_agent.picture import Picture, documents_of
from mdevreg_agent.simulate import SimAgent
from mdevreg_server.publication import publication_of

if TYPE_CHECKING:
    from fleets import Fleet, Host

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
#: The figures that a run must print, one line each; whose, by the table.
QUERIES = """
pair, the same again: floor mdevreg SQLite PostgreSQL NATS KV
pair, at random: floor mdevreg SQLite PostgreSQL NATS KV
pair with every reason: mdevreg
count of targets: floor mdevreg SQLite PostgreSQL NATS KV
first 100 targets: floor mdevreg SQLite PostgreSQL
all targets, names: floor mdevreg SQLite PostgreSQL NATS KV
apply a host: free instances: floor mdevreg SQLite PostgreSQL NATS KV
apply a host: driver upgrade: floor mdevreg SQLite PostgreSQL NATS KV
apply a host, in lots of 500: free instances: floor mdevreg
ready from an empty process: mdevreg SQLite PostgreSQL NATS KV
ready from its cache on disk: mdevreg
memory: floor mdevreg NATS KV
pair at random, a writer without rest: longest: floor mdevreg
"""


@pytest.fixture
def fleet(monkeypatch: pytest.MonkeyPatch) -> Fleet:
    """300 hosts of the bench."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from fleets import Fleet

    return Fleet(300)


def test_the_same_seed_gives_the_same_fleet(fleet: Fleet) -> None:
    """Two runs measure the same; another seed measures another fleet."""
    same, other = type(fleet)(300), type(fleet)(300, seed=2)
    assert list(same.messages()) == list(fleet.messages())
    assert [host.id for host in other.hosts] != [host.id for host in fleet.hosts]


def test_it_is_as_diverse_as_issue_4_asks(fleet: Fleet) -> None:
    """Four types a host, 12 in all, 3 to 6 releases of five drivers, 50 profiles, with and without a minimum."""
    profiles = list(fleet.profiles.values())
    used = {digest for host in fleet.hosts for digest in fleet.profile_digests(host)}
    releases: dict[str, set[str | None]] = {}
    for profile in profiles:
        assert profile.driver is not None
        releases.setdefault(profile.driver.name, set()).add(profile.driver.version)
    assert {len(host.types) for host in fleet.hosts} == {4}
    assert len({profile.type for profile in profiles}) == 12
    assert sorted(map(len, releases.values())) == [3, 3, 3, 4, 6]
    assert len(profiles) == 50
    assert used <= fleet.profiles.keys()
    assert len(used) > 40
    assert {profile.migration_stream_version_min is None for profile in profiles} == {True, False}


def test_its_messages_are_those_of_a_registry(fleet: Fleet) -> None:
    """What is filled in by bytes is what a registry makes of the same host's records, but for its times and epoch."""
    for host in fleet.hosts[:24]:
        made = decode_state(fleet.state(host, 7)[1])
        real = decode_state(_published(host))
        same = ("host", "digest", "seq", "in_sync", "conflict", "missing", "index")
        assert [getattr(made, name) for name in same] == [getattr(real, name) for name in same]
        assert (bytes(made.facts), _raw(made.parents)) == (bytes(real.facts), _raw(real.parents))


def test_every_change_is_one(fleet: Fleet) -> None:
    """An everyday change leaves the profiles and changes all free instances; an upgrade moves all four types."""
    from fleets import everyday, upgraded

    for host in fleet.hosts:
        after, newer = everyday(host), upgraded(host)
        assert fleet.profile_digests(after) == fleet.profile_digests(host)
        assert all(one != other for one, other in zip(after.free, host.free, strict=True))
        moved = zip(fleet.profile_digests(newer), fleet.profile_digests(host), strict=True)
        assert all(one != other for one, other in moved)


def test_a_small_run_says_everything_and_leaves_nothing_behind(temporary: Path) -> None:
    """Every line with everybody's figure, the tables as Markdown, and no process of it afterwards."""
    markdown = temporary / "tables.md"
    options = ["--only", "queries", "--hosts", "200", "--rounds", "1", "--markdown", str(markdown)]
    environment = {**os.environ, "TMPDIR": str(temporary)}
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS), *options], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    said = list(_figures(done.stdout))
    for wanted in QUERIES.strip().splitlines():
        line, _, who = wanted.rpartition(": ")
        assert set(_names(who)) <= {name for each, name in said if each == line}, f"{line} in:\n{done.stdout}"
    assert "| pair, at random |" in markdown.read_text(encoding="utf-8")
    left = [process.info for process in psutil.process_iter(["pid", "cmdline"]) if _mentions(process, temporary)]
    assert not left


def test_the_bench_of_the_audit_says_what_it_should(temporary: Path) -> None:
    """A small log: verified, integrated, proven, with the floor beside it."""
    options = ["--only", "audit", "--log-rows", "3000", "--rounds", "1"]
    environment = {**os.environ, "TMPDIR": str(temporary)}
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS), *options], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    said = list(_figures(done.stdout))
    assert {("verify the log", "floor"), ("verify the log", "mdevreg"), ("prove a record", "mdevreg")} <= set(said)
    assert "Tiles: 32." in done.stdout


@pytest.fixture
def temporary() -> Iterator[Path]:
    """A folder that the user of a PostgreSQL server can pass through."""
    with tempfile.TemporaryDirectory(prefix="mdevreg-test-bench-") as name:
        Path(name).chmod(0o711)
        yield Path(name)


def _published(host: Host) -> bytes:
    from fleets import facts_of, parents_of

    fold, profiles = HostFold(host.id), Profiles()
    documents = documents_of(Picture(facts=facts_of(host), parents=parents_of(host)))
    agent = SimAgent(host.id, "epoch")
    looked = agent.look(documents, cause=Cause(kind="startup"), observed_at=datetime.now(UTC))
    for position, (_, data) in enumerate(looked, start=1):
        fold.apply(wire.decode(data), position=position, valid_at=0, profiles=profiles)
    return publication_of(fold, disputed=False).data


def _raw(parents: dict[str, msgspec.Raw]) -> dict[str, bytes]:
    return {path: bytes(raw) for path, raw in parents.items()}


def _figures(output: str) -> Iterator[tuple[str, str]]:
    """(line, who) of each figure that was printed: lines are indented by two, figures by four."""
    line = ""
    for text in output.splitlines():
        if text.startswith("    "):
            yield line, text[4:15].strip()
        elif text.startswith("  "):
            line = text.strip()


def _names(who: str) -> list[str]:
    words = who.replace("NATS KV", "NATS_KV").split()
    return [word.replace("_", " ") for word in words]


def _mentions(process: psutil.Process, folder: Path) -> bool:
    return any(str(folder) in part for part in process.info["cmdline"] or [])
