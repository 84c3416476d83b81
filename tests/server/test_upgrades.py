"""Upgrades of many lives from SQL: as looking at every state finds them, page by page, and by which rows are read."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from msgspec import structs

from mdevreg.distribution import GROUPS, DistributionAsked
from mdevreg.errors import NotFoundError
from mdevreg.facts import NOW, Moment
from mdevreg.query.tracking import straggler_pages, upgrade_pages
from mdevreg.records import ModuleFile
from mdevreg.rules import Scope
from mdevreg.stragglers import StragglersAsked
from mdevreg.times import moment_of
from mdevreg.trends import TrendAsked
from mdevreg.upgrades import Gap, Upgrade, UpgradesAsked
from mdevreg.wanted import wanted_in
from mdevreg_server import upgrade_pages as pages
from mdevreg_server.engine import open_engine
from mdevreg_server.sql_door import SqlDoor
from support.door_fleet import states_told
from support.hosts import look, mtty, some_life, told
from support.memory_door import MemoryDoor, MemoryHost
from support.publisher import EPOCH_START, Publisher
from support.registry import Desk

HOSTS = 7
MOMENTS = [NOW, *(Moment(EPOCH_START + timedelta(seconds=second)) for second in (4, 11, 40)), Moment(known_at=60)]


@pytest.fixture
def doors(engine: sa.Engine) -> Iterator[tuple[SqlDoor, MemoryDoor]]:
    """Hosts whose parents come, change, go and come back, told twice."""
    chance = random.Random(6)
    records = [r for number in range(HOSTS) for r in told(Publisher(f"host-{number}"), some_life(chance, looks=9))]
    desk = Desk(engine)
    for first in range(0, len(records), 20):
        desk.take(*records[first : first + 20])
    clock = lambda: moment_of(desk.now_us)  # noqa: E731
    memory = MemoryDoor([MemoryHost(host, tuple(states)) for host, states in states_told(records).items()], clock=clock)
    with SqlDoor(open_engine(str(engine.url.render_as_string(hide_password=False)), writer=False), clock) as door:
        yield door, memory


def _order(upgrade: Upgrade) -> tuple[Any, ...]:
    return (upgrade.last_at, upgrade.first_at, upgrade.host, repr(upgrade.before), repr(upgrade.after))


def _all(door: SqlDoor, asked: UpgradesAsked) -> list[Upgrade]:
    return [upgrade for page in upgrade_pages(door, asked) for upgrade in reversed(page.upgrades)][::-1]


@pytest.mark.parametrize(("limit", "few"), [(1, 2), (3, 2), (3, 0), (1_000, 1_000)])
def test_upgrades_are_found_whatever_the_page(
    doors: tuple[SqlDoor, MemoryDoor], limit: int, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In order of time, none twice and none left out, although few rows are looked at first, or few hosts alone."""
    monkeypatch.setattr(pages, "_RUNS_EACH", 1)
    monkeypatch.setattr(pages, "FEW", few)
    door, memory = doors
    for moment in MOMENTS:
        for asked in (
            UpgradesAsked(moment=moment),
            UpgradesAsked(moment=moment, driver="mtty", since=EPOCH_START + timedelta(seconds=6)),
            UpgradesAsked(moment=moment, until=EPOCH_START + timedelta(seconds=20), where=Scope(parent=("mtty2",))),
            UpgradesAsked(moment=moment, where=Scope(host=("host-1", "host-3"), type=("mtty-*",))),
            UpgradesAsked(moment=moment, where=Scope(host=("host-[1-5]",), site=("lab",), version=("2",))),
            UpgradesAsked(moment=moment, where=Scope(type=("other",))),
        ):
            expected = memory.upgrades(structs.replace(asked, limit=1_000)).upgrades
            found = _all(door, structs.replace(asked, limit=limit))
            assert found == sorted(expected, key=_order)
    assert len(memory.upgrades(UpgradesAsked()).upgrades) > 15, "or nothing was tried"


