"""Beats: who is alive, who lacks a receipt, who claims another's id. Real beats over a real broker, a clock of ours."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from nats.aio.client import Client

from mdevreg import subjects, wire
from mdevreg.errors import UnreachableError
from mdevreg.records import BEAT_SCHEMA, EMPTY_DIGEST, Beat
from mdevreg.times import moment_of
from mdevreg_server import pulse
from mdevreg_server.broker import Broker
from mdevreg_server.presence import Heard
from mdevreg_server.pulse import Pulse
from mdevreg_server.skews import Skews
from mdevreg_server.tables import HostPresence, table_of
from support.hosts import look, mtty
from support.publisher import Publisher
from support.registry import START_US, Desk
from support.registry_peer import until


class Ward:
    """A pulse on a clock that the test turns; ``asked``: whose receipts it wanted published."""

    def __init__(self, engine: sa.Engine, writer: ThreadPoolExecutor, client: Client) -> None:
        self.engine, self.client = engine, client
        self.now_us = START_US
        self.asked: list[str] = []
        self.said: list[str] = []
        self.broken: Exception | None = None
        self.written: list[dict[str, Heard]] = []
        self.pulse = Pulse(
            engine,
            writer,
            now_us=lambda: self.now_us,
            publish=self._publish,
            say=self.said.append,
            written=lambda signs: self.written.append(dict(signs)),
            catch_up=self._catch_up,
        )
        self.caught_up = 0

    async def _catch_up(self) -> None:
        self.caught_up += 1
        if self.broken is not None:
            raise self.broken

    async def _publish(self, hosts: Sequence[str]) -> None:
        if self.broken is not None:
            raise self.broken
        self.asked += hosts

    async def beat(
        self, publisher: Publisher, *, leaving: bool = False, subject: str | None = None, ahead_us: int | None = None
    ) -> None:
        """A beat of an agent that has sent all that the publisher has; ``ahead_us``: its clock, if it tells it."""
        beat = Beat(
            schema=BEAT_SCHEMA,
            host=publisher.host,
            epoch=publisher.epoch,
            seq=publisher.seq,
            digest=publisher.digest if publisher.seq else EMPTY_DIGEST,
            leaving=leaving,
            at=None if ahead_us is None else moment_of(self.now_us + ahead_us),
        )
        await self.send(subject or subjects.beat(publisher.host), wire.encode(beat))

    async def send(self, subject: str, data: bytes) -> None:
        """Whatever comes on a beat's subject; returns when the pulse has heard it."""
        heard = 0

        async def count(_: object) -> None:
            nonlocal heard
            heard += 1

        follower = await self.client.subscribe("after.beat", cb=count)
        await self.client.publish(subject, data)
        await self.client.publish("after.beat", b"")
        await until(lambda: heard == 1, "the broker has delivered")
        await asyncio.sleep(0.02)
        await follower.unsubscribe()

    def clocks(self) -> dict[str, tuple[int | None, int | None, int | None]]:
        """Skew in ms, seconds since the start when it was measured, and the skew in ms again if beyond the bound."""
        columns = (HostPresence.host, HostPresence.skew_us, HostPresence.skew_at_us, HostPresence.skew_beyond_us)
        with self.engine.connect() as connection:
            return {
                host: (
                    None if skew is None else skew // 1_000,
                    None if at is None else (at - START_US) // 1_000_000,
                    None if beyond is None else beyond // 1_000,
                )
                for host, skew, at, beyond in connection.execute(sa.select(*columns))
            }

    def seen(self) -> dict[str, tuple[int, int, str | None]]:
        """Presence: seconds since the start, leaving, conflict."""
        columns = (HostPresence.host, HostPresence.last_seen_us, HostPresence.leaving, HostPresence.conflict)
        with self.engine.connect() as connection:
            return {
                row.host: ((row.last_seen_us - START_US) // 1_000_000, row.leaving, row.conflict)
                for row in connection.execute(sa.select(*columns))
            }


def _with_ward(engine: sa.Engine, broker: Broker, work: Callable[[Ward], Awaitable[None]]) -> None:
    async def run() -> None:
        client = Client()
        await client.connect(broker.url)
        with ThreadPoolExecutor(1) as writer:
            ward = Ward(engine, writer, client)
            await ward.pulse.listen(client)
            try:
                await work(ward)
            finally:
                await client.close()

    asyncio.run(run())


def test_a_beat_is_a_sign_of_life_and_a_goodbye_is_kept(desk: Desk, nats_server: Broker) -> None:
    """Written in lots; what a host said last counts, and its last records don't undo its goodbye."""
    publisher = Publisher()
    desk.take(*publisher.snapshot(look(mtty())))

    async def work(ward: Ward) -> None:
        await ward.beat(publisher)
        await ward.pulse.flush()
        assert ward.seen() == {"host-1": (0, 0, None)}
        ward.now_us += 7_000_000
        await ward.beat(publisher, leaving=True)
        ward.pulse.reported(["host-1"])
        await ward.pulse.flush()
        assert ward.seen() == {"host-1": (7, 1, None)}
        ward.now_us += 1_000_000
        await ward.beat(publisher)
        await ward.pulse.flush()
        assert ward.seen() == {"host-1": (8, 0, None)}
        assert ward.asked == []

    _with_ward(desk.engine, nats_server, work)


def test_clocks_are_measured_from_beats_and_told_beyond_the_bound(desk: Desk, nats_server: Broker) -> None:
    """The bound itself is not beyond; records between beats leave a measurement alone; who goes is said once."""
    fast, slow, right = Publisher("fast"), Publisher("slow"), Publisher("right")

    async def work(ward: Ward) -> None:
        for _ in range(2):
            await ward.beat(fast, ahead_us=5_001_000)
            await ward.beat(slow, ahead_us=-7_200_000_000)
            await ward.beat(right, ahead_us=5_000_000)
            ward.pulse.reported(["fast"])
            await ward.pulse.flush()
            assert ward.clocks() == {
                "fast": (5_001, 0, 5_001),
                "slow": (-7_200_000, 0, -7_200_000),
                "right": (5_000, 0, None),
            }
        ward.now_us += 1_000_000
        ward.pulse.reported(["fast"])
        await ward.pulse.flush()
        assert ward.clocks()["fast"] == (5_001, 0, 5_001)
        assert ward.said == ["clock.skewed host=fast skew_s=+5.001", "clock.skewed host=slow skew_s=-7200"]

    _with_ward(desk.engine, nats_server, work)


def test_a_slow_beat_does_not_move_a_clock_and_a_clock_that_was_set_is_noticed(desk: Desk, nats_server: Broker) -> None:
    """Forward at once, since no beat comes before it was sent; backward within two windows of 30 s."""
    host = Publisher("host-1")
    skews: list[int | None] = []

    async def work(ward: Ward) -> None:
        for second, ahead_us in (
            (0, 0),
            (10, -8_000_000),
            (20, 6_000_000),
            (30, 0),
            (40, 0),
            (55, 0),
            (60, 0),
            (61, 0),
        ):
            ward.now_us = START_US + second * 1_000_000
            await ward.beat(host, ahead_us=ahead_us)
            await ward.pulse.flush()
            skews.append(ward.clocks()["host-1"][2])
        assert skews == [None, None, 6_000, 6_000, 6_000, 6_000, None, None]
        assert ward.said == ["clock.skewed host=host-1 skew_s=+6", "clock.right host=host-1"]

    _with_ward(desk.engine, nats_server, work)


def test_an_agent_that_does_not_tell_its_time_has_no_measured_clock(desk: Desk, nats_server: Broker) -> None:
    """Agents of before: also one that takes the place of a newer one. A new registry leaves what others measured."""
    host = Publisher("host-1")

    async def work(ward: Ward) -> None:
        await ward.beat(host)
        await ward.pulse.flush()
        assert ward.clocks() == {"host-1": (None, None, None)}
        await ward.beat(host, ahead_us=9_000_000)
        await ward.pulse.flush()
        assert ward.clocks() == {"host-1": (9_000, 0, 9_000)}

    async def later(ward: Ward) -> None:
        ward.pulse.reported(["host-1"])
        await ward.pulse.flush()
        assert ward.clocks() == {"host-1": (9_000, 0, 9_000)}
        await ward.beat(host)
        await ward.pulse.flush()
        assert ward.clocks() == {"host-1": (None, None, None)}

    _with_ward(desk.engine, nats_server, work)
    _with_ward(desk.engine, nats_server, later)


def test_a_clock_that_others_measure_from_now_on_is_forgotten() -> None:
    """When its host comes back, what was measured before counts for nothing, and it is told of again."""
    said: list[str] = []
    skews = Skews(5_000_000, said.append)
    for _ in range(2):
        clocks = [skews.beat(host, moment_of(START_US + 9_000_000), START_US) for host in ("mine", "theirs")]
        assert [clock.beyond_us for clock in clocks] == [9_000_000, 9_000_000]
        skews.keep(lambda host: host == "mine")
        assert skews.of("mine") == clocks[0]
        assert skews.of("theirs") is None
    assert [line.split()[1] for line in said] == ["host=mine", "host=theirs", "host=theirs"]


def test_a_host_that_is_ahead_of_what_is_known_grows_old(desk: Desk, nats_server: Broker) -> None:
    """Its agent lives and tells of changes that do not arrive: for half a minute that is traffic, then doubt."""
    publisher = Publisher()
    first = desk.take(*publisher.snapshot(look(mtty())))

    async def work(ward: Ward) -> None:
        later = publisher.changes(look(mtty(free=1)))
        for second in (0, 10, 20, 30, 40, 50):
            ward.now_us = START_US + second * 1_000_000
            await ward.beat(publisher)
            ward.pulse.reported(["host-1"])
            await ward.pulse.flush()
        assert ward.seen() == {"host-1": (30, 0, None)}
        ward.pulse.told(desk.take(*later).publications)
        await ward.beat(publisher)
        await ward.pulse.flush()
        assert ward.seen() == {"host-1": (50, 0, None)}

    assert first.publications
    _with_ward(desk.engine, nats_server, work)


def test_only_signs_of_life_that_were_written_are_passed_on(desk: Desk, nats_server: Broker) -> None:
    """While the database is locked, nobody is told what it does not have; then all of it at once."""

    async def work(ward: Ward) -> None:
        await ward.beat(Publisher("host-1"))
        with desk.engine.begin() as connection:
            connection.exec_driver_sql("DROP TABLE host_presence")
        await ward.pulse.flush()
        assert ward.written == []
        assert any(line.startswith("presence.waiting") for line in ward.said)
        table_of(HostPresence).create(desk.engine)
        await ward.beat(Publisher("host-2"))
        await ward.pulse.flush()
        assert [sorted(signs) for signs in ward.written] == [["host-1", "host-2"]]

    _with_ward(desk.engine, nats_server, work)


def test_what_is_due_is_published_after_each_flush_and_stays_due_while_the_broker_is_away(
    desk: Desk, nats_server: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker that breaks does not end the pulse."""
    monkeypatch.setattr(pulse, "FLUSH_S", 0.01)

    async def work(ward: Ward) -> None:
        ward.broken = TimeoutError("no answer")
        running = asyncio.ensure_future(ward.pulse.run())
        await until(lambda: ward.caught_up > 2, "it goes on")
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert "fleet.waiting" in ward.said[-1]

    _with_ward(desk.engine, nats_server, work)


def test_an_agent_that_lacks_its_receipt_gets_it_again_and_not_too_often(desk: Desk, nats_server: Broker) -> None:
    """Known or not: a beat that disagrees with what was told last asks for the state."""
    publisher = Publisher()
    desk.take(*publisher.snapshot(look(mtty())))
    publisher.changes(look(mtty(free=1)))  # recorded there, not here

    async def work(ward: Ward) -> None:
        await ward.beat(publisher)
        await ward.beat(Publisher("host-9"))
        await ward.pulse.flush()
        assert ward.asked == ["host-1", "host-9"]
        await ward.beat(publisher)
        await ward.pulse.flush()
        assert ward.asked == ["host-1", "host-9"]
        ward.now_us += 6_000_000
        await ward.beat(publisher)
        await ward.pulse.flush()
        assert ward.asked == ["host-1", "host-9", "host-1"]

    _with_ward(desk.engine, nats_server, work)


def test_a_broker_that_breaks_while_receipts_are_published_does_not_end_the_pulse(
    desk: Desk, nats_server: Broker
) -> None:
    """Their next beats ask again."""

    async def work(ward: Ward) -> None:
        for broken in (TimeoutError("no answer"), UnreachableError("the database is away")):
            ward.broken = broken
            await ward.beat(Publisher("host-9"))
            await ward.pulse.flush()
            ward.now_us += 6_000_000
        ward.broken = None
        await ward.beat(Publisher("host-9"))
        await ward.pulse.flush()
        assert ward.asked == ["host-9"]
        assert sum("receipts.waiting" in line for line in ward.said) == 2

    _with_ward(desk.engine, nats_server, work)


def test_a_left_epoch_that_beats_on_is_a_second_agent(desk: Desk, nats_server: Broker) -> None:
    """Two live agents with one id; one stray beat of an agent that just ended is none."""
    first, second = Publisher(epoch="first"), Publisher(epoch="second")
    desk.take(*first.snapshot(look(mtty())))
    desk.take(*second.snapshot(look(mtty())))

    async def work(ward: Ward) -> None:
        await ward.beat(first)
        await ward.beat(second)
        await ward.pulse.flush()
        assert ward.seen()["host-1"][2] is None
        ward.now_us += 6_000_000
        await ward.beat(second)
        await ward.beat(first)
        await ward.pulse.flush()
        assert "epoch first beats on after it was left" in str(ward.seen()["host-1"][2])
        assert any("identity.conflict host=host-1 epoch=first" in line for line in ward.said)

    _with_ward(desk.engine, nats_server, work)


def test_a_new_epoch_that_beats_before_its_records_came_is_no_second_agent(desk: Desk, nats_server: Broker) -> None:
    """Its records may be stuck behind many; only what was left for another can be a rival."""
    desk.take(*Publisher(epoch="first").snapshot(look(mtty())))

    async def work(ward: Ward) -> None:
        for _ in range(3):
            await ward.beat(Publisher(epoch="second"))
            await ward.pulse.flush()
            ward.now_us += 6_000_000
        assert ward.seen()["host-1"][2] is None
        assert "host-1" in ward.asked

    _with_ward(desk.engine, nats_server, work)


def test_malformed_beats_are_counted_and_touch_nobody(desk: Desk, nats_server: Broker) -> None:
    """No JSON, another host's subject, a newer major schema."""

    async def work(ward: Ward) -> None:
        await ward.send(subjects.beat("host-1"), b"not json")
        await ward.beat(Publisher("host-2"), subject=subjects.beat("host-1"))
        await ward.send(subjects.beat("host-1"), b'{"schema":"2.0"}')
        await ward.pulse.flush()
        assert ward.pulse.malformed == 3
        assert [line.partition(" ")[0] for line in ward.said] == ["beat.refused"] * 3
        assert ward.seen() == {}

    _with_ward(desk.engine, nats_server, work)
