"""Several registries share the ingest of one database: who may write, what is whose, and where it goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from msgspec import structs
from nats.aio.client import Client

from mdevreg import subjects
from mdevreg.errors import StateError, UsageError
from mdevreg.query.pulling import life_of
from mdevreg.rules import Rule, Scope
from mdevreg.subjects import RECORDS_STREAM
from mdevreg_server.broker import Broker
from mdevreg_server.bus import Wanted, connect, ensure_streams, make_room
from mdevreg_server.claim import claim_of
from mdevreg_server.ledger import Applied, Ledger, Where
from mdevreg_server.membership import SILENT_S, Member
from mdevreg_server.partitions import BEFORE, MAX_PARTITIONS, WHOLE, Part, covered, partition
from mdevreg_server.positions import LOST, Shared
from mdevreg_server.rulebook import Rulebook
from mdevreg_server.tables import RecordLog
from mdevreg_server.wholeness import faults_of
from support.bus_client import fleet, publish, say, stream_info, with_client
from support.hosts import look, mtty
from support.nats_server import wipe
from support.publisher import EPOCH_START, Publisher
from support.registry import START_US, Stream, logged, migrated, positions, refused
from support.serving import Serving, serving

#: Takeover and balance are looked after every two seconds.
BALANCED_WITHIN_S = 15.0


@pytest.fixture
def shared(postgresql_database_url: str) -> Iterator[sa.Engine]:
    """The writer's engine of a migrated PostgreSQL database."""
    with migrated(postgresql_database_url) as engine:
        yield engine


def _url(engine: sa.Engine) -> str:
    return engine.url.render_as_string(hide_password=False)


def _snapshots(names: list[str]) -> list[bytes]:
    return [record for name in names for record in Publisher(name).snapshot(look(mtty(), hostname=name))]


def _names(first: int, last: int) -> list[str]:
    return [f"host-{number}" for number in range(first, last)]


def _hosts_of(part: Part, count: int) -> list[str]:
    return [name for name in _names(0, 1_000) if part.holds(name)][:count]


# What is whose


def test_hosts_are_dealt_as_the_broker_deals_them(nats_server: Broker) -> None:
    """``partition(64,…)`` of a real nats-server, for any host id; and the host is read from either subject."""
    hosts = ["h", "host-1", "A_b-9" * 12, *_names(2, 60), "3f0c1c1e-0000-4000-8000-000000000001"]

    async def stored(client: Client) -> list[str]:
        js = client.jetstream()
        await ensure_streams(js, Wanted(dealt=True))
        for host in hosts:
            await js.publish(subjects.record(host), b"x")
        return [str((await js.get_msg(RECORDS_STREAM, seq)).subject) for seq in range(1, len(hosts) + 1)]

    found = with_client(nats_server.url, stored)
    assert found == [subjects.slot(subjects.slot_of(host)).replace("*", host) for host in hosts]
    assert [subjects.as_published(subject) for subject in found] == [subjects.record(host) for host in hosts]


@pytest.mark.parametrize("count", [2, 3, 4, 7, 48, MAX_PARTITIONS])
def test_every_host_is_in_one_partition(count: int) -> None:
    """All slots, none twice, none empty."""
    parts = [partition(index, count) for index in range(count)]
    assert sorted(slot for part in parts for slot in part.slots) == list(range(subjects.SLOTS))
    assert all(sum(part.holds(host) for part in parts) == 1 for host in _names(0, 50))
    assert len({part.durable for part in parts} | {WHOLE.durable}) == count + 1


def test_what_was_consumed_in_other_partitions_counts() -> None:
    """From 4 to 2 to 1: each goes on behind the last that all of its slots were consumed to."""
    quarters = [(partition(index, 4).key("S"), 10 * (index + 1)) for index in range(4)]  # 10, 20, 30, 40
    assert covered(quarters, "S", partition(0, 4).slots) == 10
    assert covered(quarters, "S", partition(0, 2).slots) == 10  # of 0 and 2 of 4
    assert covered(quarters, "S", partition(1, 2).slots) == 20
    assert covered(quarters, "S", WHOLE.slots) == 10
    assert covered(quarters[1:], "S", WHOLE.slots) == 0
    assert covered([*quarters, ("S", 15)], "S", partition(0, 4).slots) == 15
    assert covered([*quarters, (BEFORE.key("S"), 12)], "S", WHOLE.slots) == 12
    assert covered([("S/other", 99)], "S", WHOLE.slots) == 0


# Who may write


