"""The line: pull → decode → apply → commit → ack → publish. Bad input never stops it.

The database's thread is the only one that touches the ledger; the event loop keeps answering meanwhile.
"""

from __future__ import annotations

import asyncio
import gc
import random
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import TYPE_CHECKING, TypeVar

from mdevreg import subjects
from mdevreg.errors import MdevregError, StateError, UnreachableError
from mdevreg.query.pulling import Puller, life_of
from mdevreg_server.bus import AS_IT_IS, BROKEN, Wanted, drained, ensure_streams, renew_consumer
from mdevreg_server.deliveries import acknowledge, consecutive, delivery_of, message_of
from mdevreg_server.engine import REFUSED
from mdevreg_server.fleet import Fleet
from mdevreg_server.herald import Herald
from mdevreg_server.ledger import MOVED, Applied, Ledger, Where
from mdevreg_server.messages import Item, read_all, unbroken
from mdevreg_server.partitions import WHOLE, Part
from mdevreg_server.positions import LOST
from mdevreg_server.publication import Publication

if TYPE_CHECKING:  # only the bus speaks NATS
    from nats.aio.client import Client
    from nats.aio.msg import Msg
    from nats.js.api import StreamInfo

T = TypeVar("T")

#: Records per transaction, where a backlog offers so many: hosts' rows and receipts are written once a batch.
BATCH = 2_000
#: How long a pull waits for the first message, and so how often an idle line looks after its stream.
PULL_S = 2.0
#: Idle pulls between two looks at the stream: was it wiped under us?
LOOKS_EVERY = 3
RETRY_S = (0.2, 15.0)
MARK_EVERY_S = 1.0
#: How long the end of a registry is put off for what is not published yet.
SETTLE_S = 2.0
#: What no waiting heals.
FATAL = frozenset({"SECOND_WRITER", "WRONG_REVISION", "NO_JETSTREAM", "NOT_DEALT", LOST})


