"""``mdevreg targets --stream``: where the stream of a suspended VM could be loaded."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import msgspec
import pytest

from mdevreg.query.questions import Targets
from mdevreg.rules import Rule
from mdevreg.shipped import shipped_entries
from support.command_line import CommandLine
from support.memory_door import MemoryDoor
from support.small_fleet import NOW, UUID, host, mtty, recorded_mtty

STREAMS = Path(__file__).parents[1] / "streams"
ONE, TWO = (str(STREAMS / f"mtty-stream-1.0-{ports}.bin") for ports in ("1port", "2ports"))


@pytest.fixture
def door(line: CommandLine) -> MemoryDoor:
    """alpha and gamma run the recorded build, gamma's agent is silent; beta's build states a newer version."""
    hosts = [
        host("alpha", recorded_mtty()),
        host("beta", mtty("3.0", "2.0")),
        host("gamma", recorded_mtty(free=0), seen_s=900.0),
        host("delta", mtty(None)),
    ]
    door = MemoryDoor(hosts, clock=lambda: NOW)
    door.believe("shipped", shipped_entries())
    line.door = lambda: door
    return door


@pytest.mark.usefixtures("door")
def test_the_hosts_that_load_it_are_listed_best_first(line: CommandLine) -> None:
    """By the ports that the stream has: mtty-2 and not mtty-1. Hosts that are not known to load it are not asked."""
    done = line("targets", "--stream", TWO)
    assert (done.code, done.err) == (0, "")
    told = "of 3 hosts known to load mtty streams: 1 compatible, 1 incompatible, 1 unknown"
    assert done.first == f"yes: for the saved mtty stream 1.0, {told}"
    assert [row.split()[:4] for row in done.out.splitlines()[2:5]] == [
        ["yes", "alpha", "mtty", "mtty-2"],
        ["unknown", "gamma", "mtty", "mtty-2"],
        ["no", "beta", "mtty", "mtty-1"],
    ]
    assert "WAY_BACK" not in done.out
    assert "source: the stream's own word: mtty 1.0" in done.out
    assert [row.split()[3] for row in line("targets", "--stream", ONE).out.splitlines()[2:4]] == ["mtty-1"] * 2


@pytest.mark.usefixtures("door")
def test_its_type_narrows_the_question(line: CommandLine) -> None:
    """The stream does not tell it; who knows it names it."""
    assert "TYPE_NOT_TOLD" in line("targets", "--stream", TWO).out
    done = line("targets", "--stream", TWO, "--type", "mtty-2")
    assert (done.code, "TYPE_NOT_TOLD" in done.out) == (0, False)
    assert "of 2 hosts known to load mtty streams of mtty-2" in done.first
    done = line("targets", "--stream", TWO, "--type", "mtty-1")
    assert (done.code, "MATCH_FIELD_DIFFERS" in done.out) == (1, True)


@pytest.mark.usefixtures("door")
def test_no_host_that_is_known_to_load_it_is_unknown_not_no(line: CommandLine) -> None:
    """Nothing is known of the others: that is no evidence against them."""
    done = line("targets", "--stream", TWO, "--type", "mtty-9")
    assert (done.code, done.first) == (3, "unknown: no host is known to load mtty streams of mtty-9")
    assert json.loads(line("targets", "--stream", TWO, "--type", "mtty-9", "-o", "json").out)["answer"] == "unknown"


@pytest.mark.usefixtures("door")
def test_stdin_and_programs(line: CommandLine) -> None:
    """``-``, JSON as the library's struct, CSV without a way back."""
    out = line("targets", "--stream", "-", "-o", "json", stdin=Path(TWO).read_bytes()).out
    found = msgspec.json.decode(out, type=Targets)
    assert found.counts == {"compatible": 1, "incompatible": 1, "unknown": 1}
    assert found.answers[0].target_type == "mtty-2"
    rows = list(csv.DictReader(io.StringIO(line("targets", "--stream", TWO, "-o", "csv").out)))
    assert [row["way_back"] for row in rows] == ["", "", ""]
    assert rows[0]["saves"] == "mtty 1.0"


@pytest.mark.usefixtures("door")
def test_what_is_doubtful_about_a_stream_is_told_with_its_targets(line: CommandLine) -> None:
    """As ``stream inspect`` tells it; programs get it too."""
    longer = Path(TWO).read_bytes() + b"12345"
    (note,) = [
        row for row in line("targets", "--stream", "-", stdin=longer).out.splitlines() if row.startswith("note: ")
    ]
    assert "5 bytes" in note
    assert len(json.loads(line("targets", "--stream", "-", "-o", "json", stdin=longer).out)["notes"]) == 1
    assert "note: " not in line("targets", "--stream", TWO).out


def test_operators_rules_hold_for_saved_streams_too(line: CommandLine, door: MemoryDoor) -> None:
    """A deny of the version: no host may load it."""
    draft = Rule(
        id="draft",
        effect="deny",
        author="ops",
        message="CASE-7",
        valid_from=NOW,
        format="mtty",
        scheme="dotted",
        versions="1.0",
    )
    door.add_rule(draft)
    done = line("targets", "--stream", TWO)
    assert (done.code, "RULE_DENIES" in done.out) == (1, True)


@pytest.mark.usefixtures("door")
def test_exactly_one_of_device_and_stream(line: CommandLine) -> None:
    """And --type and --format are about streams."""
    for argv in (
        ["targets"],
        ["targets", UUID, "--stream", TWO],
        ["targets", UUID, "--type", "mtty-1"],
        ["targets", UUID, "--format", "mtty"],
    ):
        done = line(*argv)
        assert (done.code, done.out) == (2, "")
        assert done.err.startswith("mdevreg: USAGE: ")
    assert line.opened == []


def test_a_stream_that_two_drivers_may_have_written_asks_for_its_format(line: CommandLine, door: MemoryDoor) -> None:
    """mlx5 and virtio write the same record header: guessing would ask the wrong hosts."""
    record = (64).to_bytes(8, "little") + bytes(8) + bytes(64)
    done = line("targets", "--stream", "-", stdin=record)
    assert (done.code, done.out) == (2, "")
    assert "--format" in done.err
    assert line("targets", "--stream", "-", "--format", "virtio", stdin=record).code == 3


@pytest.mark.usefixtures("door")
def test_a_broken_stream_opens_no_door(line: CommandLine) -> None:
    """The file is looked at first."""
    done = line("targets", "--stream", str(STREAMS / "truncated.bin"))
    assert (done.code, done.err.startswith("mdevreg: STREAM_TRUNCATED: ")) == (2, True)
    assert line.opened == []
