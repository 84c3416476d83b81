"""Who sends: sequence numbers, epochs, two agents with one id, and clocks that are wrong."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest
import sqlalchemy as sa

from mdevreg import wire
from mdevreg.facts import NOW, Moment
from mdevreg.published import decode_state
from mdevreg_server import presence
from mdevreg_server.sql_door import SqlDoor
from mdevreg_server.tables import HostState, RecordLog
from support.hosts import look, mtty
from support.oracle import check_every_moment
from support.processes import RunCli
from support.publisher import EPOCH_START, Publisher
from support.registry import START_US, Desk, Stream, logged, refused


def _at(record: bytes, seconds: float) -> bytes:
    """The same record, observed at another time."""
    decoded = wire.decode(record).record
    return wire.encode(msgspec.structs.replace(decoded, observed_at=EPOCH_START + timedelta(seconds=seconds)))


def _state(desk: Desk) -> sa.Row[str, int, int, int]:
    columns = (HostState.epoch, HostState.last_seq, HostState.settled, HostState.in_sync)
    with desk.engine.connect() as connection:
        return connection.execute(sa.select(*columns)).one()


def _disputed(desk: Desk) -> dict[str, str]:
    with desk.engine.connect() as connection:
        return presence.conflicts(connection, ["host-1"])


def test_a_new_epoch_starts_counting_anew_and_keeps_the_history(desk: Desk) -> None:
    """An agent that lost its outbox begins another life; what the old one said stays said."""
    desk.take(*Publisher(epoch="first").snapshot(look(mtty())))
    [receipt] = desk.take(*Publisher(epoch="second").snapshot(look(mtty(version="3")))).publications
    assert (receipt.epoch, receipt.settled) == ("second", 3)
    assert (refused(desk.engine), _disputed(desk)) == ([], {})
    with SqlDoor(desk.engine) as door:
        told = [change.position for change in door.history("alpha", NOW, 100).changes]
    assert min(told) == 1
    assert max(told) == 5


def test_a_seq_that_goes_back_with_other_bytes_is_a_second_agent(desk: Desk) -> None:
    """A copied outbox: both go on from the same number, and say different things."""
    one, two = Publisher(), Publisher()
    desk.take(*one.snapshot(look(mtty())))
    two.snapshot(look(mtty()))
    desk.take(*one.changes(look(mtty(free=2))))
    applied = desk.take(*two.changes(look(mtty(free=1))))
    assert refused(desk.engine) == [("open", "IDENTITY_CONFLICT", 1)]
    assert "two agents claim host id host-1" in _disputed(desk)["host-1"]
    [published] = applied.publications
    assert decode_state(published.data).conflict
    assert published.settled == 4  # the rival's record is settled for nobody; that is the first one's number


def test_a_left_epoch_that_comes_back_is_a_second_agent(desk: Desk) -> None:
    """Epochs are left for good."""
    first = Publisher(epoch="first")
    desk.take(*first.snapshot(look(mtty())))
    desk.take(*Publisher(epoch="second").snapshot(look(mtty())))
    applied = desk.take(*first.changes(look(mtty(free=0))))
    assert (applied.quarantined, list(_disputed(desk))) == (1, ["host-1"])
    assert _state(desk).epoch == "second"


def test_an_old_duplicate_of_a_left_epoch_is_no_second_agent(desk: Desk) -> None:
    """Redelivery may be slow; byte for byte what is in the log harms nobody."""
    first = Publisher(epoch="first").snapshot(look(mtty()))
    desk.take(*first)
    desk.take(*Publisher(epoch="second").snapshot(look(mtty())))
    assert desk.take(*first).duplicates == 3
    assert _disputed(desk) == {}


def test_nothing_is_merged_while_two_claim_an_id_and_all_goes_on_once_that_is_cleared(
    desk: Desk, database_url: str, run_cli: RunCli
) -> None:
    """A person decides. Then the agent that is left sends what it still has, and it is applied."""
    one, two = Publisher(), Publisher()
    desk.take(*one.snapshot(look(mtty())))
    two.snapshot(look(mtty()))
    desk.take(*one.changes(look(mtty(free=2))))
    desk.take(*two.changes(look(mtty(free=1))))
    unsettled = one.changes(look(mtty(free=0)))
    [receipt] = desk.take(*unsettled).publications or desk.ledger.publications(["host-1"])
    assert (receipt.settled, len(logged(desk.engine))) == (4, 4)
    listed = run_cli(["mdevreg-server", "conflict", "list", "--database", database_url])
    assert listed.stdout.splitlines()[0] == "1 disputed"
    assert run_cli(["mdevreg-server", "conflict", "clear", "host-1", "--database", database_url]).returncode == 0
    [receipt] = desk.take(*unsettled).publications
    assert (receipt.settled, decode_state(receipt.data).conflict) == (5, False)
    assert refused(desk.engine)[-1] == ("applied", "IDENTITY_CONFLICT", 1)
    again = run_cli(["mdevreg-server", "conflict", "clear", "host-1", "--database", database_url])
    assert (again.returncode, "NOT_FOUND" in again.stderr) == (2, True)


def test_a_gap_leaves_the_host_out_of_sync_until_it_is_closed(desk: Desk) -> None:
    """The digest says that something is missing; the verdict is unknown until it is there."""
    publisher = Publisher()
    desk.take(*publisher.snapshot(look(mtty())))
    lost = publisher.changes(look(mtty(), mtty("mtty2")))
    [receipt] = desk.take(*publisher.changes(look(mtty(free=1), mtty("mtty2")))).publications
    assert (receipt.settled, _state(desk).in_sync) == (3, 0)
    [receipt] = desk.take(*lost).publications
    assert (receipt.settled, _state(desk).in_sync) == (5, 1)


def test_a_clock_a_year_ahead_can_not_write_the_future(desk: Desk) -> None:
    """What was received was true by then: valid time is bounded by receipt."""
    year = 365 * 86_400
    publisher = Publisher()
    records = [_at(record, year + number) for number, record in enumerate(publisher.snapshot(look(mtty())))]
    desk.take(*records)
    received = EPOCH_START + timedelta(seconds=desk.stream.delay_s + 10)
    with SqlDoor(desk.engine) as door:
        assert door.host("alpha", Moment(as_of=received)).parents[0].name == "mtty"
    desk.take(_at(publisher.changes(look(mtty(free=1)))[0], 4))  # somebody set it right
    assert check_every_moment(desk.engine) > 0


@pytest.mark.parametrize("seconds", [-86_400 * 365 * 50, 0, 4])
def test_a_clock_that_was_set_back_can_not_reorder_a_hosts_life(desk: Desk, seconds: int) -> None:
    """What was said later became true later, or at the same time, whatever the clock showed."""
    publisher = Publisher()
    desk.take(*(_at(record, 100 + number) for number, record in enumerate(publisher.snapshot(look(mtty())))))
    desk.take(_at(publisher.changes(look(mtty(free=1)))[0], seconds))
    with SqlDoor(desk.engine) as door:
        [offer] = door.candidates("alpha/mtty/mtty-1", NOW).offers
        before = door.candidates("alpha/mtty/mtty-1", Moment(as_of=EPOCH_START + timedelta(seconds=101.5))).offers
    assert (offer.available_instances, [each.available_instances for each in before]) == (1, [3])
    assert check_every_moment(desk.engine) > 0


def test_the_log_keeps_the_times_as_observed(engine: sa.Engine) -> None:
    """What is bounded is the history; the observation itself stays on record."""
    desk = Desk(engine, Stream(delay_s=0))
    publisher = Publisher()
    desk.take(*(_at(record, 1e9) for record in publisher.snapshot(look(mtty()))))
    with engine.connect() as connection:
        observed = set(connection.scalars(sa.select(RecordLog.observed_at_us)))
    assert observed == {START_US + 10**15}
