"""Blame: since when an answer is what it is, and the entry of the log that made it so; on both databases."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime, timedelta

import msgspec
import pytest
import sqlalchemy as sa
from msgspec import structs

from mdevreg.answering import answer_of
from mdevreg.blame import Blame
from mdevreg.errors import NotFoundError, UsageError
from mdevreg.facts import NOW, Moment
from mdevreg.rules import Rule, Scope
from mdevreg.times import moment_of
from mdevreg.wire import decode
from mdevreg_server.sql_door import SqlDoor
from mdevreg_server.tables import RecordLog
from support.catalogs import entry, silent
from support.hosts import crooked, look, mtty, some_life, told, uuid_of
from support.publisher import EPOCH_START, Publisher
from support.registry import Desk

SOURCE = uuid_of(1)
#: When, before, after.
_Turned = tuple[datetime, str | None, str | None]
DENY = Rule(id="draft", effect="deny", author="alice", message="beta burns", valid_from=EPOCH_START)


def _blame(desk: Desk, device: str = SOURCE, to: str = "beta", moment: Moment = NOW, limit: int = 100) -> Blame:
    with SqlDoor(desk.engine, lambda: moment_of(desk.now_us)) as door:
        return door.blame(device, to, moment, limit)


def _told(found: Blame) -> list[tuple[str | None, str | None, str, int]]:
    return [(turn.before.outcome, turn.after.outcome, turn.point.cause, turn.point.position) for turn in found.turns]


def _pair(desk: Desk) -> Publisher:
    """Alpha with a device that saves version 3; beta, which loads 2 to 4."""
    desk.take(*Publisher("host-a").snapshot(look(mtty(version="3", minimum="2", devices=[1]), hostname="alpha")))
    beta = Publisher("host-b")
    desk.take(*beta.snapshot(look(mtty(version="4", minimum="2"), hostname="beta")))
    return beta


def test_the_record_that_flipped_an_answer_is_named_with_what_it_changed(desk: Desk) -> None:
    """A new driver that loads nothing older: from yes to no; the record is the evidence, byte for byte."""
    beta = _pair(desk)
    first = desk.ledger.position
    (record,) = beta.changes(look(mtty(version="4", minimum="4"), hostname="beta"))
    desk.take(record)
    found = _blame(desk)
    assert _told(found)[0] == ("compatible", "incompatible", "record", first + 1)
    turn = found.turns[0]
    assert turn.entry is not None
    assert bytes(turn.entry.body) == record
    assert (turn.entry.host, turn.entry.kind, turn.entry.author) == ("host-b", "parent", None)
    assert turn.entry.observed_at == decode(record).record.observed_at
    assert turn.point.at == turn.entry.committed_at
    assert "STREAM_VERSION_TOO_OLD" in {reason.code for reason in turn.after.reasons}
    assert "STREAM_VERSION_LOADS" in {reason.code for reason in turn.before.reasons}
    assert turn.before.loads != turn.after.loads
    assert _told(found)[-1][0] is None
    assert found.complete


def test_what_moves_only_capacity_turns_nothing(desk: Desk) -> None:
    """A fleet's everyday changes are not even looked at."""
    beta = _pair(desk)
    looked = _blame(desk).points
    for free in range(1, 30):
        desk.take(*beta.changes(look(mtty(version="4", minimum="2", free=free), hostname="beta")))
    found = _blame(desk)
    assert [turn.before.outcome for turn in found.turns] == [None]
    assert found.points == looked


def test_a_rule_flips_when_it_is_told_and_back_when_its_time_is_over(desk: Desk) -> None:
    """The first is an entry with an author; the second is the rule's own time, and no entry."""
    _pair(desk)
    desk.stream.last_seq += 5
    rule = desk.book.add_rule(structs.replace(DENY, valid_until=moment_of(desk.now_us) + timedelta(seconds=1)))
    position = desk.ledger.position
    desk.stream.last_seq += 5  # time goes by
    found = _blame(desk)
    assert _told(found)[:2] == [
        ("incompatible", "compatible", "time", position),
        ("compatible", "incompatible", "rule", position),
    ]
    ended, begun = found.turns[:2]
    assert (ended.point.rule, ended.entry, ended.point.at) == (rule.id, None, rule.valid_until)
    assert begun.entry is not None
    assert begun.entry.author == "alice"


def test_the_time_of_a_rule_that_is_to_come_turns_nothing_yet(desk: Desk) -> None:
    """Known already, and still ahead."""
    _pair(desk)
    desk.stream.last_seq += 5
    desk.book.add_rule(structs.replace(DENY, valid_until=moment_of(desk.now_us) + timedelta(days=1)))
    found = _blame(desk)
    assert (found.said.outcome, found.turns[0].point.cause) == ("incompatible", "rule")


def test_a_catalog_change_is_a_cause(desk: Desk) -> None:
    """What a build that says nothing loads was learned from an entry."""
    desk.take(*Publisher("host-a").snapshot(look(silent(devices=(1,)), hostname="alpha")))
    desk.take(*Publisher("host-b").snapshot(look(silent(), hostname="beta")))
    desk.stream.last_seq += 5
    assert _blame(desk).said.outcome == "unknown"
    desk.book.import_entries([entry()], author="bob")
    found = _blame(desk)
    assert _told(found)[0] == ("unknown", "compatible", "catalog", desk.ledger.position)
    assert found.turns[0].entry is not None
    assert found.turns[0].entry.author == "bob"


