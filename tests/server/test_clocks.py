"""Records of hosts whose clocks are wrong: flagged in history, bounded in time, and told alike for ever."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
import sqlalchemy as sa

from mdevreg import query, subjects, wire
from mdevreg.clocks import Skew
from mdevreg.facts import NOW, Change, Moment
from mdevreg.records import BEAT_SCHEMA, Beat
from mdevreg_server.broker import Broker
from mdevreg_server.presence import Heard, heard
from mdevreg_server.skews import Clock
from mdevreg_server.sql_door import SqlDoor
from mdevreg_server.tables import HostPresence, RecordClock
from support.bus_client import publish, say
from support.hosts import look, mtty
from support.processes import StartCli, eventually
from support.publisher import EPOCH_START, Publisher
from support.registry import START_US, Desk, rows

_AHEAD_DAYS = timedelta(days=9)


def _at(record: bytes, when: str) -> bytes:
    """The same record, observed when a clock said that."""
    fields = msgspec.json.decode(record)
    return msgspec.json.encode(fields | {"observed_at": when})


def _measure(desk: Desk, host: str, skew_s: float, *, beyond: bool = True) -> None:
    clock = Clock(Skew(int(skew_s * 1e6), START_US), beyond=beyond)
    with desk.engine.begin() as connection:
        heard(connection, {host: Heard(START_US, clock=clock)})


def _history(desk: Desk, moment: Moment = NOW, name: str = "host-1") -> tuple[Change, ...]:
    with SqlDoor(desk.engine) as door:
        return door.history(name, moment, 1_000).changes


def _flags(changes: tuple[Change, ...]) -> dict[int, tuple[str | None, float | None]]:
    return {change.position: (change.flag, change.clock_skew_s) for change in changes}


def test_a_record_from_the_future_is_flagged_by_the_log_alone_and_bounded_by_its_receipt(desk: Desk) -> None:
    """All three times are kept; what is told of before is not moved by it."""
    records = Publisher().snapshot(look(mtty()))
    fast = (EPOCH_START + _AHEAD_DAYS).isoformat()
    desk.take(records[0], _at(records[1], fast), records[2])
    parent = next(change for change in _history(desk) if change.object == "parent")
    received = EPOCH_START + timedelta(seconds=3_602)
    assert (parent.valid_from, parent.received_at) == (received, received)
    assert parent.observed_at == EPOCH_START + _AHEAD_DAYS
    assert parent.committed_at is not None
    assert parent.committed_at >= received
    ahead_s = (EPOCH_START + _AHEAD_DAYS - received).total_seconds()
    assert _flags(_history(desk)) == {1: (None, None), 2: ("CLOCK_AHEAD", ahead_s)}


@pytest.mark.parametrize("skew_s", [-7_200.25, 90.0])
def test_records_that_are_committed_while_a_clock_is_measured_wrong_are_flagged(desk: Desk, skew_s: float) -> None:
    """Of that host, from then until it is right; the flag stays, whatever is measured later."""
    one, other = Publisher(), Publisher("host-2")
    desk.take(*one.snapshot(look(mtty())), *other.snapshot(look(mtty())))
    _measure(desk, "host-1", skew_s)
    desk.take(*one.changes(look(mtty(free=1))), *other.changes(look(mtty(free=1))))
    _measure(desk, "host-1", 0.001, beyond=False)
    desk.take(*one.changes(look(mtty(free=0))))
    flag = ("CLOCK_AHEAD" if skew_s > 0 else "CLOCK_BEHIND", skew_s)
    assert _flags(_history(desk)) == {1: (None, None), 2: (None, None), 7: flag, 9: (None, None)}
    assert set(_flags(_history(desk, name="host-2")).values()) == {(None, None)}
    assert rows(desk.engine, RecordClock) == [(7, int(skew_s * 1e6))]


def test_a_flag_is_part_of_what_was_known_then_and_survives_a_rebuild(desk: Desk) -> None:
    """An answer about the past does not depend on what is measured now, nor on the projections."""
    publisher = Publisher()
    desk.take(*publisher.snapshot(look(mtty())))
    _measure(desk, "host-1", -60)
    desk.take(*publisher.changes(look(mtty(free=1))))
    then = Moment(known_at=4)
    told = _history(desk, then)
    assert ("CLOCK_BEHIND", -60.0) in _flags(told).values()
    _measure(desk, "host-1", 3_600)
    desk.take(*publisher.changes(look(mtty(free=0))))
    assert _history(desk, then) == told
    desk.ledger.rebuild()
    assert _history(desk, then) == told
    assert rows(desk.engine, RecordClock) == [(4, -60_000_000), (5, 3_600_000_000)]


def test_a_late_record_is_flagged_and_a_duplicate_is_not_flagged_twice(desk: Desk) -> None:
    """Whatever way a record takes into the log; and nothing is left of a batch that failed."""
    publisher = Publisher()
    snapshot = publisher.snapshot(look(mtty()))
    late, last = publisher.changes(look(mtty(free=2))), publisher.changes(look(mtty(free=1)))
    _measure(desk, "host-1", 90)
    desk.take(*snapshot, *last)
    desk.take(*late, *last)
    assert [position for position, _ in rows(desk.engine, RecordClock)] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("when", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "1969-12-31T00:00:00Z"])
def test_the_ends_of_the_calendar_are_times_too(desk: Desk, when: str) -> None:
    """A clock may say anything: the record is kept, and every question about it answered."""
    publisher = Publisher()
    desk.take(*(_at(record, when) for record in publisher.snapshot(look(mtty()))))
    desk.take(*publisher.changes(look(mtty(free=1))))
    changes = _history(desk)
    assert len(changes) == 4 + 1
    bounds = (datetime(1970, 1, 1, tzinfo=UTC), EPOCH_START + timedelta(hours=2))
    assert all(bounds[0] <= change.valid_from <= bounds[1] for change in changes)
    assert {change.flag for change in changes[:4]} == ({"CLOCK_AHEAD"} if when.startswith("9") else {None})
    with SqlDoor(desk.engine) as door:
        assert [host.devices for host in door.hosts(NOW).hosts] == [0]
    with desk.engine.connect() as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM record_log")) == 4


def test_the_bound_is_an_operators_option(engine: sa.Engine, nats_server: Broker, start_cli: StartCli) -> None:
    """A registry as a process, alone or as one of several; its records of a wrong clock are flagged, through NATS."""
    shared = ["--partitions", "2"] if engine.dialect.name == "postgresql" else []
    where = ["--database", engine.url.render_as_string(hide_password=False), "--nats", nats_server.url]
    registry = start_cli(["mdevreg-server", "serve", *where, "--max-clock-skew", "30", *shared])
    registry.wait_for("registry.ready")
    within, beyond = Publisher("within"), Publisher("beyond")
    say(nats_server.url, subjects.beat("within"), _beat(within, 20))
    say(nats_server.url, subjects.beat("beyond"), _beat(beyond, -40))
    registry.wait_for("clock.skewed host=beyond skew_s=-40")
    eventually(lambda: bool(_skewed(engine)), "it is written")
    publish(nats_server.url, [record for each in (within, beyond) for record in each.snapshot(look(mtty()))])
    with query.open(nats_server.url) as door:
        eventually(lambda: len(door.hosts(NOW).hosts) == 2, "they are there")
        eventually(lambda: all(len(door.history(host, NOW, 9).changes) == 4 for host in ("within", "beyond")), "whole")
        found = {host: {change.flag for change in door.history(host, NOW, 9).changes} for host in ("within", "beyond")}
        skews = {host.evidence.host: host.evidence.clock_skew_s for host in door.hosts(NOW).hosts}
    assert found == {"within": {None}, "beyond": {"CLOCK_BEHIND"}}
    assert skews == {"within": None, "beyond": pytest.approx(-40, abs=2)}


def _skewed(engine: sa.Engine) -> list[str]:
    with engine.connect() as connection:
        return list(connection.scalars(sa.select(HostPresence.host).where(HostPresence.skew_beyond_us.is_not(None))))


def _beat(publisher: Publisher, ahead_s: float) -> bytes:
    at = datetime.now(UTC) + timedelta(seconds=ahead_s)
    epoch, digest = publisher.epoch, publisher.digest
    return wire.encode(Beat(schema=BEAT_SCHEMA, host=publisher.host, epoch=epoch, seq=0, digest=digest, at=at))
