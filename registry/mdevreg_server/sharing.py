"""Shares a registry's ingest with other processes: takes partitions, gives them back, takes over from the dead.

Every process looks every two seconds how many there are, and holds at most its part of the partitions, rounded up.
One of them leads: it does what must be done once. Nothing here protects the history: a partition's fencing token does
(``positions``), so that two processes which both believe to hold a partition harm nothing.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Iterable, Sequence
from concurrent.futures import Executor
from functools import partial
from typing import Any, TypeVar

from mdevreg import subjects
from mdevreg.errors import MdevregError, StateError, UsageError
from mdevreg.query.pulling import life_of
from mdevreg_server.bus import BROKEN, ensure_streams
from mdevreg_server.draining import Draining
from mdevreg_server.ending import cancelled, until_one_ends
from mdevreg_server.ledger import Applied
from mdevreg_server.membership import DRAINING, LEADING, Member
from mdevreg_server.partitions import partition
from mdevreg_server.positions import LOST
from mdevreg_server.publication import Publication
from mdevreg_server.pulse import Pulse
from mdevreg_server.station import Floor, Station, opened

T = TypeVar("T")

#: How often a process looks who else is there, give or take a fifth.
LOOK_EVERY_S = 2.0
#: The same while something is to be waited for before anything can be consumed.
HURRY_S = 0.3
#: What no waiting heals.
FATAL = frozenset({"SECOND_WRITER", "PARTITIONS", "NO_JETSTREAM", "NOT_DEALT", "WRONG_REVISION"})
#: Code of a stream of which nothing may be consumed yet.
NOT_DRAINED = "NOT_DRAINED"


class Sharing:
    """The partitions that this process holds. ``clerk``: one thread, for its membership alone.

    ``lead``: what the leader does, until cancelled. ``applied``: is told every committed batch.
    """

    def __init__(
        self,
        floor: Floor,
        clerk: Executor,
        *,
        lead: Callable[[], Coroutine[Any, Any, None]],
        applied: Callable[[Applied], None],
    ) -> None:
        self._floor, self._clerk, self._lead, self._on_applied = floor, clerk, lead, applied
        self._js, self._say = floor.client.jetstream(), floor.say
        self._member = Member(floor.engine, floor.of)
        self._stations: dict[int, Station] = {}
        self._draining = Draining(floor, self)
        self._leading: asyncio.Future[None] | None = None
        self._life = ""  # of the stream whose records are all dealt
        self._slots: frozenset[int] = frozenset()
        self._standing = asyncio.Event()
        self.pulse = Pulse(
            floor.engine,
            floor.writer,
            now_us=floor.now_us,
            publish=self.publish,
            say=self._say,
            mine=self._holds,
            catch_up=self._catch_up,
            max_skew_us=floor.max_skew_us,
        )

    async def run(self, ready: Callable[[], None], stop: asyncio.Event) -> None:
        """Until ``stop`` is set, or something that can't be waited out is raised."""

        async def announce() -> None:
            await self._standing.wait()
            ready()
            await stop.wait()

        try:
            await until_one_ends(self._share(), self.pulse.run(), announce())
        finally:
            await self._abandon(ours=self._member.joined)
            await self._in_clerk(self._member.leave)
            await self.pulse.flush()

    async def publish(self, hosts: Sequence[str]) -> int:
        """Publish the present state of some hosts, as far as they are ours. Returns how many."""
        done = 0
        for station in list(self._stations.values()):
            if mine := [host for host in hosts if station.part.holds(host)]:
                done += await station.line.publish(mine)
        return done

    def announced(self) -> None:
        """Whoever has the first partition publishes decisions soon; nobody waits for it here."""

    async def _catch_up(self) -> None:
        for station in list(self._stations.values()):
            await station.line.herald.catch_up()

    def applied(self, applied: Applied) -> None:
        """A station committed a batch."""
        self.pulse.reported({decoded.record.host for decoded in applied.records})
        self._on_applied(applied)

    def published(self, lot: Sequence[Publication]) -> None:
        """A station published receipts."""
        self.pulse.told(lot)

    async def _share(self) -> None:
        while True:
            try:
                await self._look()
            except (*BROKEN, MdevregError) as error:
                if isinstance(error, MdevregError) and (_is_fatal(error) or not self._standing.is_set()):
                    raise
                self._say(f"sharing.waiting error={error!r}")
                if not self._member.joined:
                    await self._abandon(ours=False)
            await asyncio.sleep((LOOK_EVERY_S if self._life else HURRY_S) * random.uniform(0.8, 1.2))  # noqa: S311  (jitter)

    async def _look(self) -> None:
        living = await self._in_clerk(self._member.look)
        records, _ = await ensure_streams(self._js, self._floor.wanted)
        await self._prepare(life_of(records))
        if self._life:
            await self._balance(living)
        await self._rule()
        if self._life and all(station.line.attached.is_set() for station in self._stations.values()):
            self._standing.set()

    async def _prepare(self, life: str) -> None:
        """Nothing of a life of the stream is consumed by partitions before what is not dealt in it."""
        if life == self._life:
            return
        self._life = ""  # the broker's streams were created anew
        await self._close(list(self._stations))
        if await self._in_clerk(partial(self._member.hold, DRAINING)) and await self._draining.done(life):
            await self._draining.end(ours=True)
            await self._in_clerk(partial(self._member.let_go, DRAINING))
            self._life = life

    async def _balance(self, living: int) -> None:
        """Hold this process's part of the partitions."""
        ended = {index: station.error for index, station in self._stations.items() if station.error is not None}
        for error in ended.values():
            if not (isinstance(error, StateError) and error.code == LOST):
                raise error
        due = -(-self._floor.of // living)
        kept = [index for index in self._stations if index not in ended]
        await self._close([*ended, *kept[due:]])
        free = random.sample(range(self._floor.of), self._floor.of)
        for index in free:
            if len(self._stations) >= due:
                return
            if index not in self._stations and await self._in_clerk(partial(self._member.hold, index)):
                await self._open(index)

    async def _open(self, index: int) -> None:
        station = await opened(self._floor, partition(index, self._floor.of), self, self._admit)
        self._stations[index] = station
        self._deal()
        station.start()
        self._say(f"partition.taken index={index} of={self._floor.of}")
        await self.pulse.adopt()

    async def _close(self, indices: Iterable[int]) -> None:
        """End stations, and give their seats back."""
        for index in indices:
            await self._end(index, ours=True)
            await self._in_clerk(partial(self._member.let_go, index))

    async def _end(self, index: int, *, ours: bool) -> None:
        station = self._stations.pop(index)
        await station.close(self._floor, ours=ours)
        self._deal()
        self.pulse.disown()
        self._say(f"partition.left index={index} of={self._floor.of}")

    def _deal(self) -> None:
        """Other hosts are ours than before."""
        self._slots = frozenset[int]().union(*(station.part.slots for station in self._stations.values()))

    async def _rule(self) -> None:
        """Lead, if nobody does."""
        if self._leading is not None and self._leading.done():
            error = self._leading.exception()
            self._say(f"leader.failed error={error!r}")
            self._leading = None
            if error is not None and not isinstance(error, MdevregError):
                raise error
            await self._in_clerk(partial(self._member.let_go, LEADING))
        elif self._leading is None and await self._in_clerk(partial(self._member.hold, LEADING)):
            self._leading = asyncio.ensure_future(self._lead())
            self._say("leader.taken")

    async def _abandon(self, *, ours: bool) -> None:
        """End all that rests on seats; these are lost already, or go with the session."""
        if self._leading is not None:
            await cancelled([self._leading])
            self._leading = None
        await self._draining.end(ours=ours)
        for index in list(self._stations):
            await self._end(index, ours=ours)
        self._life = ""

    def _admit(self, life: str) -> None:
        if life != self._life:
            raise StateError("what was stored before the partitions is not consumed yet", code=NOT_DRAINED)

    def _holds(self, host: str) -> bool:
        return subjects.slot_of(host) in self._slots

    async def _in_clerk(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._clerk, work)


def _is_fatal(error: MdevregError) -> bool:
    return error.code in FATAL or isinstance(error, UsageError)
