"""The whole line with a real broker and a real database: nothing lost, nothing doubled, whatever breaks."""

from __future__ import annotations

import sqlite3
import time

import pytest
import sqlalchemy as sa

from mdevreg import subjects, wire
from mdevreg.errors import StateError
from mdevreg.published import decode_state
from mdevreg_server.broker import Broker
from mdevreg_server.wholeness import faults_of
from support.bus_client import fleet, publish, stream_info
from support.hosts import look, mtty, random_text
from support.nats_server import StartBroker, restart, wipe
from support.processes import RunCli
from support.publisher import Publisher
from support.registry import logged, migrated, projections, refused
from support.serving import Serving, serving

#: Ends every other connection to this database.
_CUT = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


def _records(count: int, first: int = 1) -> list[bytes]:
    names = [f"host-{number}" for number in range(first, first + count)]
    return [record for name in names for record in Publisher(name).snapshot(look(mtty(), hostname=name))]


def _until_logged(registry: Serving, engine: sa.Engine, count: int) -> None:
    registry.until(lambda: len(logged(engine)) >= count, f"{count} records are in the log")
    assert len(logged(engine)) == count


def test_records_become_history_and_come_back_as_receipts_in_log_order(engine: sa.Engine, nats_server: Broker) -> None:
    """Pull, decode, commit, ack, publish: the fleet stream is the current state and every agent's receipt."""
    url = engine.url.render_as_string(hide_password=False)
    with serving(url, nats_server.url) as registry:
        publisher = Publisher("host-1")
        publish(nats_server.url, publisher.snapshot(look(mtty())))
        publish(nats_server.url, _records(2, first=2))
        publish(nats_server.url, publisher.changes(look(mtty(free=1))))
        _until_logged(registry, engine, 10)
        registry.until(lambda: len(fleet(nats_server.url)) == 3, "three hosts are published")
        messages = fleet(nats_server.url)
    assert [message.subject for message in messages] == [subjects.fleet_host(f"host-{n}") for n in (2, 3, 1)]
    positions = [int((message.headers or {})[subjects.POSITION_HEADER]) for message in messages]
    assert positions == sorted(positions)
    receipt = messages[-1].headers or {}
    assert receipt[subjects.SEQ_HEADER] == "4"
    assert (receipt[subjects.EPOCH_HEADER], receipt[subjects.DIGEST_HEADER]) == ("epoch-1", publisher.digest)
    assert decode_state(messages[-1].data).digest == publisher.digest
    assert faults_of(engine) == []


def test_what_came_while_the_registry_was_away_is_consumed_when_it_is_back(
    engine: sa.Engine, nats_server: Broker
) -> None:
    """The broker keeps it; the position in SQL says where to go on."""
    url = engine.url.render_as_string(hide_password=False)
    with serving(url, nats_server.url) as registry:
        publish(nats_server.url, _records(1))
        _until_logged(registry, engine, 3)
    publish(nats_server.url, _records(2, first=2))
    with serving(url, nats_server.url) as registry:
        _until_logged(registry, engine, 9)
        assert any("from_seq=4" in line for line in registry.said)


def test_bad_messages_of_any_size_are_kept_and_the_line_goes_on(engine: sa.Engine, start_broker: StartBroker) -> None:
    """Ten MiB through a broker that lets them pass; the record behind it is applied."""
    broker = start_broker(max_payload=16 * 1024 * 1024)
    with serving(engine.url.render_as_string(hide_password=False), broker.url) as registry:
        big = b'{"schema":"1.0","host":"host-1","epoch":"epoch-1","seq":1,"x":"' + b"x" * (10 * 1024 * 1024) + b'"}'
        publish(broker.url, [big, b"not json", *_records(1, first=2)])
        _until_logged(registry, engine, 3)
    assert refused(engine) == [("open", "TOO_LARGE", 1), ("open", "DECODE", 1)]