class _Writer:
    """One of several ledgers on a database, with its own stream of messages."""

    def __init__(self, engine: sa.Engine, part: Part | None) -> None:
        self.ledger = Ledger(engine, right=Shared(part), cached_hosts=100)
        self.stream = Stream()

    def take(self, *records: bytes) -> Applied:
        messages = [self.stream.message(record) for record in records]
        return self.ledger.apply(messages, self.stream.where, now_us=START_US)


def test_writers_take_turns_and_the_log_has_no_gaps(shared: sa.Engine) -> None:
    """Batches of two partitions and decisions of a third process, interleaved: positions 1, 2, 3, … in their order."""
    halves = [partition(index, 2) for index in range(2)]
    writers = [_Writer(shared, part) for part in halves]
    decider = _Writer(shared, None)
    publishers = [Publisher(_hosts_of(part, 1)[0]) for part in halves]
    after = []
    for writer, publisher in zip(writers, publishers, strict=True):
        after.append(writer.take(*publisher.snapshot(look(mtty()))).position)
    rule = Rule(id="new", effect="deny", author="alice", message="x", valid_from=EPOCH_START, where=Scope())
    assert Rulebook(decider.ledger, START_US).add_rule(rule).id == "r7"
    for writer, publisher in zip(writers, publishers, strict=True):
        after.append(writer.take(*publisher.changes(look(mtty(free=1)))).position)
    assert after == [3, 6, 8, 9]
    assert positions(shared) == list(range(1, 10))
    assert faults_of(shared) == []
    assert [writer.ledger.consumed("life-1") for writer in writers] == [4, 4]


def test_who_was_replaced_cannot_commit_any_more(shared: sa.Engine) -> None:
    """It may believe to hold the partition: its batch fails whole, its successor's goes on where it came to."""
    part = partition(1, 4)
    host = Publisher(_hosts_of(part, 1)[0])
    old = _Writer(shared, part)
    old.take(*host.snapshot(look(mtty())))
    new = _Writer(shared, part)
    change = host.changes(look(mtty(free=1)))
    with pytest.raises(StateError) as caught:
        old.take(*change)
    assert caught.value.code == LOST
    with pytest.raises(StateError) as caught:
        old.ledger.verify()
    assert caught.value.code == LOST
    assert positions(shared) == [1, 2, 3]
    assert new.ledger.consumed("life-1") == 3
    assert new.take(*change).position == 4
    assert faults_of(shared) == []


def test_a_partition_with_another_number_of_partitions_goes_on_behind_them_all(shared: sa.Engine) -> None:
    """The same positions, asked by slots; another life of the stream has none."""
    for index in range(2):
        writer = _Writer(shared, partition(index, 2))
        writer.stream.last_seq = 10 * index
        writer.take(*_snapshots(_hosts_of(partition(index, 2), 1)))
    asked = [_Writer(shared, partition(index, 3)).ledger.consumed("life-1") for index in range(3)]
    assert asked == [3, 3, 3]
    assert [Ledger(shared).consumed("life-1"), Ledger(shared).consumed("life-2")] == [3, 0]


def test_what_was_published_is_remembered_by_partition(shared: sa.Engine) -> None:
    """Each publishes its own hosts; a registry that shares nothing again begins behind the one that is least far."""
    now = Where("fleet-1", 9)
    for index in range(2):
        part = partition(index, 2)
        writer = _Writer(shared, part)
        writer.take(*_snapshots(_hosts_of(part, 2)))
        assert writer.ledger.hosts_after(writer.ledger.published(now)) == _hosts_of(part, 2)
        writer.ledger.mark_published(now, writer.ledger.position)
        assert writer.ledger.hosts_after(writer.ledger.published(now)) == []
    assert Ledger(shared).published(now) == 6


def test_folds_are_kept_by_what_they_weigh(shared: sa.Engine) -> None:
    """Twenty small hosts, or one that is as large as they are: memory has one bound, whatever hosts are like."""
    ledger = Ledger(shared, cached_hosts=20)
    stream = Stream()

    def take(name: str, each: int) -> list[str]:
        large = structs.replace(mtty(), attributes={f"a{number}": "x" * each for number in range(60)})
        records = Publisher(name).snapshot(look(large, hostname=name))
        ledger.apply([stream.message(record) for record in records], stream.where, now_us=START_US)
        return [host for host in _names(0, 30) if host in ledger._memory.hosts]

    for name in _names(0, 25):
        kept = take(name, 1)
    assert kept == _names(5, 25)
    assert take("host-25", 1_024) == _names(21, 26)
    assert take("host-26", 2_048) == []
    assert take("host-27", 1) == ["host-27"]
    assert faults_of(shared) == []


