"""``mdevreg baseline``: kept, shown, checked, compared, ended."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
import yaml

from support.command_line import CommandLine
from support.memory_door import MemoryDoor
from support.small_fleet import small_fleet

GOLD = ["baseline", "create", "gold", "--author", "alice"]
FILE = """
[[classes]]
type = "mtty-*"
driver = { name = "mtty", srcversion = "SRC2" }
kernel_release = "6.12.0"
loads = "mtty [1, 2]"
"""


@pytest.fixture
def door(line: CommandLine) -> MemoryDoor:
    """One small fleet for all commands of a test."""
    door = small_fleet()
    line.door = lambda: door
    return door


@pytest.fixture
def file(tmp_path: Path) -> str:
    """A baseline in a file."""
    path = tmp_path / "gold.toml"
    path.write_text(FILE, encoding="utf-8")
    return str(path)


def test_a_host_makes_a_baseline_that_it_conforms_to(line: CommandLine, door: MemoryDoor) -> None:
    done = line(*GOLD, "--from-host", "alpha", "--message", "as measured")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        "kept: baseline gold@1 by alice, since 2026-11-24T10:00:00Z: 1 class",
        "why: as measured",
        "classes: mtty-1",
    ]
    assert [each.split(maxsplit=2) for each in line("baseline", "show", "gold").out.splitlines()[4:-1]] == [
        ["mtty-1", "driver", "mtty srcversion=SRC2"],
        ["mtty-1", "kernel_release", "6.12.0"],
        ["mtty-1", "saves", "mtty 2"],
        ["mtty-1", "loads", "mtty [1, 2]"],
    ]
    alone = line("baseline", "check", "gold", "--where", "host=alpha")
    assert (alone.code, alone.first) == (0, "gold@1: 0 of 1 host deviate")


def test_check_begins_with_the_answer(line: CommandLine, door: MemoryDoor, file: str) -> None:
    line(*GOLD, "--file", file)
    done = line("baseline", "check", "gold")
    lines = done.out.splitlines()
    assert (done.code, lines[0]) == (1, "gold@1: 2 of 4 hosts deviate; 1 unknown; 2 not concerned")
    shown = ("HOSTNAME", "PARENT", "TYPE", "WHAT", "EXPECTED", "FOUND", "SINCE")
    assert tuple(lines[1].split()) == shown
    cells = [each.split() for each in lines[2:]]
    assert cells[0][:4] == ["beta", "mtty", "mtty-1", "driver.srcversion"]
    assert ["delta", "-", "-", "unknown:", "HOST_STALE"] in [each[:5] for each in cells]
    assert max(map(len, lines)) <= 120


@pytest.mark.parametrize(
    ("where", "options", "code"),
    [("alpha", [], 0), ("beta", [], 1), ("delta", [], 3), ("delta", ["--stale-after", "9999"], 1), ("zeta", [], 3)],
)
def test_exit_codes(line: CommandLine, door: MemoryDoor, file: str, where: str, options: list[str], code: int) -> None:
    line(*GOLD, "--file", file)
    assert line("baseline", "check", "gold", "--where", f"host={where}", *options).code == code


def test_each_format_has_every_deviation(line: CommandLine, door: MemoryDoor, file: str) -> None:
    line(*GOLD, "--file", file)
    found = json.loads(line("baseline", "check", "gold", "-o", "json").out)
    assert (found["deviates"], found["unknown"], found["conforms"], found["uncovered"]) == (2, 1, 1, 2)
    assert yaml.safe_load(line("baseline", "check", "gold", "-o", "yaml").out) == found
    rows = list(csv.DictReader(io.StringIO(line("baseline", "check", "gold", "-o", "csv").out)))
    assert [(row["hostname"], row["what"], row["found"]) for row in rows if row["hostname"] == "beta"] == [
        ("beta", "driver.srcversion", "SRC3"),
        ("beta", "loads", "mtty [2, 3]"),
    ]
    assert "there are more: raise --limit" in line("baseline", "check", "gold", "--limit", "1").out


def test_most_hosts_make_a_baseline(line: CommandLine, door: MemoryDoor) -> None:
    """Of each type what most have."""
    done = line(*GOLD, "--where", "site=lab")
    assert (done.code, done.first) == (0, "kept: baseline gold@1 by alice, since 2026-11-24T10:00:00Z: 3 classes")


def test_versions_are_shown_compared_and_asked_for(line: CommandLine, door: MemoryDoor, file: str) -> None:
    line(*GOLD, "--from-host", "beta")
    assert line(*GOLD, "--file", file).first.startswith("kept: baseline gold@2")
    assert line(*GOLD, "--file", file).first.startswith("kept: baseline gold@2"), "the same again"
    shown = line("baseline", "show", "gold")
    assert shown.out.splitlines()[1] == "versions: 1, 2"
    assert line("baseline", "show", "gold@1").first.startswith("baseline gold@1 by alice")
    differ = line("baseline", "diff", "gold@1", "gold")
    assert (differ.code, differ.first) == (1, "gold@1 → gold@2: 7 differences")
    same = line("baseline", "diff", "gold@2", "gold")
    assert (same.code, same.first) == (0, "gold@2 → gold@2: no difference")
    document = json.loads(line("baseline", "diff", "gold@1", "gold", "-o", "json").out)
    assert {"key": "mtty-1", "what": "saves", "before": "mtty 3", "after": None} in document["differences"]


def test_what_show_prints_is_a_file_again(line: CommandLine, door: MemoryDoor, file: str, tmp_path: Path) -> None:
    line(*GOLD, "--file", file)
    shown = tmp_path / "shown.json"
    shown.write_text(line("baseline", "show", "gold", "-o", "json").out, encoding="utf-8")
    assert line(*GOLD, "--file", str(shown)).first.startswith("kept: baseline gold@1"), "nothing changed"
    piped = line("baseline", "create", "copy", "--file", "-", stdin=shown.read_bytes())
    assert piped.code == 0
    assert line("baseline", "diff", "copy", "gold").code == 0


def test_ended_ones_are_listed(line: CommandLine, door: MemoryDoor, file: str) -> None:
    line(*GOLD, "--file", file)
    line("baseline", "create", "other", "--from-host", "gamma")
    ended = line("baseline", "end", "other", "--reason", "too old", "--author", "bob")
    assert ended.first.startswith("ended: baseline other@1")
    assert "ended: 2026-11-24T10:00:00Z by bob: too old" in ended.out
    done = line("baseline", "list")
    assert done.first == "1 baseline, 1 ended"
    rows = list(csv.DictReader(io.StringIO(line("baseline", "list", "-o", "csv").out)))
    assert [(row["name"], row["state"], row["classes"]) for row in rows] == [
        ("gold", "standing", "1"),
        ("other", "ended", "1"),
    ]
    assert "this baseline ended at 2026-11-24T10:00:00Z" in line("baseline", "check", "other").first


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["create", "x"], "one of --from-host, --where and --file was expected"),
        (["create", "x", "--from-host", "alpha", "--where", "site=lab"], "one of --from-host, --where and --file"),
        (["create", "x", "--from-host", "nobody"], "no host is named 'nobody'"),
        (["create", "x", "--where", "site=nowhere"], "offer nothing that a baseline could be made of"),
        (["create", "x@1", "--from-host", "alpha"], "a baseline can't be kept so"),
        (["create", "x", "--file", "nowhere.toml"], "can't be read"),
        (["create", "x", "--file", "-"], "is no baseline"),
        (["show", "gold"], "no baseline is named 'gold'"),
        (["show", "a b"], "names no baseline; expected NAME, or NAME@VERSION"),
        (["check", "gold"], "no baseline is named 'gold'"),
        (["diff", "gold", "silver"], "no baseline is named 'gold'"),
        (["end", "gold"], "no baseline is named 'gold'"),
    ],
    ids=" ".join,
)
def test_what_can_not_be_meant_is_told(line: CommandLine, door: MemoryDoor, argv: list[str], said: str) -> None:
    done = line("baseline", *argv)
    assert (done.code, done.out) == (2, "")
    assert said in done.err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[classes]]\ntype = 3", "Expected `str | null`, got `int` - at `$.classes[0].type`"),
        ("[[classes]]\ntyp = 'x'", "unknown field `typ`"),
        ("[[classes]]\ntype = 'x'", "class x expects nothing"),
        ("[[classes]]\nloads = 'x'", "class 1 says not what it is of"),
        ("{", "is no baseline"),
        ("= 3", "is no baseline"),
    ],
)
def test_a_file_with_a_fault_is_told_with_its_place(
    line: CommandLine, door: MemoryDoor, tmp_path: Path, text: str, said: str
) -> None:
    file = tmp_path / "gold.toml"
    file.write_text(text, encoding="utf-8")
    done = line(*GOLD, "--file", str(file))
    assert done.code == 2
    assert said in done.err
