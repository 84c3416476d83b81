"""Says on MDEVREG_FLEET what the database has: all that is due when it attaches, then what is committed, in log order.

Rules of this family of files (``press``, ``standing``, ``fleet``):

1. One lot at a time: a host's older state never overtakes a newer one.
2. A host comes after its profiles, and a digest after everything that it claims.
3. What the stream holds and the database does not is taken back: an older copy may have been restored.
4. Nothing is lost by a broker that is away: what was committed meanwhile waits in memory, and if that is lost too, the
   database has it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor

import sqlalchemy as sa

from mdevreg.errors import MdevregError
from mdevreg.knowledge import encode_amendment
from mdevreg_server import shelf
from mdevreg_server.bulletins import amendment_bulletins
from mdevreg_server.bus import BROKEN
from mdevreg_server.desk import Desk
from mdevreg_server.fleet import Fleet
from mdevreg_server.ledger import Amended, Applied, Ledger
from mdevreg_server.partitions import WHOLE, Part
from mdevreg_server.press import Item, Press, is_first
from mdevreg_server.publication import Publication
from mdevreg_server.roll import Roll, Seen
from mdevreg_server.standing import LOT, bring_up

#: Changes of presence, and digests while the line is busy, are told at most this often.
PRESENCE_S = 5.0
DIGEST_S = 10.0


class Herald:
    """Publishes for one ``part`` of the hosts. ``published`` is told the hosts of each lot.

    What concerns all hosts (amendments, presence) is published by who has the first part, whoever wrote it.
    """

    def __init__(
        self,
        ledger: Ledger,
        writer: Executor,
        *,
        published: Callable[[Sequence[Publication]], None],
        say: Callable[[str], None],
        part: Part = WHOLE,
    ) -> None:
        self._desk, self._say, self._published = Desk(ledger, writer), say, published
        self._part, self._is_first, self._is_shared = part, is_first(part), bool(part.label)
        self._loop = asyncio.get_running_loop()
        self._lock = asyncio.Lock()
        self._press: Press | None = None
        self._queue: deque[Applied | Amended] = deque()  # committed and to be published, in log order
        self._moved, self._woken = asyncio.Event(), asyncio.Event()
        self._unsure: set[str] = set()  # hosts whose presence ingest may have written
        self._again: set[str] = set()  # hosts to be published although no record of them came
        self._called_at = self._summed_at = 0.0
        self._believed = 0  # position of the newest amendment that is published, or a later one
        self.position = 0  # everything up to here is published
        self.roll = Roll()

    def committed(self, what: Applied | Amended) -> None:
        """This is in the log now. To be called by the ledger's thread, before it commits anything else."""
        self._queue.append(what)
        if isinstance(what, Amended):
            self._loop.call_soon_threadsafe(self._woken.set)

    async def run(self) -> None:
        """Publish amendments when they are committed, for ever; batches are published by who commits them."""
        while True:
            await self._woken.wait()
            self._woken.clear()
            try:
                await self.drain()
            except (*BROKEN, MdevregError) as error:  # `catch_up` tries again, and attaching says all that the log has
                self._say(f"fleet.waiting committed={len(self._queue)} error={error!r}")

    async def attach(self, fleet: Fleet) -> None:
        """Bring a life of the stream to where the database is. Raises ``bus.BROKEN`` or ``MdevregError``."""
        before, self._press = self._press, None  # nobody waits for this: it may take a while
        async with self._lock:
            if before is not None:
                await before.fleet.close()
            press = Press(fleet, self._desk, self._part, self._published)
            self.position = await bring_up(press, self._desk, self._part, self.roll)
            while self._queue and _position(self._queue[0]) <= self.position:
                self._queue.popleft()
            self._believed = self.position
            self._called_at = self._loop.time()
            self._press = press
            await self._digest(press)
            self._tell()
        await self.mark()

    async def close(self) -> None:
        """Publish no more."""
        async with self._lock:
            press, self._press = self._press, None
            if press is not None:
                await press.fleet.close()

    async def drain(self) -> None:
        """Publish what is committed. Raises ``bus.BROKEN`` or ``MdevregError``; then it is tried again later."""
        async with self._lock:
            if self._press is not None:
                await self._drain(self._press)

    async def publish(self, hosts: Sequence[str]) -> int:
        """Publish the present state of some hosts, known or not: receipts that an agent lacks. Returns how many.

        Before all that was committed is published, nothing is: whoever lacks something asks again.
        """
        done = 0
        for first in range(0, len(hosts) if self.attached else 0, LOT):
            some = hosts[first : first + LOT]
            async with self._lock:
                press = self._press
                if press is None:
                    return done
                await press.publish(await self._desk.publications(some))
                done += len(some)
        return done

    async def catch_up(self) -> None:
        """Publish what is due by the clock: presence, digests, and what failed before."""
        if not self.attached:
            return  # and does not wait for it
        async with self._lock:
            press = self._press
            if press is None:
                return
            await self._drain(press)
            if self._is_first and self._loop.time() - self._called_at >= PRESENCE_S:
                await self._call(press)
            if self._loop.time() - self._summed_at >= DIGEST_S:
                await self._digest(press)

    async def rest(self) -> None:
        """The line is idle: everything is published, and a digest says so."""
        async with self._lock:
            if self._press is not None:
                await self._drain(self._press)
                await self._digest(self._press)
        await self.mark()

    async def mark(self) -> None:
        """Remember in the database how far was published. Late is harmless: some is published twice after a crash."""
        if self._press is not None:
            where, position = self._press.fleet.where, self.position
            await self._desk.do(lambda ledger: ledger.mark_published(where, position))

    async def told(self, timeout_s: float) -> bool:
        """Wait until what is committed now is published. Returns whether that was in time."""
        wanted = _position(self._queue[-1]) if self._queue else 0
        try:
            async with asyncio.timeout(timeout_s):
                while self._press is not None and self._queue and _position(self._queue[0]) <= wanted:
                    await self._moved.wait()
        except TimeoutError:
            return False
        return True

    @property
    def attached(self) -> bool:
        """Whether the stream holds everything that was committed before."""
        return self._press is not None

    @property
    def created(self) -> str | None:
        """The life of the stream that is written; ``None``: not attached."""
        return None if self._press is None else self._press.fleet.created

    async def _drain(self, press: Press) -> None:
        if again := sorted(self._again):
            await press.publish(await self._desk.publications(again))
            self._again.difference_update(again)
        await self._believe(press)
        while self._queue:
            what = self._queue[0]
            await self._believe(press)  # those before it, or a mark behind it would vouch for what was never said
            await press.publish(_items(what, press.fleet.max_payload))
            if isinstance(what, Applied):
                self._unsure |= _unreported(what)
            self._queue.popleft()
            self.position = max(self.position, _position(what))
            self._tell()

    async def _believe(self, press: Press) -> None:
        """Publish the amendments that other processes wrote to the log, where there are any."""
        if not (self._is_first and self._is_shared):
            return
        after, limit = self._believed, press.fleet.max_payload
        for position, body in await self._desk.do(lambda ledger: shelf.amendments(ledger.engine, after)):
            await press.publish(amendment_bulletins(position, body, limit))
            self._believed = position

    def _tell(self) -> None:
        self._moved.set()
        self._moved = asyncio.Event()

    async def _digest(self, press: Press) -> None:
        await press.digest(self.position)
        self._summed_at = self._loop.time()

    async def _call(self, press: Press) -> None:
        """Publish the buckets whose presence changed, as the database has it."""
        unsure = set(self._unsure)
        moved = self.roll.disputed(await self._desk.do(lambda ledger: self._presence(ledger.engine, unsure)))
        self._unsure -= unsure
        self._again.update(filter(self._part.holds, moved))  # their states tell of conflicts too
        for some in self.roll.lots():
            self.roll.due -= some
            try:
                await press.fleet.publish(self.roll.bulletins(some))
            except BaseException:
                self.roll.due |= some
                raise
        self._called_at = self._loop.time()

    def _presence(self, engine: sa.Engine, unsure: set[str]) -> list[Seen]:
        """What others than the pulse may have written. Where registries share a fleet, each writes its hosts'."""
        return shelf.everybody(engine) if self._is_shared else shelf.disputed(engine, unsure)


def _position(what: Applied | Amended) -> int:
    return what.position


def _items(what: Applied | Amended, max_payload: int) -> Sequence[Item]:
    if isinstance(what, Applied):
        return what.publications
    return amendment_bulletins(what.position, encode_amendment(what.amendment), max_payload)


def _unreported(applied: Applied) -> set[str]:
    """Hosts of a batch of which no record was applied: duplicates, refused ones, those of a second agent."""
    return {item.host for item in applied.publications} - {decoded.record.host for decoded in applied.records}