# Who holds what


def test_the_database_counts_the_living_and_deals_each_seat_once(shared: sa.Engine) -> None:
    """A seat is free again when it is given back, and when its holder's session ends."""
    first, second = Member(shared, 4), Member(shared, 4)
    assert (first.look(), second.look(), first.look()) == (1, 2, 2)
    assert (first.hold(0), first.hold(0), second.hold(0)) == (True, True, False)
    first.let_go(0)
    assert (second.hold(0), first.hold(0), first.hold(1)) == (True, False, True)
    first.leave()
    assert (second.look(), second.hold(1)) == (1, True)
    second.leave()


def test_registries_that_share_and_one_that_does_not_exclude_each_other(shared: sa.Engine) -> None:
    """Whoever was there first stays."""
    member = Member(shared, 2)
    member.look()
    with pytest.raises(StateError) as caught:
        claim_of(shared).take()
    assert caught.value.code == "SECOND_WRITER"
    member.leave()
    sole = claim_of(shared)
    sole.take()
    with pytest.raises(StateError) as caught:
        member.look()
    assert (caught.value.code, member.joined) == ("SECOND_WRITER", False)
    sole.release()
    assert member.look() == 1
    member.leave()


def test_another_number_of_partitions_must_wait_until_all_have_ended(shared: sa.Engine) -> None:
    """It names both numbers, and joins nobody; alone it may have its own."""
    member, other = Member(shared, 4), Member(shared, 8)
    member.look()
    with pytest.raises(StateError, match="in 4 partitions, this one was started with 8") as caught:
        other.look()
    assert (caught.value.code, member.look()) == ("PARTITIONS", 1)
    member.leave()
    assert other.look() == 1
    other.leave()


def test_a_session_that_says_nothing_is_ended_by_the_database(shared: sa.Engine) -> None:
    """That is how a stopped process, or a machine without power, loses its seats."""
    member = Member(shared, 2)
    member.look()
    session = member._session
    assert session is not None
    assert session.exec_driver_sql("SHOW idle_session_timeout").scalar() == f"{SILENT_S}s"
    session.exec_driver_sql("SET idle_session_timeout = '50ms'")
    member.hold(0)
    rival = Member(shared, 2)
    assert _eventually_holds(rival, 0)
    with pytest.raises(Exception, match="idle-session timeout"):
        member.look()
    assert (member.joined, member.look(), member.hold(0)) == (False, 2, False)
    member.leave()
    rival.leave()


def _eventually_holds(member: Member, seat: int) -> bool:
    return any(member.look() and member.hold(seat) for _ in range(2_000))


def test_sqlite_has_one_writer(sqlite_database_url: str, nats_server: Broker) -> None:
    """It says so at once."""
    with (
        migrated(sqlite_database_url),
        pytest.raises(UsageError, match="only a PostgreSQL registry can be shared"),
        serving(sqlite_database_url, nats_server.url, partitions=2),
    ):
        pass


# The whole


def _until_logged(registry: Serving, engine: sa.Engine, count: int) -> None:
    registry.until(lambda: len(logged(engine)) >= count, f"{count} records are in the log")
    assert len(logged(engine)) == count


def _held(*registries: Serving) -> list[int]:
    return [
        sum("partition.taken" in line for line in list(registry.said))
        - sum("partition.left" in line for line in list(registry.said))
        for registry in registries
    ]


def _in_order(engine: sa.Engine) -> None:
    """Gapless positions, and each host's records in the order of their numbers."""
    assert positions(engine) == list(range(1, len(positions(engine)) + 1))
    with engine.connect() as connection:
        rows = connection.execute(sa.select(RecordLog.host, RecordLog.seq).order_by(RecordLog.position)).all()
    for host in {row.host for row in rows}:
        seqs = [row.seq for row in rows if row.host == host]
        assert seqs == sorted(seqs), host


def _applied(registry: Serving) -> bool:
    return any(batch.records for batch in list(registry.batches))


