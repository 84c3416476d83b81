"""``history``, ``diff`` and ``export`` as people type them."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from mdevreg import query
from support.command_line import CommandLine
from support.databases import sqlite_url
from support.door_fleet import fill
from support.registry import migrated


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The fleet of all doors, in SQLite."""
    url = sqlite_url(tmp_path_factory.mktemp("past"))
    with migrated(url) as engine:
        fill(engine)
    return url


@pytest.fixture
def past(line: CommandLine, database: str) -> CommandLine:
    """The command line over it."""
    line.door = lambda: query.open(database)
    return line


def test_history_of_a_driver_names_the_hosts(past: CommandLine) -> None:
    """By their names in the table; by id and name for programs."""
    done = past("history", "mtty", "--limit", "3")
    assert (done.code, done.err) == (0, "")
    assert [line.split()[2:6] for line in done.out.splitlines()[1:4]] == [
        ["beta", "driver", "mtty/mtty", "changed"],
        ["beta", "driver", "mtty/mtty", "changed"],
        ["beta", "driver", "mtty2/mtty", "appeared"],
    ]
    rows = list(csv.DictReader(io.StringIO(past("history", "mtty", "-o", "csv").out)))
    assert {"host": rows[-1]["host"], "hostname": rows[-1]["hostname"]} == {"host": "host-b", "hostname": "beta"}
    assert json.loads(past("history", "mtty", "-o", "json").out)["kind"] == "driver"


def test_history_of_a_rule_and_of_all_decisions(past: CommandLine) -> None:
    """They are on no host."""
    assert "while zeta is upgraded" in past("history", "r30").out
    assert len(past("history", "registry").out.splitlines()) == 6
    assert past("history", "mtty", "--kind", "rule").code == 2


def test_diff_exits_0_where_nothing_changed_and_1_where_something_did(past: CommandLine) -> None:
    """As diff(1) does, in every format."""
    same, other = ["diff", "--from", "seq:9", "--to", "seq:9"], ["diff", "--from", "seq:8", "--to", "seq:9"]
    for form in ("table", "json", "yaml", "csv"):
        assert past(*same, "-o", form).code == 0
        assert past(*other, "-o", form).code == 1
    assert past(*same).first == "nothing changed"
    assert past(*other).first == "1 host changed driver, 1 type changed minimum, 1 type changed stream version"
    assert json.loads(past(*same, "-o", "json").out)["changed"] is False


def test_diff_by_time_and_by_what_was_known(past: CommandLine) -> None:
    """Two times: as now known, or as known at a position; two positions: of now, or of a time."""
    times = ["--from", "2026-11-24T00:00:04Z", "--to", "2026-11-24T00:00:05Z"]
    assert "beta/mtty" in past("diff", *times).out
    assert "beta/mtty" not in past("diff", *times, "--known-at", "6").out
    assert "beta" in past("diff", "--from", "seq:6", "--to", "seq:11").out
    done = past("diff", "--from", "seq:5", "--to", "seq:11", "--as-of", "2026-11-24T00:00:01Z")
    assert done.out.splitlines()[-1].startswith("from 2026-11-24T00:00:01Z as known at 5 to ")
    assert done.first == "1 host came"


def test_diff_json_names_every_place(past: CommandLine) -> None:
    """The table counts what follows from something else; JSON and CSV have it."""
    argv = ["diff", "--from", "seq:0", "--to", "seq:27"]
    document = json.loads(past(*argv, "-o", "json").out)
    places = [place for group in document["groups"] for place in group.get("places", ())]
    rows = list(csv.DictReader(io.StringIO(past(*argv, "-o", "csv").out)))
    assert len(rows) == len(places) > 30
    table = past(*argv).out
    assert "not listed: " in table
    assert table.splitlines()[0] == "7 hosts came"


@pytest.mark.parametrize("wrong", ["seq:", "seq:-1", "seq:x", "yesterweek", "2126-01-01T00:00:00Z"])
def test_an_end_that_can_not_be_meant_is_refused(past: CommandLine, wrong: str) -> None:
    """Usage, exit 2, and what was expected."""
    for argv in (["diff", "--from", wrong], ["export", "x", "--to", wrong]):
        done = past(*argv)
        assert (done.code, done.out) == (2, "")
        assert wrong in done.err


def test_export_writes_checks_and_never_overwrites(past: CommandLine, tmp_path: Path) -> None:
    """The manifest is the document; a folder that is not empty stays as it is."""
    folder = str(tmp_path / "out")
    done = past("export", folder, "--from", "seq:3", "--to", "seq:9", "--format", "parquet", "--format", "jsonl")
    assert (done.code, done.err) == (0, "")
    assert done.first == f"exported 7 entries (positions 3 to 9) in 14 files to {folder}"
    checked = past("export", folder, "--check", "-o", "json")
    assert (checked.code, json.loads(checked.out)["whole"]) == (0, True)
    assert past("export", folder).err.startswith("mdevreg: EXPORT_EXISTS: ")
    (tmp_path / "out" / "log.jsonl").write_text("", encoding="utf-8")
    broken = past("export", folder, "--check")
    assert (broken.code, broken.first) == (1, "no: it is not as it was written")
    assert "log.jsonl has 0 bytes" in broken.out
    assert past("export", str(tmp_path / "none"), "--check").err.startswith("mdevreg: EXPORT_UNFINISHED: ")
    assert past("export", "x", "--as-of", "-1d").code == 2


def test_an_export_of_what_is_yet_to_come_is_refused(past: CommandLine, tmp_path: Path) -> None:
    """It would be another one each time; nothing is made."""
    for argv in (["--to", "seq:99"], ["--from", "seq:99"], ["--known-at", "99"]):
        done = past("export", str(tmp_path / "later"), *argv)
        assert (done.code, "position 99 is yet to come; the newest of the log is 31" in done.err) == (2, True)
    assert not (tmp_path / "later").exists()
