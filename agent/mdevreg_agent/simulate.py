"""``mdevreg-agent simulate``: publishes as a whole fleet, through the same records as a real agent, without outboxes.

Same seed, same bytes, except ``observed_at`` and ``epoch``. Receipts are not followed: a record that JetStream
acknowledged counts as sent.
"""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial

import msgspec

from mdevreg import subjects, wire
from mdevreg.errors import MdevregError, UnreachableError
from mdevreg.records import BEAT_SCHEMA, EMPTY_DIGEST, SCHEMA, Beat, Cause, Record
from mdevreg_agent.diff import complete, diff
from mdevreg_agent.fleet import SimHost, fleet, path_of, picture_of
from mdevreg_agent.journal import Journal
from mdevreg_agent.link import Address, Link, check_creds
from mdevreg_agent.pace import Backoff, jittered, until_done
from mdevreg_agent.picture import Documents, documents_of
from mdevreg_agent.scenario import Event, Scenario, events

#: Hosts that boot at the same time.
_BOOTING = 64


#: What the uevents of the scenarios tell, in words.
_HAPPENED = {
    "add": "mdev.created",
    "unbind": "mdev.removed",
    "change": "driver.unloaded",
    "bind": "driver.loaded",
}


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to simulate."""

    hosts: int
    scenario: Scenario
    nats: str
    creds: str | None = None
    seed: int = 1
    rate: float = 10.0  # events per second, over the whole fleet
    duration_s: float | None = None  # after boot; None: until the scenario ends, or a signal
    events: int | None = None  # at most so many
    sites: tuple[str, ...] = ("a", "b")
    beat_s: float = 10.0
    connect_s: float = 5.0  # how long to wait for the broker


class SimAgent:
    """One host's side of the protocol: ``seq``, digest and the last documents, in memory only."""

    def __init__(self, host: str, epoch: str) -> None:
        self.host, self.epoch = host, epoch
        self._seq, self._digest = 0, EMPTY_DIGEST
        self._documents: Documents | None = None

    def look(self, documents: Documents, *, cause: Cause, observed_at: datetime) -> list[tuple[int, bytes]]:
        """The records that a look at ``documents`` makes: seq and bytes; the first look is a complete snapshot."""
        previous, self._documents = self._documents, documents
        changes = complete(None, documents) if previous is None else diff(previous, documents)
        records = []
        for change in changes:
            self._seq, self._digest = self._seq + 1, change.digest
            record = Record(
                schema=SCHEMA,
                host=self.host,
                epoch=self.epoch,
                seq=self._seq,
                digest=change.digest,
                observed_at=observed_at,
                cause=cause,
                body=change.body,
            )
            records.append((self._seq, wire.encode(record)))
        return records

    def beat(self, at: datetime, *, leaving: bool = False) -> bytes:
        """Its heartbeat, sent at that time of its clock."""
        beat = Beat(
            schema=BEAT_SCHEMA,
            host=self.host,
            epoch=self.epoch,
            seq=self._seq,
            digest=self._digest,
            leaving=leaving,
            at=at,
        )
        return wire.encode(beat)


async def simulate(plan: Plan, *, epoch: str, journal: Journal) -> None:
    """Boot the fleet, then live the scenario; SIGTERM, SIGINT or the plan's end: everyone says goodbye.

    Raises ``UnreachableError`` or ``AuthError`` if the broker does not let us in within ``plan.connect_s``.
    """
    check_creds(plan.creds)
    chance = random.SystemRandom()
    address = Address(url=plan.nats, client="simulate", creds=plan.creds)
    link = Link(address, chance=chance, on_change=_telling(journal))
    keeping = asyncio.create_task(link.keep())
    try:
        await _connected(link, address, plan.connect_s)
        with _stopping() as stop:
            await _until(stop, _Run(plan, link, journal, epoch, chance))
    finally:
        keeping.cancel()
        with suppress(asyncio.CancelledError):
            await keeping
        await link.close()


