"""The laws of differences, on generated histories that arrived in any order, against a replay of the log."""

from __future__ import annotations

import itertools
import random
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from msgspec import structs

from mdevreg.differing import (
    DeviceValue,
    DifferenceAsked,
    Differing,
    DriverValue,
    HostValue,
    OfferValue,
    ParentValue,
    Value,
)
from mdevreg.facts import Moment
from mdevreg.objects import Key, Profiles, driver_value
from mdevreg.query.past import difference_pages
from mdevreg.state import replay
from mdevreg.times import micros
from mdevreg_server import contrasts
from mdevreg_server.sql_door import SqlDoor
from support.hosts import crooked, look, mtty, some_life, told
from support.oracle import entries_of
from support.publisher import EPOCH_START, Publisher
from support.registry import Desk

#: (host, *key) → value
State = dict[tuple[Any, ...], Any]


def _told_by(door: SqlDoor, asked: DifferenceAsked) -> list[Differing]:
    return [row for page in difference_pages(door, asked) for row in page.rows]


def _naive(engine: sa.Engine, moment: Moment) -> State:
    """The fleet at a moment, by replaying what was known then."""
    state: State = {}
    known_at = moment.known_at
    assert not isinstance(known_at, datetime)
    as_of = 2**62 if moment.as_of is None else micros(moment.as_of)
    for host, log in entries_of(engine).items():
        known = [entry for entry in log if known_at is None or entry.position <= known_at]
        for key, facts in (replay(host, known, Profiles())[1] if known else {}).items():
            values = [value for at, value in facts if at <= as_of]
            if values and values[-1] is not None:
                state[host, *key] = _essence(key, values[-1])
    return state


def _essence(key: Key, value: tuple[Any, ...]) -> tuple[Any, ...]:
    """What counts: not in which entry it was told, and not the free instances."""
    return {"host": value[:3], "parent": value[:1]}.get(key[0], value)


def _cells(value: Value) -> tuple[Any, ...]:
    match value:
        case HostValue():
            return structs.astuple(value)
        case ParentValue():
            return (value.name,)
        case OfferValue():
            return (value.profile,)
        case DeviceValue():
            return structs.astuple(value)
        case DriverValue():
            return driver_value(value.build)


def _applied(state: State, rows: list[Differing]) -> State:
    """The state after differences; each must begin where the state is."""
    after = dict(state)
    for row in rows:
        key = tuple(part for part in (row.host, row.object, row.path, row.name) if part)
        assert after.get(key) == (None if row.before is None else _cells(row.before)), row
        if row.after is None:
            del after[key]
        else:
            after[key] = _cells(row.after)
    return after


def _moments(engine: sa.Engine, chance: random.Random) -> list[Moment]:
    times = [EPOCH_START + timedelta(seconds=chance.uniform(0, 15)) for _ in range(3)]
    newest = max(entry.position for log in entries_of(engine).values() for entry in log)
    positions = [chance.randint(0, newest) for _ in range(2)]
    plain = [Moment(), *(Moment(time) for time in times), *(Moment(None, position) for position in positions)]
    return [*plain, Moment(times[0], positions[0])]


@pytest.fixture(params=range(2))
def chance(request: pytest.FixtureRequest) -> random.Random:
    return random.Random(request.param)


@pytest.fixture
def engine_with_lives(engine: sa.Engine, chance: random.Random) -> sa.Engine:
    """Three hosts whose records came crooked: late, twice, in any batches."""
    records = [record for host in ("a", "b", "c") for record in told(Publisher(host), some_life(chance, looks=4))]
    desk = Desk(engine)
    for batch in crooked(records, chance):
        desk.take(*batch)
    return engine


def test_differences_applied_to_the_earlier_state_are_the_later_one(
    engine_with_lives: sa.Engine, chance: random.Random
) -> None:
    """For any two moments, and so for a moment and itself; reversed, they lead back."""
    door, moments = SqlDoor(engine_with_lives), _moments(engine_with_lives, chance)
    states = [_naive(engine_with_lives, moment) for moment in moments]
    assert len({repr(sorted(state.items(), key=repr)) for state in states}) > 2
    for (begin, before), (end, after) in itertools.combinations_with_replacement(zip(moments, states, strict=True), 2):
        rows = _told_by(door, DifferenceAsked(begin, end))
        assert _applied(before, rows) == after, (begin, end)
        assert all(row.before != row.after for row in rows)
        back = _told_by(door, DifferenceAsked(end, begin))
        swapped = [structs.replace(row, before=row.after, after=row.before, parent="") for row in rows]
        assert [structs.replace(row, parent="") for row in back] == swapped


def test_pages_of_one_host_and_of_few_rows_say_the_same(
    engine_with_lives: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page ends with a host, whatever ends it."""
    door, asked = SqlDoor(engine_with_lives), DifferenceAsked(Moment(known_at=0))
    whole = _told_by(door, asked)
    assert _told_by(door, structs.replace(asked, limit=1)) == whole
    monkeypatch.setattr(contrasts, "ROWS", 1)
    pages = list(difference_pages(door, asked))
    assert len(pages) == 3
    assert [row for page in pages for row in page.rows] == whole


def test_records_that_come_between_two_pages_change_nothing(engine: sa.Engine) -> None:
    """All pages are of the log as the first found it."""
    desk, door = Desk(engine), SqlDoor(engine)
    publishers = [Publisher(host) for host in ("a", "b")]
    for publisher in publishers:
        desk.take(*publisher.snapshot(look(mtty())))
    pages = difference_pages(door, DifferenceAsked(Moment(known_at=0), limit=1))
    first = next(pages)
    desk.take(*publishers[1].changes(look(mtty(version="9"))))
    second = next(page for page in pages if page.rows)
    assert (first.position, {row.host for row in second.rows}) == (6, {"b"})
    assert {row.after.build.version for row in second.rows if isinstance(row.after, DriverValue)} == {"2"}
