"""``mdevreg eval``: recorded hosts, scanned by the agent, judged without a registry."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from mdevreg.facts import Moment
from mdevreg.query.questions import Answer, Evaluation, can_migrate
from mdevreg.records import Device
from mdevreg.shipped import shipped_entries
from mdevreg_agent.scan import as_json
from support.command_line import CommandLine
from support.looking import look
from support.memory_door import MemoryDoor, MemoryHost
from support.processes import RunCli
from support.small_fleet import NOW, UUID, host, mtty, other_parent, recorded_mtty
from support.sysfs_tree import HOSTS, build

ENTRY = """
[[entry]]
id = "ours"
drivers = ["mtty"]
source = "our lab"
date = 2026-11-24
confidence = "measured"
builds = [{ srcversion = "SRCNone" }]
format = "mtty"
scheme = "dotted"
saves = "1.0"
loads = "1.0"
"""
Write = Callable[..., str]


@pytest.fixture
def recorded(tmp_path: Path) -> Callable[[str], str]:
    """What the agent prints of a recorded or hand-made host, as a file."""

    def scan(name: str) -> str:
        tree = HOSTS / f"{name}.tree"
        picture = look(build(tmp_path / tree.stem, tree.with_name("host.tree"), tree))
        file = tmp_path / f"{tree.stem}.json"
        file.write_text(as_json(picture), encoding="utf-8")
        return str(file)

    return scan


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """A host of the small fleet as a scan would print it."""

    def scan(each: MemoryHost, **beside: Any) -> str:
        state = each.states[-1]
        file = tmp_path / f"{each.id}.json"
        whole = {"schema": "1.1", "facts": state.facts, "parents": state.parents, **beside}
        file.write_bytes(msgspec.json.encode(whole))
        return str(file)

    return scan


def test_every_type_of_a_recorded_host_is_judged(line: CommandLine, recorded: Callable[[str], str]) -> None:
    """Debian's 6.12.117, the three sample drivers: mtty migrates, the others have no migration at all."""
    here, there = recorded("udev-6.12/14-bind"), recorded("udev-6.12/37-vfio-info")
    done = line("eval", "--from", here, "--to", there)
    assert (done.code, done.err) == (0, "")
    assert done.first == "yes: of 8 types that captured offers, at captured: 2 compatible, 6 incompatible"
    rows = [row.split()[:3] for row in done.out.splitlines()[2:-1]]
    assert rows[:2] == [["yes", "mtty-1", "mtty"], ["yes", "mtty-2", "mtty"]]
    assert {row[0] for row in rows[2:]} == {"no"}
    assert line.opened == []


@pytest.mark.parametrize(
    ("name", "code", "first"),
    [("made/i915-gvt", 1, "no: "), ("made/qat-vfs", 3, "unknown: "), ("udev-6.12/55-rmmod-mbochs", 1, "no: ")],
)
def test_the_exit_code_is_the_answer_to_all_types(
    line: CommandLine, recorded: Callable[[str], str], name: str, code: int, first: str
) -> None:
    """Nothing that migrates, nothing that is known, nothing at all."""
    file = recorded(name)
    done = line("eval", "--from", file, "--to", file)
    assert (done.code, done.first.startswith(first)) == (code, True)
    assert json.loads(line("eval", "--from", file, "--to", file, "-o", "json").out)["answer"] == first.rstrip(": ")


def test_one_device_gets_every_reason(line: CommandLine, write: Write) -> None:
    """By uuid, or as a type; the lines are those of can-migrate, and the last says how old the files are."""
    device = Device(name=UUID, type="mtty-2")
    here, there = write(host("alpha", recorded_mtty(devices=(device,)))), write(host("beta", recorded_mtty()))
    done = line("eval", "--from", here, "--to", there, "--device", UUID)
    assert (done.code, done.first) == (0, f"yes: {UUID} (mtty-2 on alpha) can migrate to beta/mtty")
    lines = done.out.splitlines()
    assert "negotiated: 1.0" in lines
    assert "capacity: 3 free then on beta/mtty" in lines
    assert lines[-1].startswith(f"facts: as of the scans ({here} written ")
    assert lines[-1].endswith(" shipped entries, 0 of yours")
    done = line("eval", "--from", here, "--to", there, "--device", "mtty/mtty-1", "--to-parent", "mtty/mtty-2")
    assert (done.code, "TYPE_DIFFERS" in done.out) == (1, True)
    done = line("eval", "--from", here, "--to", there, "--device", UUID[:-1])
    assert (done.code, UUID in done.err) == (2, True)
    assert "the nearest known: mtty" in line("eval", "--from", here, "--to", there, "--to-parent", "mtyt").err