def test_two_registries_share_what_comes_and_each_publishes_its_own(shared: sa.Engine, nats_server: Broker) -> None:
    """What lay there before is consumed first; both then apply; every host is published, whoever did it."""
    with serving(_url(shared), nats_server.url) as sole:
        publish(nats_server.url, _snapshots(_names(0, 3)))
        _until_logged(sole, shared, 9)
    publish(nats_server.url, _snapshots(_names(3, 6)))  # stored before the broker deals
    with serving(_url(shared), nats_server.url, partitions=4) as first:
        _until_logged(first, shared, 18)
        with serving(_url(shared), nats_server.url, partitions=4) as second:
            second.until(lambda: _held(first, second) == [2, 2], "two each", BALANCED_WITHIN_S)
            publish(nats_server.url, _snapshots(_names(6, 40)))
            _until_logged(first, shared, 120)
            # A batch is told of after its commit: the rows may be seen before it.
            first.until(lambda: all(map(_applied, (first, second))), "both apply")
            first.until(lambda: _published(nats_server) == set(_names(0, 40)), "every host is published")
        first.until(lambda: _held(first) == [4], "all of them are left to the first", BALANCED_WITHIN_S)
        publish(nats_server.url, _snapshots(_names(40, 50)))
        _until_logged(first, shared, 150)
        first.until(lambda: _consumed(shared, nats_server) == 150, "none waits for what is not its own", 30.0)
    _in_order(shared)
    assert faults_of(shared) == []
    with serving(_url(shared), nats_server.url) as sole:  # one again: what the partitions consumed is no news
        publish(nats_server.url, _snapshots(["late"]))
        _until_logged(sole, shared, 153)
    with serving(_url(shared), nats_server.url, partitions=3) as other:
        publish(nats_server.url, _snapshots(["later"]))
        _until_logged(other, shared, 156)
    _in_order(shared)


def _consumed(engine: sa.Engine, broker: Broker) -> int:
    return Ledger(engine).consumed(life_of(stream_info(broker.url, RECORDS_STREAM)))


def _published(broker: Broker) -> set[str]:
    start = subjects.fleet_host("x")[:-1]
    return {msg.subject.removeprefix(start) for msg in fleet(broker.url) if msg.subject.startswith(start)}


def test_a_broker_that_lost_everything_is_filled_again_by_all(shared: sa.Engine, nats_server: Broker) -> None:
    """Its new streams deal again, and hold every partition's hosts."""
    with (
        serving(_url(shared), nats_server.url, partitions=2) as first,
        serving(_url(shared), nats_server.url, partitions=2) as second,
    ):
        second.until(lambda: _held(first, second) == [1, 1], "one each", BALANCED_WITHIN_S)
        records = _snapshots(_names(0, 10))
        publish(nats_server.url, records)
        _until_logged(first, shared, 30)
        wipe(nats_server)
        first.until(lambda: _dealing(nats_server), "the stream is there again, and deals", BALANCED_WITHIN_S)
        publish(nats_server.url, [*records, *_snapshots(["host-10"])])
        _until_logged(first, shared, 33)
        first.until(lambda: _published(nats_server) == set(_names(0, 11)), "every host is published")
    assert faults_of(shared) == []


def _dealing(broker: Broker) -> bool:
    try:
        return stream_info(broker.url, RECORDS_STREAM).config.subject_transform is not None
    except Exception:  # not there yet
        return False


def test_a_refused_record_is_known_by_the_subject_it_was_published_on(shared: sa.Engine, nats_server: Broker) -> None:
    """A slot is the broker's business: `quarantine retry` publishes to the record subject again."""
    with serving(_url(shared), nats_server.url, partitions=2) as registry:
        say(nats_server.url, subjects.record("host-1"), b"not json")
        registry.until(lambda: refused(shared) == [("open", "DECODE", 1)], "it is refused")
    with shared.connect() as connection:
        assert connection.exec_driver_sql("SELECT subject FROM quarantine").scalar() == subjects.record("host-1")


def test_room_is_made_of_what_was_consumed_only(nats_server: Broker) -> None:
    """The older half of it, and not before the stream is half full. A bound that comes late drops nothing either."""

    async def run() -> list[tuple[int, int]]:
        client = await connect(nats_server.url, creds=None, timeout_s=5, say=print)
        js = client.jetstream()
        await ensure_streams(js, Wanted(max_bytes=1_000_000))
        seen = []
        for stored, consumed in ((4, 4), (6, 3), (0, 3), (0, 10)):
            for _ in range(stored):
                await js.publish(subjects.record("host-1"), b"x" * 90_000)

            async def reached(_life: str, consumed: int = consumed) -> int:
                return consumed

            removed = await make_room(js, reached)
            seen.append((removed, (await js.stream_info(RECORDS_STREAM)).state.first_seq))
        await ensure_streams(js, Wanted(max_bytes=100_000))
        seen.append((0, (await js.stream_info(RECORDS_STREAM)).state.first_seq))
        await client.close()
        return seen

    assert asyncio.run(run()) == [(0, 1), (2, 3), (1, 4), (4, 8), (0, 8)]
