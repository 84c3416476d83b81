"""Events over real parts: derived of the timelines, published once, whatever is killed in between."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from msgspec import structs
from nats.aio.client import Client

from mdevreg import query
from mdevreg.deriving import Called
from mdevreg.errors import DecodeError
from mdevreg.events import DATA, decode_event, event_of, typed
from mdevreg.facts import NOW
from mdevreg.rules import Rule, Scope
from mdevreg_server import crier, doubts
from mdevreg_server.broker import Broker
from mdevreg_server.chronicle import Chronicle
from mdevreg_server.doubts import Doubted
from mdevreg_server.tables import HostPresence, table_of
from support.bus_client import publish, stream_info, with_client
from support.hosts import crooked, look, mtty, some_life, told
from support.nats_server import StartBroker
from support.publisher import Publisher
from support.registry import Desk, migrated
from support.serving import Serving, serving
from support.told_events import LATER, derived, facts_by_entries, mark_of, of_the_log, published, set_mark

RULE = Rule(
    id="draft",
    effect="deny",
    author="alice",
    message="known-bad",
    valid_from=datetime(2026, 1, 1, tzinfo=UTC),
    where=Scope(type=("mtty-1",)),
)


@pytest.fixture
def database(database_url: str) -> Iterator[sa.Engine]:
    with migrated(database_url) as engine:
        yield engine


def _filled(engine: sa.Engine, seed: int) -> Desk:
    """Two hosts' lives, out of order, doubled, in batches of any size."""
    chance, desk = random.Random(seed), Desk(engine)
    lives = [told(Publisher(host), some_life(chance)) for host in ("host-1", "host-2")]
    for one, other in zip(*(crooked(life, chance) for life in lives), strict=False):
        desk.take(*one, *other)
    return desk


@pytest.mark.parametrize("seed", range(3))
def test_entries_add_up_to_the_facts_as_known_at_every_position(engine: sa.Engine, seed: int) -> None:
    """Late records, doubles, snapshots and what a batch both adds and takes away: read in lots of any size."""
    desk = _filled(engine, seed)
    with engine.connect() as connection:
        for position in sorted(random.Random(seed).sample(range(desk.ledger.position + 1), 12)):
            facts = Chronicle().facts_at(connection, position, LATER)
            lot = random.Random(seed + position).choice([1, 3, 1_000])
            assert facts_by_entries(connection, position, lot=lot) == facts