@pytest.mark.parametrize("there", ["beta", "gamma", "delta", "epsilon", "silent"])
def test_the_verdict_is_that_of_a_registry_with_the_same_facts(line: CommandLine, write: Write, there: str) -> None:
    """Every reason, the way back, the negotiated version; asked of the past, since no scan says that it still holds."""
    hosts = {
        "alpha": host("alpha", mtty("2", "1"), recorded_mtty(), other_parent("x-1")),
        "beta": host("beta", mtty("3", "2")),
        "gamma": host("gamma", recorded_mtty(free=0), other_parent("x-1")),
        "delta": host("delta", mtty(None)),
        "epsilon": host("epsilon"),
        "silent": host("silent", mtty("1"), seen_s=100_000.0),
    }
    door = MemoryDoor(hosts.values())
    door.believe("shipped", shipped_entries())
    moment = Moment(as_of=NOW)
    for device in ("mtty/mtty-1", "mdpy/x-1"):
        expected = can_migrate(door, f"alpha/{device}", there, now=NOW, moment=moment)
        argv = ["eval", "--from", write(hosts["alpha"]), "--to", write(hosts[there]), "--device", device, "-o", "json"]
        found = msgspec.json.decode(line(*argv).out, type=Answer)
        assert found.verdict == expected.verdict
        assert (found.way_back, found.target_parent) == (expected.way_back, expected.target_parent)
        assert (found.facts_age_s, found.reliable_until) == (None, None)


def test_entries_of_the_operator_are_added_and_win(line: CommandLine, write: Write, tmp_path: Path) -> None:
    """A build that nobody knows becomes known by --catalog, for this question only."""
    here, there = write(host("alpha", mtty(None))), write(host("beta", mtty(None)))
    folder = tmp_path / "ours"
    folder.mkdir()
    (folder / "mtty.toml").write_text(ENTRY, encoding="utf-8")
    assert line("eval", "--from", here, "--to", there).code == 3
    done = line("eval", "--from", here, "--to", there, "--device", "mtty/mtty-1", "--catalog", str(folder))
    assert done.code == 0
    assert "learned from operator ours (measured)" in done.out
    assert done.out.rstrip().endswith(", 1 of yours")


def test_faults_in_catalog_files_are_told_by_file_and_line(line: CommandLine, write: Write, tmp_path: Path) -> None:
    """All of them, each on a line of its own; nothing is judged with half a catalog."""
    here, folder = write(host("alpha", mtty("1"))), tmp_path / "ours"
    folder.mkdir()
    argv = ["eval", "--from", here, "--to", here, "--catalog", str(folder)]
    assert "holds 0 *.toml files" in line(*argv).err
    assert "can't be read" in line(*argv[:-1], str(tmp_path / "none")).err
    (folder / "a.toml").write_text(ENTRY, encoding="utf-8")
    (folder / "b.toml").write_text(ENTRY + 'surprise = "x"\n', encoding="utf-8")
    (folder / "c.toml").write_bytes(b"\xff")
    (folder / "d.toml").write_text(ENTRY, encoding="utf-8")
    done = line(*argv)
    assert (done.code, done.out) == (2, "")
    told = done.err.splitlines()
    assert told[0] == "mdevreg: CATALOG: 3 faults"
    assert [row.partition(": ")[0].removeprefix(f"{folder}/") for row in told[1:]] == [
        "b.toml:13",
        "c.toml:1",
        "d.toml:3",
    ]


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("", "DECODE", "expected the output of: mdevreg-agent scan -o json"),
        ("[]", "DECODE", "Expected `object`"),
        ('{"facts": {}}', "DECODE", "required field"),
        ('{"facts": {}, "parents": []}', "DECODE", "$.facts"),
        ('{"facts": {"hostname": "a"}, "parents": [{}]}', "DECODE", "$.parents[0]"),
        ('{"schema": "2.0", "facts": {"hostname": "a"}, "parents": []}', "SCHEMA_VERSION", "upgrade"),
        ('{"facts": {"hostname": "a\\u001b"}, "parents": []}', "CONTROL_CHARACTER", "$.facts.hostname"),
        ('{"facts": {"hostname": "a"}, "parents": [{"path": "/x", "name": "\\u0007"}]}', "CONTROL", "[0].name"),
        ("[" * 100_000, "DECODE", "stdin"),
    ],
)
def test_what_is_no_scan_is_refused_with_its_place(
    line: CommandLine, write: Write, text: str, code: str, said: str
) -> None:
    """Never a traceback; the path of the fault where there is one."""
    done = line("eval", "--from", "-", "--to", write(host("beta")), stdin=text.encode())
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"mdevreg: {code}")
    assert said in done.err
    assert len(done.err.splitlines()) == 1