class _Run:
    """The fleet while it lives."""

    def __init__(self, plan: Plan, link: Link, journal: Journal, epoch: str, chance: random.Random) -> None:
        self._plan, self._link, self._journal, self._chance = plan, link, journal, chance
        self._hosts = fleet(plan.hosts, seed=plan.seed, sites=plan.sites)
        self._agents = [SimAgent(host.id, epoch) for host in self._hosts]

    async def live(self) -> None:
        """Boot, then the scenario, to its end."""
        records = await self._boot()
        self._journal.say("fleet.booted", hosts=len(self._hosts), records=records, scenario=self._plan.scenario)
        with suppress(TimeoutError):
            async with asyncio.timeout(self._plan.duration_s):
                await self._scenario()

    async def beat(self) -> None:
        """Every host in turn, each every ``beat_s`` +-20 %; until cancelled."""
        while True:
            for agent in self._agents:
                await self._tell(agent)
                await asyncio.sleep(jittered(self._plan.beat_s / len(self._agents), self._chance))

    async def leave(self) -> None:
        """Goodbye from everyone."""
        for agent in self._agents:
            await self._tell(agent, leaving=True)
        self._journal.say("fleet.left", hosts=len(self._agents))

    async def _boot(self) -> int:
        records = 0
        for start in range(0, len(self._hosts), _BOOTING):
            group = range(start, min(start + _BOOTING, len(self._hosts)))
            look = [self._look(index, self._hosts[index], Cause(kind="startup")) for index in group]
            records += sum(await asyncio.gather(*look))
        return records

    async def _scenario(self) -> None:
        clock = asyncio.get_running_loop().time
        due = clock()
        for number, event in enumerate(events(self._plan.scenario, self._hosts, seed=self._plan.seed)):
            if number == self._plan.events:
                return
            due = max(due + 1 / self._plan.rate, clock() - 1.0)  # a slow broker is not punished with a burst
            await asyncio.sleep(max(due - clock(), 0))
            await self._look(event.index, event.host, event.cause)
            self._say(event)
        if self._plan.scenario == "steady":
            await asyncio.get_running_loop().create_future()

    async def _look(self, index: int, host: SimHost, cause: Cause) -> int:
        agent = self._agents[index]
        records = agent.look(documents_of(picture_of(host)), cause=cause, observed_at=datetime.now(UTC))
        failure = Backoff(first_s=0.2, most_s=10.0, chance=self._chance)
        for seq, data in records:
            await until_done(partial(self._published, agent, seq, data), failure)
        return len(records)

    async def _published(self, agent: SimAgent, seq: int, data: bytes) -> bool:
        await self._link.up()
        try:
            message_id = subjects.message_id(agent.host, agent.epoch, seq, data)
            await self._link.publish(subjects.record(agent.host), data, message_id)
        except MdevregError as error:
            self._journal.warn("publish.failed", host=agent.host, seq=seq, code=error.code, error=error)
            return False
        return True

    async def _tell(self, agent: SimAgent, *, leaving: bool = False) -> None:
        with suppress(UnreachableError):  # the next beat says the same
            await self._link.tell(subjects.beat(agent.host), agent.beat(datetime.now(UTC), leaving=leaving))

    def _say(self, event: Event) -> None:
        name = _HAPPENED.get(event.cause.action or "", "host.changed")
        parent = next((found for found in event.host.parents if path_of(found.card) == event.cause.device), None)
        build = parent.card.builds[parent.release] if parent and parent.release is not None else None
        self._journal.say(
            name,
            host=event.host.hostname,
            device=(event.cause.device or "").rpartition("/")[2],
            driver=parent and parent.card.driver,
            version=build and build.version,
            saves=build and build.stream,
            loads_from=build and build.stream_min,
        )


async def _connected(link: Link, address: Address, within_s: float) -> None:
    try:
        async with asyncio.timeout(within_s):
            await link.up()
    except TimeoutError:
        raise link.error or UnreachableError(f"{address.shown} did not answer within {within_s:g} s") from None


async def _until(stop: asyncio.Event, run: _Run) -> None:
    """Run the fleet until it is done or told to stop, whichever comes first."""
    beating, living = asyncio.create_task(run.beat()), asyncio.create_task(run.live())
    stopped = asyncio.create_task(stop.wait())
    try:
        done, _ = await asyncio.wait((living, stopped), return_when=asyncio.FIRST_COMPLETED)
        if living in done:
            living.result()
    finally:
        for task in (beating, living, stopped):
            task.cancel()
        await asyncio.gather(beating, living, stopped, return_exceptions=True)
    await run.leave()


@contextmanager
def _stopping() -> Iterator[asyncio.Event]:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        yield stop
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


def _telling(journal: Journal) -> Callable[[MdevregError | None], None]:
    def tell(error: MdevregError | None) -> None:
        if error is not None:
            journal.warn("link.failed", code=error.code, error=error)

    return tell