class Line:
    """Ingest of one partition, or of all. ``run`` returns when it is cancelled, or raises what can't be waited out.

    ``admit`` is told the stream's life before anything of it is consumed, and may raise ``StateError``: not yet.
    """

    def __init__(
        self,
        client: Client,
        ledger: Ledger,
        writer: Executor,
        *,
        now_us: Callable[[], int],
        applied: Callable[[Applied], None],
        published: Callable[[Sequence[Publication]], None],
        say: Callable[[str], None],
        part: Part = WHOLE,
        wanted: Wanted = AS_IT_IS,
        admit: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._client, self._js = client, client.jetstream()
        self._part, self._wanted, self._admit = part, wanted, admit
        self._ledger, self._writer, self._now_us = ledger, writer, now_us
        self._on_applied, self._say = applied, say
        self.herald = Herald(ledger, writer, published=published, say=say, part=part)
        self._marked_at = 0.0
        self._reached: int | None = None  # stream sequence, since the line was attached
        self._delivered = 0  # the consumer's own count of what arrived
        self._sending = _done()
        self.attached = asyncio.Event()

    async def run(self) -> None:
        """Attach to the streams and consume; when broker or database break, or streams are wiped, attach again."""
        delay = RETRY_S[0]
        while True:
            try:
                created, puller = await self._attach()
                delay = RETRY_S[0]
                try:
                    await self._consume(puller, created)
                finally:
                    self.attached.clear()
                    await puller.close()
            except BROKEN as error:
                self._say(f"ingest.detached error={error!r}")
            except (StateError, UnreachableError) as error:
                if error.code in FATAL:
                    raise
                self._say(f"ingest.detached code={error.code} error={error.message!r}")
            await asyncio.sleep(delay * random.uniform(0.8, 1.2))  # noqa: S311  (jitter)
            delay = min(delay * 2, RETRY_S[1])

    async def settle(self) -> None:
        """At the end: publish what was committed last, and remember it, if the broker is there."""
        if not self._client.is_connected:
            return
        try:
            async with asyncio.timeout(SETTLE_S):
                await self.herald.rest()
        except (*BROKEN, MdevregError) as error:  # the next start publishes it
            self._say(f"fleet.unsettled error={error!r}")

    async def publish(self, hosts: Sequence[str]) -> int:
        """Publish the present state of some hosts: receipts that an agent lacks. Returns how many; 0: not attached."""
        return await self.herald.publish(hosts)

    async def _attach(self) -> tuple[str, Puller]:
        self._sending = _done()
        records, fleet = await ensure_streams(self._js, self._wanted)
        created = life_of(records)
        self._admit(created)
        await self._in_writer(self._ledger.reopen)
        await self._in_writer(self._ledger.verify)
        reached = await self._in_writer(lambda: self._ledger.consumed(created))
        start = reached + 1 if reached <= records.state.last_seq else 1
        await renew_consumer(self._js, self._part, start)
        self._reached, self._delivered = None, 0  # retention may have removed what would come first
        await self._republish(fleet)
        puller = await Puller(
            self._client, subjects.RECORDS_STREAM, self._part.durable, batch=BATCH, expires_s=PULL_S
        ).open()
        whose = f"partition={self._part.label} " if self._part.label else ""
        self._say(f"ingest.attached {whose}position={self._ledger.position} from_seq={start}")
        self.attached.set()
        return created, puller

    async def _republish(self, fleet: StreamInfo) -> None:
        """Publish what was committed and perhaps not published: after a crash, and to a broker that was wiped."""
        await self.herald.attach(Fleet(self._client, self._js, fleet))

    async def _consume(self, puller: Puller, created: str) -> None:
        idle, reconnects = 0, self._reconnects
        pulling = asyncio.ensure_future(_pulled(puller))
        try:
            while True:
                got, items = await pulling
                pulling = asyncio.ensure_future(_pulled(puller))  # the next batch comes while this one is written
                idle = 0 if got else idle + 1
                if got:
                    await self._batch(got, items, created)
                if reconnects != self._reconnects:  # what was on the wire is lost, and redelivered late
                    raise StateError("the connection to the broker was lost for a moment", code="RECONNECTED")
                if got:
                    continue
                if idle == 1:
                    await self._sent()
                    await self._mark()
                elif idle % LOOKS_EVERY == 0:
                    await self._look(created)
        finally:
            pulling.cancel()
            self._sending.cancel()
            await asyncio.gather(pulling, self._sending, return_exceptions=True)  # before the connection closes

    async def _batch(self, got: list[Msg], items: list[Item], created: str) -> None:
        messages = [message for message, _ in items]
        whole = consecutive(got, self._delivered) if self._part.filters else unbroken(messages, self._reached)
        if whole:
            await self._write(items[:whole], got[whole - 1], created)
        if whole < len(messages):  # lost with a connection; an ack of a later one would count for them
            text = f"messages between {self._reached} and {messages[whole].stream_seq} did not arrive"
            raise StateError(text, code="MESSAGES_MISSED")

    async def _write(self, items: list[Item], last: Msg, created: str) -> None:
        reached = max(items[-1][0].stream_seq, self._reached or 0)
        applied = await self._applied(items, Where(created, reached))
        self._reached, self._delivered = reached, delivery_of(last)
        await acknowledge(self._client, last)
        self._on_applied(applied)
        await self._sent()
        self._sending = asyncio.ensure_future(self._send())  # while the next batch is written

    async def _sent(self) -> None:
        """The lot before is published, or its error is raised here."""
        await self._sending

    async def _send(self) -> None:
        await self.herald.drain()
        now = asyncio.get_running_loop().time()
        if now - self._marked_at > MARK_EVERY_S:
            self._marked_at = now
            await self.herald.mark()

    async def _applied(self, items: list[Item], where: Where) -> Applied:
        """Commit, however long the database is locked or full: nothing is acked meanwhile.

        Where it is away, whether it has committed is only known when it is back: ``run`` attaches anew.
        """
        delay = RETRY_S[0]
        while True:
            try:
                return await self._in_writer(lambda: self._committed(items, where))
            except StateError as error:
                if error.code in FATAL or error.code == MOVED:
                    raise
                self._say(f"ingest.waiting code={error.code} error={error.message!r} retry_s={delay:.1f}")
            await asyncio.sleep(delay)
            delay = min(delay * 2, RETRY_S[1])

    def _committed(self, items: list[Item], where: Where) -> Applied:
        applied = self._commit(items, where)
        self.herald.committed(applied)
        return applied

    def _commit(self, items: list[Item], where: Where) -> Applied:
        # A batch fills the heap with young objects that all live until the commit: collect between batches.
        gc.disable()
        try:
            return self._ledger.apply_read(items, where, now_us=self._now_us())
        except Exception as error:
            # A fault of ours with one record, or one that the database will not store, must not stop all hosts.
            if isinstance(error, MdevregError) and error.code != REFUSED:
                raise
            self._say(f"ingest.isolating error={traceback.format_exc(limit=-3)!r}")
            return self._ledger.apply_singly([message for message, _ in items], where, now_us=self._now_us())
        finally:
            gc.enable()

    async def _look(self, created: str) -> None:
        info = await self._js.stream_info(subjects.RECORDS_STREAM)
        fleet = await self._js.stream_info(subjects.FLEET_STREAM)
        if life_of(info) != created or life_of(fleet) != self.herald.created:
            raise StateError("the broker's streams were created anew", code="STREAM_LOST")
        try:
            await self._in_writer(self._ledger.verify)
            await self._skip(Where(created, info.state.last_seq))
        except StateError as error:
            if error.code != "DATABASE_LOCKED":  # somebody's long transaction: the next batch waits for it
                raise

    async def _skip(self, where: Where) -> None:
        """What came for other partitions meanwhile need not be looked through again, nor counted as waiting."""
        if self._part.filters and where.stream_seq > (self._reached or 0) and await drained(self._js, self._part):
            await self._in_writer(lambda: self._ledger.skip(where))
            self._reached = where.stream_seq

    async def _mark(self) -> None:
        """The line is idle: say and remember that all is published."""
        self._marked_at = asyncio.get_running_loop().time()
        await self.herald.rest()

    async def _in_writer(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._writer, work)

    @property
    def _reconnects(self) -> int:
        return int(self._client.stats["reconnects"])


async def _pulled(puller: Puller) -> tuple[list[Msg], list[Item]]:
    """The next batch, decoded in a thread: while the database writes, it leaves the interpreter to others."""
    got = await puller.pull()
    return got, await asyncio.to_thread(_read, got) if got else []


def _read(got: list[Msg]) -> list[Item]:
    return read_all(map(message_of, got))


def _done() -> asyncio.Future[None]:
    nothing: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    nothing.set_result(None)
    return nothing