def test_a_moment_has_its_distribution_stragglers_and_trend(doors: tuple[SqlDoor, MemoryDoor]) -> None:
    """Of lives with gaps: what was, as it was known."""
    door, memory = doors
    for moment in MOMENTS:
        for by in (None, *GROUPS):
            counted = DistributionAsked(by, moment=moment)
            assert door.distribution(counted).drivers == memory.distribution(counted).drivers
        late = StragglersAsked(wanted_in("mtty 2"), moment=moment)
        try:
            expected = memory.stragglers(late).stragglers
        except NotFoundError:
            with pytest.raises(NotFoundError):
                door.stragglers(late)
        else:
            assert door.stragglers(late).stragglers == expected
        period = TrendAsked(60, 7, moment=structs.replace(moment, as_of=EPOCH_START + timedelta(seconds=50)))
        assert (door.trend(period).times, door.trend(period).drivers) == (
            memory.trend(period).times,
            memory.trend(period).drivers,
        )


def test_a_late_record_changes_what_is_known_of_an_upgrade_and_not_what_was_known(desk: Desk) -> None:
    """A host that was cut off tells of a build in between."""
    publisher = Publisher("host-1")
    records = publisher.snapshot(look(mtty(version="1")))
    between = publisher.changes(look(mtty(version="2")))
    after = publisher.changes(look(mtty(version="3")))
    desk.take(*records, *after)
    position = len(records) + len(after)
    desk.take(*between)
    with SqlDoor(desk.engine, lambda: moment_of(desk.now_us)) as door:

        def steps(moment: Moment) -> list[tuple[str | None, str | None]]:
            found = door.upgrades(UpgradesAsked(moment=moment)).upgrades
            return [(each.before.version, each.after.version) for each in found]

        assert steps(NOW) == [("1", "2"), ("2", "3")]
        assert steps(Moment(known_at=position)) == [("1", "3")]


def test_a_gap_is_open_until_it_is_known_and_true_that_it_ended(desk: Desk) -> None:
    """Emptied before, offered again a second after; asked in between, and as known before it was told."""
    publisher = Publisher("host-1")
    before, after = mtty(version="1", devices=[1]), mtty(version="2")
    records = publisher.snapshot(look(before))
    for each in (structs.replace(before, types=(), devices=()), structs.replace(after, types=()), after):
        records += publisher.changes(look(each))
    desk.take(*records[:-1])
    desk.take(records[-1])
    with SqlDoor(desk.engine, lambda: moment_of(desk.now_us)) as door:

        def told(moment: Moment) -> tuple[Gap | None, int, tuple[int, ...]]:
            (found,) = door.upgrades(UpgradesAsked(moment=moment)).upgrades
            return found.gap, found.devices, found.positions

        begin, end = (EPOCH_START + timedelta(seconds=second) for second in (4, 6))
        assert told(NOW) == (Gap(begin, end, 2.0), 0, (4, 5, 6))
        still = (Gap(begin, None, None), 0, (4, 5))
        assert told(Moment(EPOCH_START + timedelta(seconds=5))) == still
        assert told(Moment(known_at=5)) == still


def _fitted(number: int, loaded: str, *on_disk: ModuleFile) -> list[bytes]:
    parents = [mtty(version=loaded, devices=[number]), mtty("mtty2", version=loaded)]
    files = [{"mtty": file} for file in on_disk]
    fitted = [structs.replace(parent, modules=each) for parent, each in zip(parents, files, strict=False)]
    return Publisher(f"host-{number}").snapshot(look(*fitted, *parents[len(fitted) :], hostname=f"hv-{number}"))


