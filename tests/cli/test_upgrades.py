"""``drivers``, ``upgrades`` and ``upgrades stragglers`` as people type them."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import Any

import msgspec
import pytest
from msgspec import structs

from mdevreg import query
from mdevreg.claims import Learned
from mdevreg.cli.upgrade_words import (
    STRAGGLER_COLUMNS,
    change_of,
    effect_of,
    first_line,
    runs,
    standing_of,
    straggler_rows,
)
from mdevreg.distribution import Distribution
from mdevreg.facts import Drivers
from mdevreg.records import DriverBuild, ModuleFile
from mdevreg.stragglers import Straggler, Stragglers
from mdevreg.streams import Exact, Range
from mdevreg.support import NoSupport, StreamSupport
from mdevreg.trends import Trend
from mdevreg.upgrades import StreamEffect, UpgradePage
from mdevreg.versions import stated
from support.command_line import CommandLine
from support.databases import sqlite_url
from support.door_fleet import fill
from support.registry import migrated
from support.small_fleet import NOW

THEN = ("--as-of", "2026-11-24T00:00:07Z")


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The fleet of all doors, in SQLite."""
    url = sqlite_url(tmp_path_factory.mktemp("upgrades"))
    with migrated(url) as engine:
        fill(engine)
    return url


@pytest.fixture
def fleet(line: CommandLine, database: str) -> CommandLine:
    """The command line over it."""
    line.door = lambda: query.open(database)
    return line


def _rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_drivers_say_what_they_save_and_load(fleet: CommandLine) -> None:
    """In the table briefly, for programs whole; what was there before is there as it was."""
    done = fleet("drivers")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[0].split() == ["DRIVER", "KERNEL", "BUILD", "HOSTS", "PARENTS", "SAVES", "LOADS"]
    assert "mtty    -       3      1      1        mtty 3                      [2, 3]" in done.out
    rows = _rows(fleet("drivers", "-o", "csv").out)
    assert list(rows[0])[:8] == ["driver", "module", "kernel", "version", "srcversion", "build_id", "hosts", "parents"]
    assert {(row["version"], row["hosts"], row["loads"]) for row in rows} >= {("3", "1", "mtty [2, 3]")}
    document = json.loads(fleet("drivers", "-o", "json").out)
    assert msgspec.convert(document, Distribution).drivers
    assert msgspec.convert(document, Drivers).drivers


def test_drivers_by_group_and_scope(fleet: CommandLine) -> None:
    """The group is the first column."""
    done = fleet("drivers", "--by", "type", "--where", "host=eta", "--where", "host=beta")
    assert [each.split()[0] for each in done.out.splitlines()[:-1]] == ["TYPE", "mtty-1", "mtty-1", "mtty-2", "mtty-7"]
    assert {row["site"] for row in _rows(fleet("drivers", "--by", "site", "-o", "csv").out)} == {"lab"}


def test_a_trend_has_times_as_columns(fleet: CommandLine) -> None:
    """As many as there is room for; a spreadsheet has a row for each."""
    done = fleet("drivers", "--over", "7s", *THEN)
    assert done.first.startswith("3 driver builds on more or fewer hosts than before, from 2026-11-24T00:00:00Z to")
    assert done.out.splitlines()[1].split() == ["DRIVER", "BUILD", *(f"00:00:0{second}" for second in range(8))]
    two = next(each.split() for each in done.out.splitlines() if each.split()[1] == "2")
    assert two == ["mtty", "2", "0", "0", "6", "6", "6", "6", "7", "7"]
    rows = _rows(fleet("drivers", "--over", "7s", "--step", "1s", *THEN, "-o", "csv").out)
    assert len(rows) == 8 * 4
    assert rows[-1]["time"] == "2026-11-24T00:00:07Z"
    document = json.loads(fleet("drivers", "--over", "7s", *THEN, "-o", "json").out)
    assert msgspec.convert(document, Trend).step_s == 1
    assert document["as_of"] == "2026-11-24T00:00:07Z"


