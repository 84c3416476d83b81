"""``mdevreg blame``: since when, and by what; every format."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from msgspec import structs

from mdevreg import query
from mdevreg.rules import Rule
from support.command_line import CommandLine
from support.databases import sqlite_url
from support.hosts import look, mtty, uuid_of
from support.publisher import EPOCH_START, Publisher
from support.registry import Desk, migrated
from support.small_fleet import NOW

DENY = Rule(id="draft", effect="deny", author="alice", message="beta burns", valid_from=EPOCH_START)


@pytest.fixture
def asked(line: CommandLine, tmp_path: Path) -> CommandLine:
    """A command line over a database in which beta's driver was changed, and a rule made."""
    url = sqlite_url(tmp_path)
    with migrated(url) as engine:
        desk, beta = Desk(engine), Publisher("host-b")
        desk.take(*Publisher("host-a").snapshot(look(mtty(version="3", minimum="2", devices=[1]), hostname="alpha")))
        desk.take(*beta.snapshot(look(mtty(version="4", minimum="4"), hostname="beta")))
        desk.take(*beta.changes(look(mtty(version="4", minimum="2"), hostname="beta")))
        desk.stream.last_seq += 5
        desk.book.add_rule(structs.replace(DENY, valid_until=NOW.replace(year=2090)))
    line.door = lambda: query.open(url)
    return line


def test_the_first_line_says_since_when_and_the_next_ones_by_what(asked: CommandLine) -> None:
    """Exit codes as of can-migrate."""
    done = asked("blame", uuid_of(1), "--to", "beta", "--limit", "5")
    lines = done.out.splitlines()
    assert done.code == 1
    assert lines[0].startswith("no since 2026-11-24T01:00:")
    assert lines[0].endswith(f": {uuid_of(1)} to beta")
    assert any("by: entry 8 (rule) by alice" in each for each in lines)
    assert any("target loads: mtty [4, 4] → mtty [2, 4]" in each for each in lines)
    assert any(each.strip().startswith("- STREAM_VERSION_TOO_OLD") for each in lines)
    assert "snapshot: " in lines[-1]


def test_json_has_the_entries_whole_and_csv_a_row_each(asked: CommandLine) -> None:
    """For programs."""
    told = json.loads(asked("blame", uuid_of(1), "--to", "beta", "--limit", "3", "-o", "json").out)
    assert told["answer"] == "no"
    assert told["turns"][0]["point"]["cause"] == "rule"
    assert told["turns"][1]["entry"]["body"]["host"] == "host-b"
    rows = asked("blame", uuid_of(1), "--to", "beta", "--limit", "3", "-o", "csv").out.splitlines()
    assert len(rows) == 1 + len(told["turns"])


def test_bad_input_is_refused(asked: CommandLine) -> None:
    """An unknown host, no host, and no limit that can be meant."""
    assert "no host is named 'gamma'" in asked("blame", uuid_of(1), "--to", "gamma").err
    assert asked("blame", uuid_of(1)).code == 2
    assert asked("blame", uuid_of(1), "--to", "beta", "--limit", "0").code == 2