def test_half_upgraded_hosts_have_the_build_on_disk(desk: Desk) -> None:
    """By the documents of their parents; what an agent does not tell, or can't read, is not known."""
    wanted = ModuleFile(path="/lib/modules/x/mtty.ko", version="2")
    records = [
        *_fitted(1, "1", wanted),
        *_fitted(2, "1", ModuleFile(path="/lib/modules/x/mtty.ko", version="1")),
        *_fitted(3, "1", ModuleFile(path="/lib/modules/x/mtty.ko.zst", error="zstd is not readable here")),
        *_fitted(4, "1"),
        *_fitted(5, "2", wanted, wanted),
        *_fitted(6, "1", structs.replace(wanted, version="3"), wanted),
    ]
    desk.take(*records)
    states = states_told(records)
    memory = MemoryDoor([MemoryHost(host, tuple(told)) for host, told in states.items()])
    with SqlDoor(desk.engine, lambda: moment_of(desk.now_us)) as door:
        for asked in (
            StragglersAsked(wanted_in("mtty 2")),
            StragglersAsked(wanted_in("mtty 2"), half=True),
            StragglersAsked(wanted_in("mtty 2"), half=True, limit=2),
            StragglersAsked(wanted_in("mtty 3"), half=True),
        ):
            found = [each for page in straggler_pages(door, asked) for each in page.stragglers]
            assert found == [each for page in straggler_pages(memory, asked) for each in page.stragglers]
            told = {each.hostname: (each.half, [file.version for file in each.on_disk]) for each in found}
            if not asked.half:
                nothing: tuple[int, list[str]] = (0, [])
                assert told == {
                    "hv-1": (1, ["2"]),
                    "hv-2": nothing,
                    "hv-3": nothing,
                    "hv-4": nothing,
                    "hv-6": (1, ["2", "3"]),
                }
            elif asked.wanted.version == "2":
                assert told.keys() == {"hv-1", "hv-6"}
        assert door.stragglers(StragglersAsked(wanted_in("mtty 2"), half=True, limit=2)).next == "host-2"


@contextmanager
def _plans(door: SqlDoor) -> Iterator[list[list[str]]]:
    """How SQLite reads the tables of timelines, statement by statement."""
    plans: list[list[str]] = []
    asked: list[tuple[str, Any]] = []

    @sa.event.listens_for(door.engine, "before_cursor_execute")
    def noted(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        if not statement.startswith("EXPLAIN") and "FROM" in statement:
            asked.append((statement, parameters))

    yield plans
    sa.event.remove(door.engine, "before_cursor_execute", noted)
    with door.engine.connect() as connection:
        for statement, parameters in asked:
            lines = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            told = [str(row[-1]) for row in lines]
            plans.append([line for line in told if _TABLES & set(line.split())])


_TABLES = {"driver_build", "offer", "device", "parent", "host_fact"}


def _scans(plans: list[list[str]]) -> list[str]:
    return [line for plan in plans for line in plan if line.startswith("SCAN")]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_of_one_host_only_its_rows_are_read(doors: tuple[SqlDoor, MemoryDoor]) -> None:
    """By indexes that there are, whatever else is in the tables."""
    door, _ = doors
    with _plans(door) as plans:
        assert door.upgrades(UpgradesAsked(host="host-1")).upgrades
    assert _scans(plans) == []
    assert all("(host=?" in line for plan in plans for line in plan if "driver_build" in line), plans


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    "ask",
    [
        lambda door: door.trend(TrendAsked(3_600)),
        lambda door: door.stragglers(StragglersAsked(wanted_in("mtty 2"))),
        lambda door: door.distribution(DistributionAsked("site")),
        lambda door: door.upgrades(UpgradesAsked(limit=1_000)),
    ],
)
def test_of_the_fleet_builds_are_read_once(doors: tuple[SqlDoor, MemoryDoor], ask: Callable[[SqlDoor], object]) -> None:
    """Not once per step, host or build; that nothing more is there is found by the index of reaches."""
    door, _ = doors
    with _plans(door) as plans:
        ask(door)
    whole = [
        plan
        for plan in plans
        if any("driver_build" in line and not ("reach=?" in line and "valid_from_us" in line) for line in plan)
    ]
    assert len(whole) <= 1, whole