@pytest.mark.parametrize(
    ("over", "step", "label", "columns", "last"),
    [
        ("90d", "1d", r"\d\d-\d\d", 13, "11-24"),
        ("90d", None, r"\d\d-\d\d", 13, "11-24"),
        ("2d", None, r"\d\d \d\d:\d\d", 9, "24 00:00"),
        ("1h", "1m", r"\d\d:\d\d", 13, "00:00"),
        ("1m", "1s", r"\d\d:\d\d:\d\d", 9, "00:00:07"),
    ],
)
def test_a_trend_fits_a_table(
    fleet: CommandLine, over: str, step: str | None, label: str, columns: int, last: str
) -> None:
    """Labels tell times apart, and the last one is the moment."""
    more = ("--step", step) if step else ()
    header = fleet("drivers", "--over", over, *more, *THEN).out.splitlines()[1]
    labels = re.findall(rf"  ({label})(?=  |$)", header)
    assert (len(labels), labels[-1]) == (columns, last)
    assert len(set(labels)) == columns
    assert len(header) <= 120


def test_upgrades_are_listed_oldest_first(fleet: CommandLine) -> None:
    """With what each did; a roll-back is marked."""
    done = fleet("upgrades")
    assert (done.code, done.first) == (0, "2 upgrades on 1 host: 1 rolled back")
    up, back = done.out.splitlines()[2:4]
    assert up.split()[:6] == ["2026-11-24T00:00:04Z", "beta", "mtty", "3", "→", "4"]
    assert up.endswith("  3 → 4  [2, 3] → [3, 4]")
    assert "downgrade, rolled back" in back
    rows = _rows(fleet("upgrades", "-o", "csv").out)
    told = [(row["from_version"], row["to_version"], row["rolled_back"], row["positions"]) for row in rows]
    assert told == [("3", "4", "no", "9"), ("4", "3", "yes", "10")]
    document: dict[str, Any] = json.loads(fleet("upgrades", "--limit", "1", "-o", "json").out)
    page = msgspec.convert(document, UpgradePage)
    assert [upgrade.kind for upgrade in page.upgrades] == ["downgrade"]
    assert page.next is not None
    older = fleet("upgrades", "--limit", "1", "--cursor", page.next)
    assert "3 → 4" in older.out
    assert "older" not in older.out
    assert "there are older ones" in fleet("upgrades", "--limit", "1").out


def test_some_upgrades_and_none(fleet: CommandLine) -> None:
    """By host, driver, time, scope and moment."""
    assert fleet("upgrades", "--host", "alpha").first == "no driver was upgraded"
    assert fleet("upgrades", "--host", "beta", "--driver", "mtty").first.startswith("2 upgrades")
    assert fleet("upgrades", "--since", "2026-11-24T00:00:05Z").first.startswith("1 upgrade on 1 host")
    assert fleet("upgrades", "--until", "2026-11-24T00:00:05Z").first == "1 upgrade on 1 host"
    assert fleet("upgrades", "--where", "site=elsewhere").first == "no driver was upgraded"
    assert fleet("upgrades", "--as-of", "2026-11-24T00:00:04Z").first == "1 upgrade on 1 host"
    assert fleet("upgrades", "--known-at", "8").first == "no driver was upgraded"


