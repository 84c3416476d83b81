"""Exports: whole or not there, the same bytes each time, in memory that does not grow; found when damaged."""

from __future__ import annotations

import json
import sys
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from msgspec import structs
from pyarrow import parquet

from mdevreg import query
from mdevreg.errors import DecodeError, MissingExtraError, StateError, UnreachableError, UsageError
from mdevreg.export.columns import LOG, TABLES
from mdevreg.export.folder import Period, export, faults_of
from mdevreg.export.manifest import NAME, Manifest, decoded, encoded
from mdevreg.logged import LogAsked, LogPage
from mdevreg.query.log import log_pages, whole_entries
from mdevreg.records import MdevType, Parent
from mdevreg_server.sql_door import SqlDoor
from mdevreg_server.tables import RecordLog
from support.databases import sqlite_url
from support.door_fleet import fill, records_of
from support.hosts import look, mtty, random_text
from support.nats_server import StartBroker
from support.publisher import Publisher
from support.registry import Desk, Stream, migrated
from support.serving import serving

MADE = datetime(2026, 11, 27, tzinfo=UTC)
BOTH = ("jsonl", "parquet")
EVER = Period()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[sa.Engine]:
    with migrated(sqlite_url(tmp_path)) as engine:
        fill(engine)
        yield engine


@pytest.fixture
def door(engine: sa.Engine) -> SqlDoor:
    return SqlDoor(engine)


def made(door: Any, folder: Path, period: Period = EVER, *formats: Any) -> Manifest:
    return export(door, period, folder, formats or BOTH, registry="sqlite:///x", now=MADE)


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def lines_of(folder: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / f"{name}.jsonl").read_bytes().splitlines()]


def test_parquet_and_json_lines_say_the_same(door: SqlDoor, tmp_path: Path) -> None:
    """Every column of every table; times in µs UTC, nothing where it is until further notice."""
    made(door, tmp_path / "x")
    for table in (LOG, *TABLES.values()):
        arrow = parquet.read_table(tmp_path / "x" / f"{table.name}.parquet")
        assert arrow.column_names == [column.name for column in table.columns]
        rows = [{k: _plain(v) for k, v in row.items()} for row in arrow.to_pylist()]
        assert rows == [{k: _plain(v) for k, v in row.items()} for row in lines_of(tmp_path / "x", table.name)]
        assert rows
        times = [arrow.schema.field(column.name).type for column in table.columns if column.kind == "time"]
        assert {str(time) for time in times} <= {"timestamp[us, tz=UTC]"}
    drivers = lines_of(tmp_path / "x", "drivers")
    assert {row["valid_to"] for row in drivers if row["ended_at_position"] is None} == {None}
    assert [line["body"].encode() for line in lines_of(tmp_path / "x", "log")[: len(records_of())]] == records_of()


def _plain(value: Any) -> Any:
    if isinstance(value, str) and value.endswith("Z") and value[4:5] == "-":
        return datetime.fromisoformat(value)
    return value


def test_the_same_period_is_the_same_bytes_whatever_came_after(engine: sa.Engine, tmp_path: Path) -> None:
    """New records, late ones that correct the past, and rules change nothing of a period that is over."""
    door, desk = SqlDoor(engine), Desk(engine, Stream(delay_s=4 * 3_600))
    late = Publisher("host-l")
    records = late.snapshot(look(mtty(devices=[1]), hostname="late")) + late.changes(look(mtty(), hostname="late"))
    desk.take(records[0], records[-1])
    newest = desk.ledger.position
    with engine.connect() as connection:
        until = connection.scalar(sa.select(sa.func.max(RecordLog.committed_at_us)))
    periods = [Period(last=newest), Period(first=4, last=12), Period(until=_time(until) + timedelta(microseconds=1))]
    for number, period in enumerate(periods):
        made(door, tmp_path / f"before-{number}", period)
    desk.take(*records[1:-1])
    desk.take(*Publisher("host-m").snapshot(look(mtty(version="7"), hostname="new")))
    for number, period in enumerate(periods):
        made(door, tmp_path / f"after-{number}", period)
        assert bytes_of(tmp_path / f"after-{number}") == bytes_of(tmp_path / f"before-{number}"), period
    assert bytes_of(tmp_path / "after-0") != bytes_of(tmp_path / "after-1")
    made(door, tmp_path / "now")
    assert bytes_of(tmp_path / "now")["devices.jsonl"] != bytes_of(tmp_path / "after-0")["devices.jsonl"]


def _time(us: int | None) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us or 0)


def test_timelines_of_a_period_are_those_that_were_true_or_believed_in_it(door: SqlDoor, tmp_path: Path) -> None:
    """By times what was true, by positions what was believed; and only the profiles that are referred to."""
    made(door, tmp_path / "positions", Period(first=9, last=10), "jsonl")
    offers = [row for row in lines_of(tmp_path / "positions", "offers") if row["host"] == "host-b"]
    assert [row["system_from_position"] for row in offers] == [7, 9, 10]
    digests = {row["digest"] for row in lines_of(tmp_path / "positions", "profiles")}
    rows = lines_of(tmp_path / "positions", "offers") + lines_of(tmp_path / "positions", "devices")
    assert digests == {row["profile"] for row in rows}
    made(door, tmp_path / "known", Period(first=9, last=10, known_at=8), "jsonl")
    assert [row["valid_to"] for row in lines_of(tmp_path / "known", "offers") if row["host"] == "host-b"] == [None]