def test_older_agents_and_newer_minors_are_read(line: CommandLine, write: Write, tmp_path: Path) -> None:
    """The first agents wrote no schema; what a newer minor adds is ignored."""
    beta = write(host("beta", mtty("2", "1")))
    old = tmp_path / "old.json"
    whole = json.loads(Path(beta).read_text(encoding="utf-8"))
    del whole["schema"]
    old.write_text(json.dumps(whole), encoding="utf-8")
    newer = write(host("alpha", mtty("2", "1")), schema="1.9", novelty={"a": 1})
    assert line("eval", "--from", str(old), "--to", beta).code == line("eval", "--from", newer, "--to", beta).code == 0


def test_only_one_side_may_be_stdin(line: CommandLine) -> None:
    """There is only one."""
    assert line("eval", "--from", "-", "--to", "-").err.startswith("mdevreg: USAGE: both --from and --to are stdin")
    assert "expected a file" in line("eval", "--from", "/nowhere/a.json", "--to", "-").err


def test_programs_get_the_structs_of_the_library(line: CommandLine, write: Write) -> None:
    """``Evaluation`` for all types, ``Answer`` for one; CSV has a row each."""
    here, there = write(host("alpha", mtty("2", "1"), other_parent("x-1"))), write(host("beta", mtty("2", "1")))
    argv = ["eval", "--from", here, "--to", there]
    found = msgspec.json.decode(line(*argv, "-o", "json").out, type=Evaluation)
    assert found.counts == {"compatible": 1, "incompatible": 1, "unknown": 0}
    rows = list(csv.DictReader(io.StringIO(line(*argv, "-o", "csv").out)))
    assert [(row["answer"], row["type"], row["target_hostname"]) for row in rows] == [
        ("yes", "mtty-1", "beta"),
        ("no", "x-1", "beta"),
    ]


def test_many_parents_with_one_type_and_build_are_one_line(line: CommandLine, write: Write) -> None:
    """A card with 64 VFs offers its types 64 times; another build of the same type is another line."""
    named = [msgspec.structs.replace(mtty("2", "1"), path=f"/devices/{n}", name=f"mtty{n}") for n in range(4)]
    odd = msgspec.structs.replace(mtty("3", "1"), path="/devices/odd", name="odd")
    here = write(host("alpha", *named, odd))
    found = json.loads(line("eval", "--from", here, "--to", here, "-o", "json").out)
    assert [answer["source"]["parent"] for answer in found["answers"]] == ["mtty0", "odd"]
    assert [answer["target_parent"] for answer in found["answers"]] == ["mtty0", "odd"]


def test_from_agent_to_verdict_as_processes(run_cli: RunCli, tmp_path: Path, home: Path) -> None:
    """What the agent prints is what eval reads."""
    tree = HOSTS / "udev-6.12/14-bind.tree"
    root = build(tmp_path, tree.with_name("host.tree"), tree)
    scanned = run_cli(["mdevreg-agent", "scan", "--no-nvml", "--root", str(root), "-o", "json"])
    assert scanned.returncode == 0
    (home / "a.json").write_text(scanned.stdout, encoding="utf-8")
    command = ["mdevreg", "eval", "--from", "a.json", "--to", "-", "--device", "mtty/mtty-1"]
    done = run_cli(command, stdin=scanned.stdout)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("yes: captured/mtty/mtty-1 can migrate to captured/mtty\n")


def test_the_age_of_the_files_is_told(line: CommandLine, write: Write) -> None:
    """When a file was written is all that is known of a scan's age."""
    here = write(host("alpha", mtty("1")))
    then = (NOW - timedelta(hours=2)).timestamp()
    os.utime(here, (then, then))
    assert f"({here} written 2 h ago, {here} written 2 h ago)" in line("eval", "--from", here, "--to", here).out