def test_a_record_that_the_database_refuses_is_isolated(engine: sa.Engine, nats_server: Broker) -> None:
    """An index row that PostgreSQL will not take must not stop all hosts behind it."""
    with serving(engine.url.render_as_string(hide_password=False), nats_server.url) as registry:
        publish(nats_server.url, Publisher("host-1").snapshot(look(mtty(), hostname=random_text(4_000))))
        publish(nats_server.url, _records(1, first=2))
        registry.until(lambda: "host-2" in {epoch for _, epoch in _hosts(engine)}, "the next host is there")
    postgresql = engine.dialect.name == "postgresql"
    assert refused(engine) == ([("open", "APPLY_FAILED", 1)] if postgresql else [])


def _hosts(engine: sa.Engine) -> list[tuple[int, str]]:
    with engine.connect() as connection:
        found = connection.execute(sa.text("SELECT position, host FROM record_log"))
        return [(row.position, row.host) for row in found]


def test_a_refused_record_that_is_tried_again_goes_down_the_line_like_any_other(
    sqlite_database_url: str, nats_server: Broker, run_cli: RunCli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the upgrade it is refused once more and counted; after it, applied. `quarantine retry` only publishes."""
    publisher = Publisher()
    records = publisher.snapshot(look(mtty()))
    retry = ["mdevreg-server", "quarantine", "retry", "1", "--nats", nats_server.url, "--database", sqlite_database_url]
    with migrated(sqlite_database_url) as engine, serving(sqlite_database_url, nats_server.url) as registry:
        publish(nats_server.url, records)
        _until_logged(registry, engine, 3)
        with monkeypatch.context() as older:  # a program that does not know this schema yet
            older.setattr(wire, "SCHEMA_MAJOR", 0)
            publish(nats_server.url, publisher.changes(look(mtty(free=1))))
            registry.until(lambda: refused(engine) == [("open", "SCHEMA_VERSION", 1)], "it is refused")
            assert run_cli(retry).returncode == 0
            registry.until(lambda: refused(engine) == [("open", "SCHEMA_VERSION", 2)], "it is refused again")
        done = run_cli(retry)
        assert (done.returncode, "published again" in done.stdout) == (0, True)
        _until_logged(registry, engine, 4)
        assert refused(engine) == [("applied", "SCHEMA_VERSION", 2)]
    stopped = run_cli(["mdevreg-server", "quarantine", "retry", "9", "--database", sqlite_database_url])
    assert (stopped.returncode, "NOT_FOUND" in stopped.stderr) == (2, True)


def test_a_broker_without_jetstream_is_told_with_the_way_out(
    engine: sa.Engine, start_broker: StartBroker, run_cli: RunCli
) -> None:
    """Exit code 2, at once."""
    broker = start_broker(jetstream=False)
    url = engine.url.render_as_string(hide_password=False)
    with pytest.raises(StateError, match="start it with `nats-server -js`") as caught, serving(url, broker.url):
        pass
    assert caught.value.code == "NO_JETSTREAM"
    if engine.dialect.name == "sqlite":
        done = run_cli(["mdevreg-server", "serve", "--database", url, "--nats", broker.url])
        assert (done.returncode, "mdevreg-server: NO_JETSTREAM: " in done.stderr) == (2, True)


def test_a_broker_that_restarts_is_waited_for(engine: sa.Engine, nats_server: Broker) -> None:
    """The power fails under a registry that runs: it attaches again by itself."""
    with serving(engine.url.render_as_string(hide_password=False), nats_server.url) as registry:
        publish(nats_server.url, _records(2))
        _until_logged(registry, engine, 6)
        restart(nats_server)
        publish(nats_server.url, _records(2, first=3))
        _until_logged(registry, engine, 12)
    assert faults_of(engine) == []


def test_a_broker_that_lost_everything_gets_its_streams_and_the_fleet_again(
    engine: sa.Engine, nats_server: Broker
) -> None:
    """The broker may be wiped at any time; what agents then send again is doubled nowhere."""
    with serving(engine.url.render_as_string(hide_password=False), nats_server.url) as registry:
        records = _records(3)
        publish(nats_server.url, records)
        _until_logged(registry, engine, 9)
        wipe(nats_server)
        registry.until(lambda: sum("ingest.attached" in line for line in registry.said) >= 2, "it attaches again")
        assert [message.subject for message in fleet(nats_server.url)] == [
            subjects.fleet_host(f"host-{number}") for number in (1, 2, 3)
        ]
        publish(nats_server.url, [*records, *_records(1, first=4)])
        _until_logged(registry, engine, 12)
        # A batch is told of after its commit: the rows may be seen before it.
        registry.until(lambda: sum(batch.duplicates for batch in list(registry.batches)) >= 9, "all nine came twice")
        assert sum(batch.duplicates for batch in registry.batches) == 9


def test_a_consumer_that_was_acked_beyond_the_database_is_read_again(engine: sa.Engine, nats_server: Broker) -> None:
    """The database is an older copy, here the oldest there is: the broker's replay buffer brings it up to date."""
    with serving(engine.url.render_as_string(hide_password=False), nats_server.url) as registry:
        publish(nats_server.url, _records(3))
        _until_logged(registry, engine, 9)
        registry.until(lambda: len(fleet(nats_server.url)) == 3, "all is published")
    before = projections(engine)
    with engine.begin() as connection:
        for table in (*before, "record_log", "stream_position"):
            connection.exec_driver_sql(f"DELETE FROM {table}")
    with serving(engine.url.render_as_string(hide_password=False), nats_server.url) as registry:
        _until_logged(registry, engine, 9)
    assert projections(engine) == before
    assert stream_info(nats_server.url, subjects.RECORDS_STREAM).state.messages == 9


def test_a_database_that_is_locked_is_waited_for(engine: sa.Engine, nats_server: Broker) -> None:
    """Somebody's long transaction: nothing is acked meanwhile, nothing is lost, the registry says that it waits."""
    with serving(engine.url.render_as_string(hide_password=False), nats_server.url) as registry:
        publish(nats_server.url, _records(1))
        _until_logged(registry, engine, 3)
        _lock_for_a_while(engine, registry, nats_server)
        _until_logged(registry, engine, 9)
    assert faults_of(engine) == []


def _lock_for_a_while(engine: sa.Engine, registry: Serving, broker: Broker) -> None:
    if engine.dialect.name == "sqlite":
        holder = sqlite3.connect(str(engine.url.database), isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        publish(broker.url, _records(2, first=2))
        registry.until_said("code=DATABASE_LOCKED", timeout_s=15.0)
        holder.execute("ROLLBACK")
        holder.close()
        return
    with engine.begin() as connection:
        connection.exec_driver_sql("LOCK TABLE record_log")
        publish(broker.url, _records(2, first=2))
        time.sleep(0.5)


def test_a_database_that_hangs_up_is_reached_again(postgresql_database_url: str, nats_server: Broker) -> None:
    """Every connection is cut in the midst: the registry reconnects, believes the database, and goes on."""
    with migrated(postgresql_database_url) as engine:
        with serving(postgresql_database_url, nats_server.url) as registry:
            publish(nats_server.url, _records(1))
            _until_logged(registry, engine, 3)
            with engine.begin() as connection:
                connection.exec_driver_sql(_CUT)
            publish(nats_server.url, _records(2, first=2))
            _until_logged(registry, engine, 9)
        assert faults_of(engine) == []


def test_a_second_registry_on_the_database_is_turned_away_and_the_first_goes_on(
    engine: sa.Engine, nats_server: Broker
) -> None:
    """Started by mistake: it says so and ends; nothing happens to the one that was there."""
    url = engine.url.render_as_string(hide_password=False)
    with serving(url, nats_server.url) as registry:
        with pytest.raises(StateError, match="another registry") as caught, serving(url, nats_server.url):
            pass
        assert caught.value.code == "SECOND_WRITER"
        publish(nats_server.url, _records(1))
        _until_logged(registry, engine, 3)
