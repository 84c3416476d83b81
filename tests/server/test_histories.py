"""Histories are what replaying the log says, whatever the limit; and cost what they tell, not what there is."""

from __future__ import annotations

import random
from typing import Any

import pytest
import sqlalchemy as sa

from mdevreg.errors import NotFoundError, UsageError
from mdevreg.facts import NOW, Change, HistoryKind, Moment
from mdevreg.objects import Key, Profiles
from mdevreg.state import replay
from mdevreg.timeline import OPEN, Row, fold
from mdevreg.times import micros
from mdevreg_server.sql_door import SqlDoor
from support.catalogs import entry
from support.hosts import crooked, look, mtty, some_life, told, uuid_of
from support.oracle import entries_of
from support.publisher import Publisher
from support.registry import Desk

_Said = tuple[int, str, str, str]


def _said(changes: tuple[Change, ...]) -> list[_Said]:
    return [(micros(each.valid_from), each.host, each.object, each.event) for each in changes]


def _naive(engine: sa.Engine, wanted: Any) -> list[_Said]:
    """Every turn of the objects that are wanted, by replaying the log; parents only where their capacity moved."""
    found: list[_Said] = []
    for host, log in entries_of(engine).items():
        for key, facts in replay(host, log, Profiles())[1].items():
            if wanted(host, key):
                found += _turns(host, key, fold(facts, 1))
    return sorted(found)


def _turns(host: str, key: Key, rows: list[Row[Any]]) -> list[_Said]:
    found = []
    for number, row in enumerate(rows):
        before = rows[number - 1] if number and rows[number - 1].valid_to == row.valid_from else None
        if before is None or key[0] != "parent" or _moved(before.value[2], row.value[2]):
            found.append((row.valid_from, host, key[0], "appeared" if before is None else "changed"))
        followed = number + 1 < len(rows) and rows[number + 1].valid_from == row.valid_to
        if row.valid_to != OPEN and not followed:
            found.append((row.valid_to, host, key[0], "gone"))
    return found


def _moved(before: str, after: str) -> bool:
    return before != after


@pytest.fixture(params=range(2))
def chance(request: pytest.FixtureRequest) -> random.Random:
    return random.Random(request.param)


@pytest.fixture
def door(engine: sa.Engine, chance: random.Random) -> SqlDoor:
    """Two hosts whose records came crooked."""
    records = [
        record
        for host in ("a", "b")
        for record in told(Publisher(host), [_named(each, host) for each in some_life(chance, looks=4)])
    ]
    desk = Desk(engine)
    for batch in crooked(records, chance):
        desk.take(*batch)
    return SqlDoor(engine)


def _named(worn: Any, host: str) -> Any:
    return look(*worn.parents.values(), hostname=f"name-of-{host}", kernel=worn.facts.kernel_release)


ASKED: list[tuple[str, HistoryKind, Any]] = [
    ("a", "host", lambda host, _: host == "a"),
    (uuid_of(1), "device", lambda _, key: key[0] == "device" and key[2] == uuid_of(1)),
    ("mtty", "driver", lambda _, key: key[0] == "driver"),
    ("mtty-1", "type", lambda _, key: key[0] == "offer"),
]


@pytest.mark.parametrize(("name", "kind", "wanted"), ASKED, ids=[kind for _, kind, _ in ASKED])
def test_a_history_is_what_replaying_the_log_says(
    door: SqlDoor, engine: sa.Engine, name: str, kind: HistoryKind, wanted: Any
) -> None:
    """Late and doubled records included; each limit is the end of the whole."""
    whole = door.history(name, NOW, 10_000, kind).changes
    assert sorted(_said(whole)) == _naive(engine, wanted)
    assert [change.valid_from for change in whole] == sorted(change.valid_from for change in whole)
    for limit in range(1, len(whole) + 2):
        assert door.history(name, NOW, limit, kind).changes == whole[-limit:], limit


def test_a_history_of_then_is_a_part_of_the_one_of_now(door: SqlDoor) -> None:
    """``as_of`` cuts it off; nothing of it is different, but that what ended later had not ended."""
    whole = door.history("a", NOW, 10_000).changes
    for cut in whole:
        past = door.history("a", Moment(as_of=cut.valid_from), 10_000).changes
        assert _said(past) == [said for said in _said(whole) if said[0] <= micros(cut.valid_from)]


def test_a_name_of_two_kinds_has_to_be_told_apart(engine: sa.Engine) -> None:
    """A host may be called like a driver."""
    desk, door = Desk(engine), SqlDoor(engine)
    desk.take(*Publisher("host-1").snapshot(look(mtty(), hostname="mtty")))
    with pytest.raises(UsageError, match="host, driver") as caught:
        door.history("mtty", NOW, 5)
    assert caught.value.code == "AMBIGUOUS"
    assert door.history("mtty", NOW, 5, "host").host == "host-1"
    assert [change.object for change in door.history("mtty", NOW, 5, "driver").changes] == ["driver"]


def test_an_entry_that_was_removed_has_a_history(desk: Desk) -> None:
    """Put, replaced, removed, put again; by its id, once the kind is said."""
    desk.take(*Publisher().snapshot(look(mtty())))
    book, door = desk.book, SqlDoor(desk.engine)
    book.import_entries((entry("ours", about="one"),), author="ann")
    book.import_entries((entry("ours", about="two"),), author="bob")
    book.remove_entries(("ours",), author="cid")
    told = door.history("ours", NOW, 10, "catalog").changes
    assert [(each.event, each.detail.partition(",")[0]) for each in told] == [
        ("appeared", "by ann"),
        ("changed", "by bob"),
        ("gone", "by cid"),
    ]
    assert door.history("ours", NOW, 2, "catalog").changes == told[-2:]
    with pytest.raises(NotFoundError):
        door.history("ours", NOW, 10)