def test_an_empty_period_is_an_export_too(door: SqlDoor, tmp_path: Path) -> None:
    """No entries, and every file."""
    manifest = made(door, tmp_path / "x", Period(since=MADE + timedelta(days=365)))
    assert manifest.first_position == manifest.last_position + 1
    assert [file.rows for file in manifest.files if file.table == "log"] == [0, 0]
    assert len(manifest.files) == 14
    assert faults_of(tmp_path / "x")[1] == ()


@pytest.mark.parametrize(
    ("period", "code"),
    [
        (Period(until=MADE - timedelta(days=365)), "BEFORE_HISTORY"),
        (Period(since=MADE, until=MADE - timedelta(days=1)), "USAGE"),
        (Period(first=9, last=4), "USAGE"),
    ],
)
def test_a_period_before_the_log_or_backwards_is_refused(
    door: SqlDoor, tmp_path: Path, period: Period, code: str
) -> None:
    """And no folder is left."""
    with pytest.raises(UsageError) as caught:
        made(door, tmp_path / "x", period)
    assert caught.value.code == code
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("harm", "fault"),
    [
        (lambda folder: (folder / "hosts.jsonl").unlink(), "hosts.jsonl can't be read"),
        (lambda folder: _flip(folder / "log.parquet"), "log.parquet has the SHA-256"),
        (lambda folder: (folder / "log.jsonl").open("ab").write(b"x"), "log.jsonl has"),
        (lambda folder: (folder / "more.txt").write_text("x"), "more.txt is no file of this export"),
    ],
)
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_any_damage_is_found_and_named(door: SqlDoor, tmp_path: Path, harm: Any, fault: str) -> None:
    """Gone, changed by one bit, longer, added."""
    made(door, tmp_path / "x")
    harm(tmp_path / "x")
    (told,) = faults_of(tmp_path / "x")[1]
    assert told.startswith(fault)


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def test_an_export_that_was_cut_off_has_no_manifest_and_is_not_overwritten(door: SqlDoor, tmp_path: Path) -> None:
    """The registry goes away in the middle: what is there says that it is unfinished."""
    asked = []

    class Failing(SqlDoor):
        def timelines(self, *_: Any) -> Any:
            asked.append(1)
            raise UnreachableError("gone")

    failing = Failing(door.engine)
    with pytest.raises(UnreachableError):
        made(failing, tmp_path / "x")
    assert asked
    with pytest.raises(StateError) as caught:
        faults_of(tmp_path / "x")
    assert caught.value.code == "EXPORT_UNFINISHED"
    before = bytes_of(tmp_path / "x")
    with pytest.raises(StateError, match="remove this one") as caught:
        made(door, tmp_path / "x")
    assert (caught.value.code, bytes_of(tmp_path / "x")) == ("EXPORT_EXISTS", before)


def test_parquet_without_its_library_names_the_extra_and_makes_nothing(
    door: SqlDoor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """JSON lines need nothing."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'mdevreg\[parquet\]'"):
        made(door, tmp_path / "x")
    assert not (tmp_path / "x").exists()
    assert made(door, tmp_path / "x", EVER, "jsonl").files


def test_a_manifest_of_another_layout_is_refused(door: SqlDoor, tmp_path: Path) -> None:
    """A newer minor is read, a newer major is not; nonsense is told as such."""
    manifest = made(door, tmp_path / "x", EVER, "jsonl")
    assert decoded(encoded(structs.replace(manifest, format="mdevreg-export/1.7"))).files == manifest.files
    for data in (encoded(structs.replace(manifest, format="mdevreg-export/2.0")), b"{}", b"\xff"):
        (tmp_path / "x" / NAME).write_bytes(data)
        with pytest.raises(DecodeError) as caught:
            faults_of(tmp_path / "x")
        assert caught.value.code == "MANIFEST"


def test_memory_does_not_grow_with_the_period(tmp_path: Path) -> None:
    """Pages and row groups are what is held: twice as much of the log takes no more."""
    with migrated(sqlite_url(tmp_path)) as engine:
        desk, publisher = Desk(engine), Publisher()
        desk.take(*publisher.snapshot(look(mtty())))
        for number in range(4):
            desk.take(*publisher.changes(look(*(large(f"mtty{n}", 10 * number + n) for n in range(10)))))
        newest, door = desk.ledger.position, SqlDoor(engine)
        peaks = [_peak(door, tmp_path / str(last), Period(last=last)) for last in (newest // 2, newest)]
        assert (tmp_path / str(newest) / "log.jsonl").stat().st_size > 10_000_000
        assert peaks[1] < 1.2 * peaks[0] < 6_000_000


def _peak(door: SqlDoor, folder: Path, period: Period) -> int:
    tracemalloc.start()
    made(door, folder, period, "jsonl")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def large(name: str, seed: int) -> Parent:
    """A parent whose record has 300,000 bytes."""
    kinds = tuple(MdevType(id=f"mtty-{n}", description=random_text(4_000, 100 * seed + n)) for n in range(75))
    return structs.replace(mtty(name), types=kinds)


def test_entries_larger_than_a_message_come_in_parts(tmp_path: Path, start_broker: StartBroker) -> None:
    """A broker that takes little; a record that is larger than all it takes; the catalog's amendment too."""
    url, broker = sqlite_url(tmp_path), start_broker(max_payload=64 * 1024)
    with migrated(url) as engine:
        fill(engine)
        Desk(engine).take(*Publisher("large").snapshot(look(large("mtty", 1))))
        with SqlDoor(engine) as door:
            expected = list(whole_entries(log_pages(door, LogAsked())))
    assert max(entry.bytes for entry in expected) > 4 * 64 * 1024
    with serving(url, broker.url), query.open(broker.url) as door:
        pages: list[LogPage] = list(log_pages(door, LogAsked()))
    assert len(pages) > 10
    assert list(whole_entries(iter(pages))) == expected