def test_stragglers_exit_1_while_there_are_some(fleet: CommandLine) -> None:
    """Half done ones say how many of their parents are."""
    done = fleet("upgrades", "stragglers", "--driver", "mtty 2")
    assert (done.code, done.first) == (1, "2 of 7 hosts that have mtty: not yet at mtty 2")
    beta = next(each.split() for each in done.out.splitlines() if each.startswith("beta"))
    assert beta == ["beta", "lab", "2026-11-24T00:00:05Z", "3", "mtty", "1", "0", "0", "-"]
    assert "beta" not in fleet("upgrades", "stragglers", "--driver", "mtty 2", "--half").out
    rows = _rows(fleet("upgrades", "stragglers", "--driver", "mtty 2", "-o", "csv").out)
    assert [(row["hostname"], row["from_version"]) for row in rows] == [("beta", "3"), ("eta", "")]
    document = json.loads(fleet("upgrades", "stragglers", "--driver", "mtty 2", "-o", "json").out)
    assert msgspec.convert(document, Stragglers).behind == 2
    all_there = fleet("upgrades", "stragglers", "--driver", "mtty 2", "--where", "host=twin")
    assert (all_there.code, all_there.first) == (0, "all 2 hosts that have mtty are at mtty 2")
    nobody = fleet("upgrades", "stragglers", "--driver", "mtty 2", "--where", "site=elsewhere")
    assert (nobody.code, nobody.first) == (0, "no host there has mtty")


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["drivers", "--over", "soon"], "'soon' is no period; expected 90d"),
        (["drivers", "--over", "0d"], "'0d' is no period"),
        (["drivers", "--step", "1d"], "--step goes with --over"),
        (["drivers", "--over", "1d", "--by", "site"], "--by counts one moment"),
        (["drivers", "--over", "90d", "--step", "1s"], "at most 1000"),
        (["drivers", "--where", "device=x"], "'device' is no key of a driver's distribution"),
        (["upgrades", "--host", "bata"], "beta"),
        (["upgrades", "--driver", "mtyt"], "no driver is named 'mtyt'; the nearest known: mtty"),
        (["upgrades", "--cursor", "x"], "was not made by this registry"),
        (["upgrades", "--since", "+1d"], "is no time"),
        (["upgrades", "stragglers", "--driver", "mtty"], "names no driver build"),
        (["upgrades", "stragglers", "--driver", "mtyt 2"], "no driver is named 'mtyt'"),
    ],
)
def test_what_can_not_be_meant_is_told(fleet: CommandLine, argv: list[str], told: str) -> None:
    """With the way out."""
    done = fleet(*argv)
    assert (done.code, done.out) == (2, "")
    assert told in done.err


def test_what_is_half_done_is_told() -> None:
    """How many hosts only have to load it."""
    half = Straggler("h", "hv", (DriverBuild(name="x"),), NOW, ("p",), half=1, on_disk=(ModuleFile(version="2"),))
    found = Stragglers(1, "x 2", 3, 2, (half, structs.replace(half, half=0)))
    assert standing_of(found) == "2 of 3 hosts that have x: not yet at x 2; on 1 host it is on disk, and not loaded"
    (row,) = straggler_rows(half)
    assert dict(zip(STRAGGLER_COLUMNS, row, strict=True))["on_disk"] == "2"


def test_builds_and_effects_in_words() -> None:
    """Short where there is no more to say; the kernel is told beside the version."""
    one = DriverBuild(name="x", kernel_release="6.8", version="1", srcversion="0123456789ABCDEF")
    other = DriverBuild(name="x", kernel_release="6.9", version="2", srcversion="F123456789ABCDEF")
    assert change_of(one, other) == "1 → 2, kernel 6.8 → 6.9"
    rebuilt = msgspec.structs.replace(one, srcversion="FF")
    assert change_of(one, rebuilt, short=True) == "srcversion 01234567… → FF"
    assert change_of(one, rebuilt) == "srcversion 0123456789ABCDEF → FF"
    assert [runs(one), runs(DriverBuild(name="x"))] == ["1 on 6.8", "of no known version"]
    learned = Learned("sysfs", "version")
    before = StreamSupport("x", Exact(stated("1")), Exact(stated("1")), learned)
    after = msgspec.structs.replace(before, loads=Range(stated("1"), stated("2")))
    assert effect_of(StreamEffect(("t",), 1, before, after)) == "x saves 1, loads 1 → [1, 2]"
    assert effect_of(StreamEffect(("t", "u"), 1, before, None)) == "t u gone"
    assert effect_of(StreamEffect(("t",), 1, None, after)) == "t new"
    unknown = NoSupport("nothing_stated")
    assert effect_of(StreamEffect(("t",), 1, before, unknown)) == "x saves 1 → not known, loads 1 → not known"
    assert first_line(()) == "no driver was upgraded"
