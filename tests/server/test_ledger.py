"""The ledger: one transaction per batch, exactly once in effect, and a past that is never rewritten."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from mdevreg.errors import NotFoundError, StateError
from mdevreg.facts import NOW, Moment
from mdevreg.published import decode_state
from mdevreg_server.sql_door import SqlDoor
from mdevreg_server.tables import RecordLog
from support.hosts import look, mtty, random_text, uuid_of
from support.publisher import EPOCH_START, Publisher
from support.registry import Desk, accept_hostname, logged, projections, refuse_hostname, refused, rows


def _three(name: str = "host-1", hostname: str = "alpha") -> list[bytes]:
    return Publisher(name).snapshot(look(mtty(devices=[1]), hostname=hostname))


def test_positions_count_from_one_without_gaps(desk: Desk) -> None:
    """The log's position is the registry's clock: a gap would be a lost record."""
    desk.take(*_three())
    desk.take(*_three("host-2"), *_three("host-3"))
    assert [position for position, _, _ in logged(desk.engine)] == list(range(1, 10))
    assert desk.ledger.position == 9


def test_the_log_holds_the_bytes_as_they_came(desk: Desk) -> None:
    """Canonical bytes as received are the truth; everything else is made of them."""
    records = _three()
    desk.take(*records)
    with desk.engine.connect() as connection:
        assert list(connection.scalars(sa.select(RecordLog.body).order_by(RecordLog.position))) == records


def test_a_duplicate_changes_nothing_is_counted_and_gets_its_receipt_again(desk: Desk) -> None:
    """Redelivery is harmless; its agent asks because it lacks the receipt."""
    records = _three()
    first = desk.take(*records)
    before, log = projections(desk.engine), logged(desk.engine)
    again = desk.take(*records, records[0])
    assert (again.duplicates, again.records, again.quarantined) == (4, (), 0)
    assert again.publications == first.publications
    assert (projections(desk.engine), logged(desk.engine)) == (before, log)
    assert desk.ledger.where() == desk.stream.where


def test_a_publication_is_the_hosts_state_and_its_agents_receipt(desk: Desk) -> None:
    """Published: every document byte for byte, the digest the agent computes, and how far it is settled."""
    publisher = Publisher()
    [published] = desk.take(*publisher.snapshot(look(mtty()))).publications
    state = decode_state(published.data)
    assert (published.settled, published.digest, published.position) == (3, publisher.digest, 3)
    assert (state.seq, state.digest, state.in_sync, state.conflict) == (3, publisher.digest, True, False)
    assert {path: bytes(raw) for path, raw in state.parents.items()} == publisher.parents


def test_publications_come_in_log_order(desk: Desk) -> None:
    """Reading the fleet stream on is the change feed: a host that changed last comes last."""
    one, two = Publisher("host-1"), Publisher("host-2")
    first, second = one.snapshot(look(mtty())), two.snapshot(look(mtty()))
    applied = desk.take(*first[:2], *second, *first[2:])
    assert [item.host for item in applied.publications] == ["host-2", "host-1"]
    assert [item.position for item in applied.publications] == [5, 6]


def test_a_gap_is_not_settled_until_it_is_closed(desk: Desk) -> None:
    """A receipt names the last number up to which nothing is missing."""
    records = _three()
    [gap] = desk.take(records[0], records[2]).publications
    assert gap.settled == 1
    [closed] = desk.take(records[1]).publications
    assert closed.settled == 3


def test_a_late_record_changes_the_past_as_now_known_and_leaves_it_as_then_known(desk: Desk) -> None:
    """Valid time and system time are two things: what was answered then can be answered again."""
    publisher = Publisher()
    records = publisher.snapshot(look(mtty()))
    created = publisher.changes(look(mtty(devices=[7])))
    removed = publisher.changes(look(mtty()))
    desk.take(*records, *removed)  # the one in between was cut off
    known = desk.ledger.position
    then = EPOCH_START + timedelta(seconds=publisher.seq - 1)
    with SqlDoor(desk.engine) as door:
        with pytest.raises(NotFoundError):
            door.pair(uuid_of(7), "alpha", Moment(as_of=then))
        desk.take(*created)
        assert door.pair(uuid_of(7), "alpha", Moment(as_of=then)).source.device == uuid_of(7)
        with pytest.raises(NotFoundError):
            door.pair(uuid_of(7), "alpha", Moment(as_of=then, known_at=known))
        with pytest.raises(NotFoundError):
            door.pair(uuid_of(7), "alpha", NOW)


def test_a_batch_that_fails_leaves_nothing_and_the_next_try_succeeds(desk: Desk) -> None:
    """One transaction: log, history and position are there together or not at all, in memory too."""
    desk.take(*_three("host-1"))
    before, log, where = projections(desk.engine), logged(desk.engine), desk.ledger.where()
    batch = [*_three("host-2"), *_three("host-3", "cursed"), *_three("host-4")]
    refuse_hostname(desk.engine, "cursed")
    with pytest.raises(StateError, match="refused") as caught:
        desk.take(*batch)
    assert caught.value.code == "DATABASE"
    assert (projections(desk.engine), logged(desk.engine), desk.ledger.where()) == (before, log, where)
    assert desk.ledger.position == 3
    accept_hostname(desk.engine)
    applied = desk.take(*batch)
    assert (len(applied.records), applied.position) == (9, 12)


def test_one_by_one_only_the_record_that_fails_is_refused(desk: Desk) -> None:
    """The fault of one record must not stop all hosts: it is kept, and its number is settled."""
    refuse_hostname(desk.engine, "cursed")
    cursed = Publisher("host-2")
    bad = cursed.snapshot(look(mtty(), hostname="cursed"))
    applied = desk.take_singly(*_three("host-1"), bad[1], bad[0], bad[2], *_three("host-3"))
    assert refused(desk.engine) == [("open", "APPLY_FAILED", 1)]
    assert applied.quarantined == 1
    assert len(logged(desk.engine)) == 8
    settled = {item.host: item.settled for item in applied.publications}
    assert settled == {"host-1": 3, "host-2": 3, "host-3": 3}
    assert [item.position for item in applied.publications] == sorted(item.position for item in applied.publications)


def test_a_name_too_long_for_an_index_does_not_stop_the_line(desk: Desk) -> None:
    """PostgreSQL's index rows are bounded; what it will not store is refused for good, not waited for."""
    records = _three(hostname=random_text(4_000))
    if desk.engine.dialect.name == "postgresql":
        with pytest.raises(StateError, match="index row size") as caught:
            desk.take(*records)
        assert caught.value.code == "DATABASE"
    applied = desk.take_singly(*records)
    assert applied.quarantined == (1 if desk.engine.dialect.name == "postgresql" else 0)
    assert [position for position, _, _ in logged(desk.engine)] == list(range(1, desk.ledger.position + 1))