def test_lots_of_any_size_tell_the_same_events(engine: sa.Engine) -> None:
    """Nothing between two looks at the log is left out."""
    _filled(engine, 7)
    whole = derived(engine, 0, "urn:x")
    assert len(whole) > 20
    assert len({event.id for event in whole}) == len(whole)
    for lot in (1, 2, 7):
        assert derived(engine, 0, "urn:x", lot=lot) == whole
    middle = whole[len(whole) // 2].position
    assert derived(engine, middle, "urn:x") == [event for event in whole if event.position > middle]


def _all_told(registry: Serving, engine: sa.Engine, records: int = 0) -> None:
    """Wait until so many records are committed, and the log's end is marked as told."""
    registry.until(lambda: sum(len(batch.records) for batch in registry.batches) >= records, f"{records} are committed")
    with engine.connect() as connection:
        newest = connection.scalar(sa.text("SELECT max(position) FROM record_log"))
    registry.until(lambda: mark_of(engine).position == newest, f"events are told up to {newest}")


def test_events_are_published_in_log_order_with_one_id_each(database: sa.Engine, nats_server: Broker) -> None:
    """The whole way, and each as its schema says."""
    url = database.url.render_as_string(hide_password=False)
    one, other = Publisher("host-1"), Publisher("host-2")
    with serving(url, nats_server.url) as registry, query.open(nats_server.url) as door:
        begin = mark_of(database)
        publish(nats_server.url, one.snapshot(look(mtty(version="1", devices=[1]))))
        publish(nats_server.url, other.snapshot(look(mtty(version="2", minimum="2"), hostname="beta")))
        registry.until(lambda: len(door.hosts(NOW).hosts) == 2, "both are known")
        door.add_rule(RULE)
        publish(nats_server.url, one.changes(look(mtty(version="2", minimum="1", devices=[1]))))
        _all_told(registry, database, records=7)
    events = published(nats_server.url)
    assert of_the_log(events) == derived(database, begin.position, begin.source)
    assert [event.position for event in events] == sorted(event.position for event in events)
    assert {"driver.changed", "offer.appeared", "pair.became_incompatible", "device.stranded"} <= {
        e.kind for e in events
    }
    assert all(isinstance(typed(event), DATA[event.kind]) for event in events)
    assert {event.source for event in events} == {begin.source}


def test_killed_between_publishing_and_marking_nothing_is_lost_or_doubled(
    database: sa.Engine, nats_server: Broker
) -> None:
    """At every position: the next registry goes on at the mark, and the stream tells which events it has."""
    url = database.url.render_as_string(hide_password=False)
    with serving(url, nats_server.url) as registry:
        begin = mark_of(database)
        records = told(Publisher("host-1"), some_life(random.Random(3)))
        publish(nats_server.url, records)
        _all_told(registry, database, len(records))
    _forget_ids(nats_server.url)
    expected = derived(database, begin.position, begin.source)
    positions = sorted({event.position for event in expected})
    for position in (begin.position, positions[len(positions) // 2] - 1):
        set_mark(database, structs.replace(mark_of(database), position=position, stream_seq=0))
        with serving(url, nats_server.url) as registry:
            _all_told(registry, database)
        assert of_the_log(published(nats_server.url)) == expected


def _forget_ids(url: str) -> None:
    """Make the broker's own window of duplicates as short as a crash may be long."""

    async def work(client: Client) -> None:
        js = client.jetstream()
        config = (await js.stream_info("MDEVREG_EVENTS")).config
        await js.update_stream(config.evolve(duplicate_window=0.1))

    with_client(url, work)


def test_of_a_stream_that_lost_its_end_the_log_tells_again(database: sa.Engine, nats_server: Broker) -> None:
    """A broker's power cut: what it had acknowledged is not there."""
    url = database.url.render_as_string(hide_password=False)
    with serving(url, nats_server.url) as registry:
        begin = mark_of(database)
        records = told(Publisher("host-1"), some_life(random.Random(4)))
        publish(nats_server.url, records)
        _all_told(registry, database, len(records))
    expected = derived(database, begin.position, begin.source)
    mark = mark_of(database)
    set_mark(database, structs.replace(mark, stream_seq=mark.stream_seq + 3))
    half = stream_info(nats_server.url, "MDEVREG_EVENTS").state.last_seq
    with serving(url, nats_server.url) as registry:
        registry.until_said("events.lost count=3")
        _all_told(registry, database)
    assert of_the_log(published(nats_server.url)) == expected
    assert stream_info(nats_server.url, "MDEVREG_EVENTS").state.last_seq == half


def test_a_wiped_broker_is_told_what_comes_and_not_what_was(database: sa.Engine, start_broker: StartBroker) -> None:
    """The mark is the log's, not the stream's."""
    url = database.url.render_as_string(hide_password=False)
    publisher, first = Publisher("host-1"), start_broker()
    with serving(url, first.url) as registry:
        publish(first.url, publisher.snapshot(look(mtty(version="1"))))
        _all_told(registry, database, records=3)
    second, mark = start_broker(), mark_of(database)
    with serving(url, second.url) as registry:
        publish(second.url, publisher.changes(look(mtty(version="2"))))
        _all_told(registry, database, records=1)
    events = published(second.url)
    assert events == derived(database, mark.position, mark.source)
    assert "driver.changed" in [event.kind for event in events]


def test_a_rule_that_ends_by_itself_turns_pairs_though_the_log_is_still(
    database: sa.Engine, nats_server: Broker
) -> None:
    """By the registry's clock; told once, also to who starts later."""
    url = database.url.render_as_string(hide_password=False)
    with serving(url, nats_server.url) as registry, query.open(nats_server.url) as door:
        publish(nats_server.url, Publisher("host-1").snapshot(look(mtty())))
        registry.until(lambda: bool(published(nats_server.url)), "something is told")
        until = datetime.now(UTC) + timedelta(seconds=2)
        door.add_rule(structs.replace(RULE, valid_until=until))
        registry.until(lambda: published(nats_server.url)[-1].id.startswith("t"), "the clock turned it")
        _all_told(registry, database)
    with serving(url, nats_server.url):
        pass
    turned = [event for event in published(nats_server.url) if event.kind.startswith("pair.")]
    assert [(event.data["before"], event.data["after"], event.data["because"]) for event in turned] == [
        (None, "compatible", "record"),
        ("compatible", "incompatible", "rule"),
        ("incompatible", "compatible", "time"),
    ]
    assert turned[-1].time == until.replace(microsecond=until.microsecond)


def test_silent_hosts_are_told_stale_once_and_fresh_when_they_are_heard(
    database: sa.Engine, nats_server: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also over a restart; and nobody is silent to a registry that has not listened yet."""
    monkeypatch.setattr(crier, "DOUBTS_EVERY_S", 0.05)
    url = database.url.render_as_string(hide_password=False)
    publisher = Publisher("host-1")

    def heard(us: int, **fields: object) -> None:
        with database.begin() as connection:
            connection.execute(sa.update(table_of(HostPresence)).values(last_seen_us=us, **fields))

    def kinds() -> list[str]:
        return [event.kind for event in published(nats_server.url) if event.kind.startswith("host.")]

    with serving(url, nats_server.url) as registry:
        publish(nats_server.url, publisher.snapshot(look(mtty(version="1"))))
        registry.until(lambda: bool(published(nats_server.url)), "something is told")
        registry.until(lambda: _presence(database) > 0, "it is present")
    heard(1_000_000)
    with serving(url, nats_server.url) as registry:
        publish(nats_server.url, publisher.changes(look(mtty(version="1", free=1))))
        registry.until(lambda: _presence(database) > 1_000_000, "it is heard")
        assert kinds() == []  # it was silent for years, and nobody had listened long enough to say so
    monkeypatch.setattr(crier, "LISTENED_S", 0.0)
    heard(1_000_000)
    with serving(url, nats_server.url) as registry:
        registry.until(lambda: kinds() == ["host.stale"], "it is told stale")
    with serving(url, nats_server.url) as registry:
        publish(nats_server.url, publisher.changes(look(mtty(version="1", free=2))))
        registry.until(lambda: kinds() == ["host.stale", "host.fresh"], "it is told fresh")
        heard(_presence(database), conflict="two agents", conflict_since_us=5)
        registry.until(lambda: kinds()[2:] == ["host.conflict"], "it is in conflict")
    stale, fresh, conflict = [event for event in published(nats_server.url) if event.kind.startswith("host.")]
    assert stale.data["why"] == "silent"
    assert stale.data["last_seen"] == "1970-01-01T00:00:01Z"
    assert fresh.data["before"] == "stale"
    assert conflict.data["detail"] == "two agents"
    assert {event.data["hostname"] for event in (stale, fresh, conflict)} == {"alpha"}


def _presence(engine: sa.Engine) -> int:
    with engine.connect() as connection:
        return connection.scalar(sa.select(sa.func.max(HostPresence.last_seen_us))) or 0


def test_a_goodbye_after_silence_says_nothing_new() -> None:
    """Both are stale; a conflict is another doubt, and ends as one."""
    called = {"h": Called("h", "alpha", "lab")}

    def kinds(before: Doubted | None, after: Doubted | None) -> list[tuple[str, str]]:
        now = doubts.Presence({"h": after} if after else {}, {"h": 9})
        told_before = {"h": before} if before else {}
        found = doubts.turned(told_before, now, called, 3, 10)
        return [(happening.kind, place.name) for _, _, place, happening in found]

    silent, left, conflict = Doubted("silent", 5), Doubted("left", 6), Doubted("conflict", 7, "two")
    assert kinds(silent, left) == []
    assert kinds(None, left) == [("host.stale", "p6")]
    assert kinds(left, conflict) == [("host.conflict", "p7")]
    assert kinds(conflict, silent) == [("host.stale", "p5")]
    assert kinds(conflict, None) == [("host.fresh", "p7")]


def test_a_fault_in_telling_stops_no_ingest(
    database: sa.Engine, nats_server: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said, and begun again at the mark."""
    url = database.url.render_as_string(hide_password=False)

    def broken(*_args: object) -> None:
        raise ZeroDivisionError("a fault of ours")

    monkeypatch.setattr("mdevreg_server.crier.event_of", broken)
    with serving(url, nats_server.url) as registry:
        publish(nats_server.url, Publisher("host-1").snapshot(look(mtty())))
        registry.until_said("a fault of ours")
        publish(nats_server.url, Publisher("host-2").snapshot(look(mtty(), hostname="beta")))
        registry.until(lambda: sum(len(batch.records) for batch in registry.batches) >= 6, "ingest goes on")
        monkeypatch.setattr("mdevreg_server.crier.event_of", event_of)
        registry.until(lambda: {event.subject for event in published(nats_server.url)} >= {"host-1", "host-2"}, "told")
        _all_told(registry, database)


def test_campaigns_are_told_as_their_entries_say(engine: sa.Engine) -> None:
    """Created, then ended; what can't be read says nothing, and stops nobody."""
    desk = Desk(engine)
    told_of = {"name": "q4", "author": "alice", "wanted": {"name": "nvidia", "version": "570.124.03"}, "message": "Q4"}
    ended = {**told_of, "ended": "2026-11-27T10:00:00Z", "ended_by": "bob", "reason": "done"}
    bodies = [json.dumps({"schema": "1.0", "change": {"kind": "campaign", "campaign": c}}) for c in (told_of, ended)]
    for body in (*bodies, "{}"):
        with desk.ledger.tending() as connection:
            desk.ledger.append(connection, "intent", "campaign", body.encode(), now_us=desk.now_us)
    created, over = derived(engine, 0, "urn:x")
    assert (created.kind, created.subject, created.data["wanted"]) == ("campaign.created", "q4", told_of["wanted"])
    assert (over.kind, over.data["ended_by"], over.data["reason"]) == ("campaign.ended", "bob", "done")


def test_several_registries_tell_each_event_once(postgresql_database_url: str, nats_server: Broker) -> None:
    """The leading one tells what all of them commit; who takes over goes on."""
    with migrated(postgresql_database_url) as engine:
        lives = {f"host-{n}": told(Publisher(f"host-{n}"), some_life(random.Random(n))) for n in range(6)}
        records = [record for life in lives.values() for record in life]
        with serving(postgresql_database_url, nats_server.url, partitions=4) as first:
            begin = mark_of(engine)
            with serving(postgresql_database_url, nats_server.url, partitions=4) as second:
                publish(nats_server.url, records)

                def committed() -> int:
                    return sum(len(batch.records) for each in (first, second) for batch in each.batches)

                first.until(lambda: committed() >= len(records), "all is committed")
                first.stop()
                _all_told(second, engine)
        assert of_the_log(published(nats_server.url)) == derived(engine, begin.position, begin.source)


def test_what_is_no_event_is_refused_with_its_place() -> None:
    """A reader of the stream passes over it."""
    with pytest.raises(DecodeError, match=r"specversion"):
        decode_event(b'{"specversion":"0.3"}')