def test_a_moment_is_blamed_as_it_was(desk: Desk) -> None:
    """As of before the change, and as known before it, the change made nothing."""
    beta = _pair(desk)
    position, before = desk.ledger.position, moment_of(desk.now_us)
    desk.stream.last_seq += 5
    desk.take(*beta.changes(look(mtty(version="4", minimum="4"), hostname="beta")))
    assert _told(_blame(desk, moment=Moment(known_at=position)))[0][1] == "compatible"
    assert _told(_blame(desk, moment=Moment(before, position)))[0][1] == "compatible"
    assert _told(_blame(desk))[0][1] == "incompatible"


def test_what_is_said_is_what_can_migrate_says_for_the_same_two_times(desk: Desk) -> None:
    """A rule that was dated back says something of the time before it was known: that entry is to blame."""
    _pair(desk)
    desk.stream.last_seq += 5
    then = moment_of(desk.now_us)
    desk.stream.last_seq += 5
    rule = desk.book.add_rule(structs.replace(DENY, valid_from=EPOCH_START))
    position = desk.ledger.position
    assert rule.id == f"r{position}"
    found = _blame(desk, moment=Moment(as_of=then))
    assert _told(found)[0] == ("compatible", "incompatible", "rule", position)
    assert (found.said.outcome, found.turns[0].point.at) == ("incompatible", then)
    assert found.turns[0].entry is not None
    assert found.turns[0].entry.committed_at > then
    assert _blame(desk, moment=Moment(then, position - 1)).said.outcome == "compatible"


def test_a_rule_that_was_ended_by_somebody_is_ended_by_that_entry(desk: Desk) -> None:
    """Not by its time, which is the same."""
    _pair(desk)
    desk.stream.last_seq += 5
    rule = desk.book.add_rule(DENY)
    desk.stream.last_seq += 5
    desk.book.end_rule(rule.id, at=None, author="bob")
    turn = _blame(desk).turns[0]
    assert (turn.point.cause, turn.point.position, turn.after.outcome) == ("rule", desk.ledger.position, "compatible")
    assert turn.entry is not None
    assert turn.entry.author == "bob"


def test_an_unknown_name_or_a_silly_limit_is_refused(desk: Desk) -> None:
    """As everywhere."""
    _pair(desk)
    with pytest.raises(NotFoundError):
        _blame(desk, to="gamma")
    with pytest.raises(NotFoundError):
        _blame(desk, device=uuid_of(7))
    with pytest.raises(UsageError, match="limit is 0"):
        _blame(desk, limit=0)


@pytest.mark.parametrize("seed", range(4))
def test_blame_is_what_asking_at_every_position_would_find(desk: Desk, seed: int) -> None:
    """The oracle asks at every position of the log, whatever was committed there."""
    chance = random.Random(seed)
    alpha, beta = Publisher("a", "first"), Publisher("b", "first")
    for batch in crooked([*told(alpha, some_life(chance)), *told(beta, some_life(chance))], chance):
        desk.take(*batch)
        if chance.random() < 0.2:
            desk.book.add_rule(structs.replace(DENY, message=f"{chance.random()}", where=Scope(type=("mtty-1",))))
    source, target = "a/mtty/mtty-1", "b"
    with SqlDoor(desk.engine, lambda: moment_of(desk.now_us)) as door:
        expected = list(_asked_everywhere(door, desk, source, target))
    turns = _blame(desk, source, target, limit=1_000).turns
    assert [(turn.point.at, turn.before.outcome, turn.after.outcome) for turn in turns] == expected


def _asked_everywhere(door: SqlDoor, desk: Desk, source: str, target: str) -> Iterator[_Turned]:
    turns: list[_Turned] = []
    before: str | None = None
    for position, at in _commits(desk):
        outcome = _outcome(door, source, target, Moment(at, position))
        if outcome != before:
            turns.append((at, before, outcome))
        before = outcome
    return reversed(turns)


def _outcome(door: SqlDoor, source: str, target: str, moment: Moment) -> str | None:
    assert moment.as_of is not None
    try:
        pair = door.pair(source, target, moment)
    except UsageError:
        return None
    return answer_of(pair, now=moment.as_of, moment=moment).verdict.outcome


def _commits(desk: Desk) -> list[tuple[int, datetime]]:
    """The last position of each commit: what came with it was never answered by itself."""
    last = sa.func.max(RecordLog.position).label("position")
    wanted = sa.select(last, RecordLog.committed_at_us).group_by(RecordLog.committed_at_us).order_by(last)
    with desk.engine.connect() as connection:
        return [(row.position, moment_of(row.committed_at_us)) for row in connection.execute(wanted)]


def test_a_blame_goes_through_a_wire_unchanged(desk: Desk) -> None:
    """With its evidence."""
    _pair(desk)
    found = _blame(desk)
    assert msgspec.json.decode(msgspec.json.encode(found), type=Blame) == found
