"""Pruning: documents go, and nothing else: every timeline, every later record and ``rebuild`` are as without it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from mdevreg import wire
from mdevreg.errors import StateError, UsageError
from mdevreg.facts import NOW, Moment, Retention
from mdevreg.keeping import Prune, Pruned
from mdevreg.times import micros, moment_of
from mdevreg_server import keeping, pruner, pruning
from mdevreg_server.engine import open_engine
from mdevreg_server.pruning import Freed
from mdevreg_server.sql_door import SqlDoor
from mdevreg_server.tables import INTERVALS, HostBase, RecordLog, table_of
from mdevreg_server.wholeness import faults_of
from support.databases import sqlite_url
from support.hosts import crooked, look, mtty, some_life, told
from support.pruned import begin_up_to, emptied, prune_up_to
from support.publisher import Publisher
from support.registry import START_US, Desk, logged, migrated, projections, refused

SEEDS = range(6)

#: The clock of who asks.
LATER = datetime(2900, 1, 1, tzinfo=UTC)


@pytest.fixture
def twin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A registry that hears the same and never prunes."""
    with migrated(sqlite_url(tmp_path_factory.mktemp("twin"))) as engine:
        yield Desk(engine)


def _lives(chance: random.Random) -> list[list[bytes]]:
    """Two hosts' records, some late and some twice, one with two epochs."""
    first = crooked(told(Publisher("a", "first"), some_life(chance)), chance)
    second = crooked(told(Publisher("a", "second"), some_life(chance)), chance)
    other = crooked(told(Publisher("b"), some_life(chance)), chance)
    batches = [*first, *second]
    for batch in other:
        batches.insert(chance.randint(0, len(batches)), batch)
    return batches


def _both(desk: Desk, twin: Desk, record: bytes) -> None:
    """What the one refuses because its period was pruned, the other is not told."""
    message = desk.stream.message(record)
    applied = desk.ledger.apply([message], desk.stream.where, now_us=desk.now_us)
    twin.stream.last_seq += 1
    if not applied.quarantined:
        twin.ledger.apply([message], twin.stream.where, now_us=twin.now_us)


def _prune_both(desk: Desk, twin: Desk, position: int) -> None:
    """The one prunes; the other's log is as long afterwards."""
    before = desk.ledger.position
    prune_up_to(desk, position)
    for _ in range(desk.ledger.position - before):
        with twin.ledger.tending() as connection:
            twin.ledger.append(connection, "padding", "padding", b"-", now_us=twin.now_us)


@pytest.mark.parametrize("seed", SEEDS)
def test_history_goes_on_as_if_nothing_was_pruned(engine: sa.Engine, twin: Desk, seed: int) -> None:
    """Pruned again and again between records that are late, doubled, or too late to be placed."""
    chance = random.Random(seed)
    desk = Desk(engine)
    gone = last = 0
    for batch in _lives(chance):
        for record in batch:
            _both(desk, twin, record)
        if chance.random() < 0.15 and desk.ledger.position > last:
            last = chance.randint(last + 1, desk.ledger.position)
            _prune_both(desk, twin, last)
            gone = len(emptied(engine))
    _same(desk, twin)
    kept = projections(engine)
    assert faults_of(engine) == []
    Desk(engine, desk.stream).ledger.rebuild(batch_size=chance.choice([1, 7, 1_000]))
    assert projections(engine) == kept
    assert len(emptied(engine)) == gone