def test_a_second_writer_is_refused_and_nothing_is_lost(desk: Desk) -> None:
    """Two registries on one database would lose each other's folds: the later commit fails, whole."""
    rival = Desk(desk.engine, desk.stream)
    desk.take(*_three("host-1"))
    with pytest.raises(StateError, match="run only one mdevreg-server") as caught:
        rival.take(*_three("host-2"))
    assert caught.value.code == "SECOND_WRITER"
    assert len(logged(desk.engine)) == 3
    desk.take(*_three("host-2"))
    assert Desk(desk.engine, desk.stream).take(*_three("host-3")).position == 9


def test_a_second_writer_is_refused_before_anything_was_written(desk: Desk) -> None:
    """The very first batch has no position to compare yet."""
    rival = Desk(desk.engine, desk.stream)
    rival.take(*_three("host-1"))
    with pytest.raises(StateError) as caught:
        desk.take(*_three("host-1"))
    assert caught.value.code == "SECOND_WRITER"


def test_what_was_published_is_remembered_per_life_of_the_fleet_stream(desk: Desk) -> None:
    """After a crash only what may be missing is published again; a wiped broker gets everything."""
    desk.take(*_three("host-1"))
    fleet = desk.stream.where
    desk.ledger.mark_published(fleet, desk.ledger.position)
    desk.take(*_three("host-2"))
    assert desk.ledger.hosts_after(desk.ledger.published(fleet)) == ["host-2"]
    other = type(fleet)("another life", fleet.stream_seq)
    assert desk.ledger.hosts_after(desk.ledger.published(other)) == ["host-1", "host-2"]


def test_a_host_that_nothing_is_known_of_gets_an_empty_state(desk: Desk) -> None:
    """Its agent learns that the registry has nothing, and sends everything."""
    [nothing] = desk.ledger.publications(["host-9"])
    state = decode_state(nothing.data)
    assert (state.epoch, state.seq, state.parents, bytes(state.facts)) == ("", 0, {}, b"null")
    assert rows(desk.engine, RecordLog) == []


def test_the_times_of_receipt_never_go_back_for_a_host(desk: Desk) -> None:
    """A broker's clock that is set back does not make a later record true before an earlier one was received."""
    records = _three()
    desk.take(records[0])
    desk.stream.delay_s -= 1_800
    desk.take(*records[1:])
    with desk.engine.connect() as connection:
        times = list(connection.scalars(sa.select(RecordLog.received_at_us).order_by(RecordLog.position)))
    assert times == sorted(times)


def test_what_is_still_awaited_is_not_told_as_missing(desk: Desk) -> None:
    """Missing is what a snapshot took the place of; a gap that may yet close is none."""
    records = _three()
    desk.take(records[0], records[2])
    with SqlDoor(desk.engine) as door:
        assert door.host("alpha", NOW).evidence.missing == 0
    desk.take(records[1])
    with SqlDoor(desk.engine) as door:
        assert door.host("alpha", NOW).evidence.missing == 0