def _same(desk: Desk, twin: Desk) -> None:
    """Every row, and what is said at every pair of times; documents aside, which is what was pruned."""
    ours, theirs = projections(desk.engine), projections(twin.engine)
    if refused(desk.engine):  # the one counts them as settled, the other waits for them
        ours.pop("host_state"), theirs.pop("host_state")
    assert ours == theirs
    times = [None, *(moment_of(at) for at in sorted(_times(desk.engine)))]
    with SqlDoor(desk.engine, lambda: LATER) as one, SqlDoor(twin.engine, lambda: LATER) as other:
        for position in [None, *range(1, desk.ledger.position + 1, 5)]:
            for as_of in times[:: max(1, len(times) // 5)]:
                moment = Moment(as_of=as_of, known_at=position)
                assert _said(one, moment) == _said(other, moment)


def _said(door: SqlDoor, moment: Moment) -> object:
    """Drivers and hosts; or that it was before anybody told anything."""
    try:
        return door.drivers(moment), _listed(door, moment)
    except UsageError as error:
        return error.message


def _listed(door: SqlDoor, moment: Moment) -> list[tuple[object, ...]]:
    hosts = door.hosts(moment).hosts
    return [(each.evidence.host, each.kernel_release, each.parents, each.types, each.devices) for each in hosts]


def _times(engine: sa.Engine) -> set[int]:
    with engine.connect() as connection:
        return {
            at
            for model in INTERVALS.values()
            for at in connection.scalars(sa.select(table_of(model).c.valid_from_us).distinct())
        }


def test_what_these_lives_are(engine: sa.Engine) -> None:
    """The seeds do what they are for: bodies go, late records come before and behind a base."""
    desk, kinds = Desk(engine), set()
    for seed in SEEDS:
        chance = random.Random(seed)
        for batch in _lives(chance):
            before = desk.ledger.position
            desk.take(*[record.replace(b'"a"', b'"a%d"' % seed).replace(b'"b"', b'"b%d"' % seed) for record in batch])
            if chance.random() < 0.15 and before:
                kinds |= {"prune"} if prune_up_to(desk, before).bodies else set()
    kinds |= {code for _, code, _ in refused(engine)}
    assert kinds == {"prune", "PERIOD_PRUNED"}


# What goes, and what stays


def _eventful(desk: Desk) -> Publisher:
    """One parent in five states, then two more: positions 1 to 9; each record is committed a second after the last."""
    publisher = Publisher("a")
    states = [mtty(free=4), mtty(free=3, devices=[1]), mtty(free=2, devices=[1, 2]), mtty(free=3, devices=[2]), mtty()]
    for record in told(publisher, [look(state) for state in states]):
        desk.take(record)
    return publisher


def _body_at(engine: sa.Engine, position: int) -> bytes:
    with engine.connect() as connection:
        return connection.scalar(sa.select(RecordLog.body).where(RecordLog.position == position)) or b""


def _committed(engine: sa.Engine, position: int) -> datetime:
    with engine.connect() as connection:
        return moment_of(
            connection.scalar(sa.select(RecordLog.committed_at_us).where(RecordLog.position == position)) or 0
        )


def test_only_bodies_go_and_the_first_and_last_of_each_object_stay(desk: Desk) -> None:
    """1 host, 2 parent, 3 complete; 4 creates device 1, 5 creates 2, 6 removes 1, 7 removes 2."""
    _eventful(desk)
    log = _log_without_bodies(desk.engine)
    freed = prune_up_to(desk, 7)
    assert emptied(desk.engine) == {3, 6}
    assert (freed.hosts, freed.bodies) == (1, 2)
    assert freed.bytes > 200
    assert _log_without_bodies(desk.engine)[: len(log)] == log
    assert prune_up_to(desk, 9) == Freed()
    assert faults_of(desk.engine) == []


def _log_without_bodies(engine: sa.Engine) -> list[tuple[object, ...]]:
    columns = [column for column in table_of(RecordLog).columns if column.name != "body"]
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(sa.select(*columns).order_by(RecordLog.position))]


def test_what_held_at_that_time_or_later_keeps_its_document(desk: Desk) -> None:
    """An as-of question about the time from which detail is promised finds the document of then."""
    _eventful(desk)
    prune_up_to(desk, 6)
    with SqlDoor(desk.engine) as door:
        shown = door.host("a", NOW)
    assert (shown.pruned, shown.retention) == ((), None)
    assert 6 not in emptied(desk.engine)


def test_an_answer_says_what_was_pruned_and_has_what_timelines_know(desk: Desk) -> None:
    """The document of then is gone; types, devices, capacity, driver and what is concluded of them are as before."""
    _eventful(desk)
    then = Moment(as_of=moment_of(_valid_from(desk.engine, 6)))
    with SqlDoor(desk.engine) as door:
        before, listed = door.host("a", then), door.hosts(then)
        prune_up_to(desk, 7)
        after = door.host("a", then)
        told_of = Retention("forever", after.retention.pruned_before if after.retention else None, 7)
        assert after.retention == door.history("a", NOW, 5).retention == door.hosts(then).retention == told_of
        assert door.hosts(then).hosts == listed.hosts
        assert door.hosts(NOW).retention is None
    assert (before.pruned, before.retention) == ((), None)
    assert after.pruned == ("/devices/virtual/mtty",)
    assert after.parents == before.parents
    assert after.supports == before.supports
    assert (after.facts, after.evidence) == (before.facts, before.evidence)


def _valid_from(engine: sa.Engine, position: int) -> int:
    parent = table_of(INTERVALS["parent"])
    with engine.connect() as connection:
        return connection.scalar(sa.select(parent.c.valid_from_us).where(parent.c.position == position)) or 0


def test_the_hosts_own_document_may_be_gone_too(desk: Desk) -> None:
    """Its name, site and kernel are in its timeline."""
    publisher = Publisher("a")
    for record in told(publisher, [look(kernel=kernel) for kernel in ("6.1", "6.2", "6.3")]):
        desk.take(record)
    then = Moment(as_of=moment_of(_host_from(desk.engine, "6.2")))
    prune_up_to(desk, desk.ledger.position)
    with SqlDoor(desk.engine) as door:
        shown = door.host("a", then)
    assert shown.pruned == ("",)
    assert shown.facts is not None
    assert (shown.facts.hostname, shown.facts.site, shown.facts.kernel_release) == ("alpha", "lab", "6.2")


def _host_from(engine: sa.Engine, kernel: str) -> int:
    host = table_of(INTERVALS["host"])
    with engine.connect() as connection:
        return connection.scalar(sa.select(host.c.valid_from_us).where(host.c.kernel_release == kernel)) or 0


# What the log says of it


def test_the_log_says_what_was_pruned_and_by_whom(desk: Desk) -> None:
    """Two entries: what may be gone from here on, and what is gone."""
    _eventful(desk)
    prune_up_to(desk, 7)
    with desk.engine.connect() as connection:
        begun, ended = keeping.entries(connection)
        assert keeping.unfinished(connection) is None
    assert (begun.keeping.author, ended.keeping.author) == ("tests", "tests")
    assert isinstance(begun.keeping.change, Prune)
    assert begun.keeping.change.horizon == 7
    assert isinstance(ended.keeping.change, Pruned)
    assert (ended.keeping.change.prune, ended.keeping.change.bodies) == (begun.position, 2)
    assert desk.ledger.knowledge().rules == {}


def test_a_prune_that_was_cut_off_goes_on_where_it_was(desk: Desk) -> None:
    """The log says from its beginning that bodies may be gone; the next prune ends it, whatever it was asked for."""
    for name in ("a", "b"):
        for record in told(Publisher(name), [look(mtty(free=free), hostname=name) for free in (4, 3, 2, 1)]):
            desk.take(record)
    begun = begin_up_to(desk, 10)
    assert begun is not None
    hosts = ["a", "b"]
    with desk.ledger.tending() as connection:
        pruning.prune_host(connection, desk.ledger.layout, hosts.pop(), begun[1])
    some = emptied(desk.engine)
    assert faults_of(desk.engine) == []
    again = Desk(desk.engine, desk.stream)
    assert begin_up_to(again, 12) == begun
    before = projections(desk.engine)
    again.ledger.rebuild()
    assert projections(desk.engine) == before
    prune_up_to(again, 12)
    assert some < emptied(desk.engine)
    assert faults_of(desk.engine) == []


def test_a_long_log_is_pruned_in_lots_with_the_same_end(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ingest waits for one lot, never for a whole prune."""
    publisher = Publisher("a")
    for record in told(publisher, [look(mtty(free=free)) for free in range(40)]):
        desk.take(record)
    begun = begin_up_to(desk, 30)
    assert begun is not None
    monkeypatch.setattr("mdevreg_server.pruning.MOST", 4)
    monkeypatch.setattr(pruner, "LOT_BODIES", 3)
    lots = list(pruner.prune_all(desk.ledger, begun))
    assert len(lots) > 5
    assert all(lot.bodies <= 7 for lot in lots)
    pruner.end(desk.ledger, begun, sum(lots, Freed()), author="tests", now_us=desk.now_us)
    assert sum(lots, Freed()).bodies == len(emptied(desk.engine)) == 27
    assert faults_of(desk.engine) == []


def test_a_dry_run_says_what_would_go_and_changes_nothing(desk: Desk) -> None:
    """To the byte."""
    _eventful(desk)
    reader = open_engine(desk.engine.url.render_as_string(hide_password=False), writer=False)
    found = pruner.proposed(reader, micros(_committed(desk.engine, 7)) + 1, desk.now_us + 1)
    assert found is not None
    foreseen = pruner.foreseen(reader, found[1])
    reader.dispose()
    assert emptied(desk.engine) == set()
    assert foreseen == prune_up_to(desk, 7)


def test_nothing_is_pruned_that_is_not_old_or_was_pruned(desk: Desk) -> None:
    """A time to come is a mistake; one before everything, or before the last prune, is nothing to do."""
    _eventful(desk)
    with pytest.raises(UsageError, match="is in the future"):
        pruner.proposed(desk.engine, desk.now_us + 1, desk.now_us)
    assert pruner.proposed(desk.engine, START_US, desk.now_us) is None
    prune_up_to(desk, 7)
    assert begin_up_to(desk, 6) is None


# Records that come too late


def test_a_record_of_a_pruned_period_is_kept_in_quarantine_and_receipted(desk: Desk) -> None:
    """It can't be placed any more; its agent may forget it, and it changes no history however often it comes."""
    publisher = Publisher("a")
    records = told(publisher, [look(mtty(free=free)) for free in (4, 3, 2, 1)])
    for record in (*records[:3], *records[4:]):
        desk.take(record)
    prune_up_to(desk, 5)
    before = projections(desk.engine)
    applied = desk.take(records[3])
    assert (applied.quarantined, [item.settled for item in applied.publications]) == (1, [6])
    assert desk.take(records[3]).quarantined == 1
    assert refused(desk.engine) == [("open", "PERIOD_PRUNED", 2)]
    assert {**projections(desk.engine), "host_state": 0} == {**before, "host_state": 0}
    state = projections(desk.engine)
    Desk(desk.engine, desk.stream).ledger.rebuild()
    assert projections(desk.engine) == state


def test_a_late_record_behind_the_base_is_placed(desk: Desk, twin: Desk) -> None:
    """The base is where nothing later belongs before it, whatever the horizon is."""
    records = told(Publisher("a"), [look(mtty(free=free, devices=[free])) for free in range(1, 9)])
    for record in (*records[:4], *records[5:8]):
        _both(desk, twin, record)
    _prune_both(desk, twin, 4)
    for record in (records[8], records[4], records[9]):
        _both(desk, twin, record)
    assert refused(desk.engine) == []
    assert projections(desk.engine) == projections(twin.engine)


def test_a_gap_that_was_closed_late_holds_the_base_back(desk: Desk) -> None:
    """3 came after 4: a base between them would have to be begun before it."""
    records = told(Publisher("a"), [look(mtty(free=free)) for free in range(1, 9)])
    for record in (*records[:3], records[4], records[3], *records[5:]):
        desk.take(record)
    prune_up_to(desk, 4)
    with desk.engine.connect() as connection:
        assert connection.scalar(sa.select(HostBase.position)) == 3
    before = projections(desk.engine)
    Desk(desk.engine, desk.stream).ledger.rebuild()
    assert projections(desk.engine) == before


def test_what_was_refused_before_and_is_readable_now_counts_in_a_base(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Numbers in quarantine are settled in the base's epoch too: ``rebuild`` changes nothing."""
    publisher = Publisher("a")
    desk.take(*publisher.snapshot(look(mtty())))
    newer = publisher.changes(look(mtty(free=1)))
    with monkeypatch.context() as older:
        older.setattr(wire, "SCHEMA_MAJOR", 0)
        desk.take(*newer)
    for free in (7, 6, 5):
        desk.take(*publisher.changes(look(mtty(free=free))))
    prune_up_to(desk, 4)
    before = projections(desk.engine)
    Desk(desk.engine, desk.stream).ledger.rebuild()
    assert projections(desk.engine) == before
    assert desk.take(*newer).quarantined == 1


# What must not happen


def test_a_damaged_frozen_part_is_found_and_not_rebuilt_from(desk: Desk) -> None:
    """It can't be derived again: said, by name, and nothing is made of it."""
    _eventful(desk)
    prune_up_to(desk, 7)
    with desk.engine.begin() as connection:
        connection.execute(sa.text("UPDATE device SET iommu_group = 13 WHERE system_from = 4"))
    assert faults_of(desk.engine) == ["the projections as known at 7 are not those of the prune at position 8"]
    before = projections(desk.engine)
    with pytest.raises(StateError, match="restore a copy") as caught:
        desk.ledger.rebuild()
    assert caught.value.code == "FROZEN_DAMAGED"
    assert projections(desk.engine) == before


def test_a_changed_base_is_found(desk: Desk) -> None:
    """What hosts go on from is evidenced too."""
    _eventful(desk)
    prune_up_to(desk, 7)
    with desk.engine.begin() as connection:
        connection.execute(sa.update(HostBase).values(last_seq=HostBase.last_seq + 1))
    assert faults_of(desk.engine) == ["host_base is not what the prune that ended at position 9 left"]


def test_a_body_that_went_without_a_prune_is_found(desk: Desk) -> None:
    """An empty body says that it was pruned; the log must say so too."""
    _eventful(desk)
    prune_up_to(desk, 4)
    with desk.engine.begin() as connection:
        connection.execute(sa.update(RecordLog).where(RecordLog.position == 6).values(body=b""))
    assert faults_of(desk.engine) == ["1 bodies of record_log are gone that were not pruned"]


def test_nothing_is_emptied_where_rows_and_log_differ(desk: Desk) -> None:
    """What could not be derived again must not be let go."""
    _eventful(desk)
    with desk.engine.begin() as connection:
        connection.execute(sa.text("UPDATE parent SET free = '{}' WHERE position = 7"))
    with pytest.raises(StateError, match="run mdevreg-server rebuild") as caught:
        prune_up_to(desk, 7)
    assert caught.value.code == "PROJECTIONS_DIFFER"
    assert emptied(desk.engine) == set()
    desk.ledger.rebuild()
    begun = begin_up_to(desk, 7)
    assert begun is not None


def test_bodies_are_what_their_digests_say_or_empty(desk: Desk) -> None:
    """Leaves stay computable: digests stay with the rows, and bind what is left."""
    _eventful(desk)
    whole = _body_at(desk.engine, 4)
    prune_up_to(desk, 7)
    assert _body_at(desk.engine, 4) == whole
    assert _body_at(desk.engine, 6) == b""
    assert len(logged(desk.engine)) == 7
