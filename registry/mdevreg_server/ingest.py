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
from mdevreg_server.bus import BROKEN, ensure_streams, life_of, renew_consumer
from mdevreg_server.engine import REFUSED
from mdevreg_server.fleet import Fleet
from mdevreg_server.ledger import MOVED, Applied, Ledger, Where
from mdevreg_server.messages import Item, read_all, unbroken
from mdevreg_server.publication import Publication
from mdevreg_server.puller import Puller, acknowledge, message_of

if TYPE_CHECKING:  # only the bus speaks NATS
    from nats.aio.client import Client
    from nats.aio.msg import Msg

T = TypeVar("T")

#: Records per transaction, where a backlog offers so many: hosts' rows and receipts are written once a batch.
BATCH = 2_000
#: How long a pull waits for the first message, and so how often an idle line looks after its stream.
PULL_S = 2.0
#: Idle pulls between two looks at the stream: was it wiped under us?
LOOKS_EVERY = 3
RETRY_S = (0.2, 15.0)
MARK_EVERY_S = 1.0
#: Hosts per lot when the whole fleet is published.
LOT = 500
#: What no waiting heals.
FATAL = frozenset({"SECOND_WRITER", "WRONG_REVISION", "NO_JETSTREAM"})


class Line:
    """Ingest of one registry. ``run`` returns when it is cancelled, or raises what can't be waited out."""

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
    ) -> None:
        self._client, self._js = client, client.jetstream()
        self._ledger, self._writer, self._now_us = ledger, writer, now_us
        self._on_applied, self._on_published, self._say = applied, published, say
        self._fleet: Fleet | None = None
        self._marked_at = 0.0
        self._reached: int | None = None  # stream sequence, since the line was attached
        self._sending = _done()
        self._published_position = ledger.position
        self._publishing = asyncio.Lock()  # an older state of a host must not overtake a newer one
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

    async def publish(self, hosts: Sequence[str]) -> None:
        """Publish the present state of some hosts: receipts that an agent lacks."""
        if self._fleet is not None:
            async with self._publishing:
                await self._publish(await self._in_writer(lambda: self._ledger.publications(hosts)))

    async def _attach(self) -> tuple[str, Puller]:
        self._sending = _done()
        records, fleet = await ensure_streams(self._js)
        created = life_of(records)
        await self._in_writer(self._ledger.reopen)
        where = await self._in_writer(self._ledger.where)
        known = where is not None and where.created == created and where.stream_seq <= records.state.last_seq
        start = where.stream_seq + 1 if known and where else 1
        await renew_consumer(self._js, subjects.DURABLE, start)
        self._reached = None  # retention may have removed what would come first
        self._fleet = Fleet(self._client, self._js, fleet)
        await self._republish()
        puller = await Puller(self._client, subjects.DURABLE, batch=BATCH, expires_s=PULL_S).open()
        self._say(f"ingest.attached position={self._ledger.position} from_seq={start}")
        self.attached.set()
        return created, puller

    async def _republish(self) -> None:
        """Publish what was committed and perhaps not published: after a crash, and to a broker that was wiped."""
        fleet = self._fleet_now
        done = await self._in_writer(lambda: self._ledger.published(fleet.where))
        hosts = await self._in_writer(lambda: self._ledger.hosts_after(done))
        for first in range(0, len(hosts), LOT):
            await self.publish(hosts[first : first + LOT])
        self._published_position = self._ledger.position
        await self._mark()

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
        whole = unbroken(messages, self._reached)
        if whole:
            await self._write(items[:whole], got[whole - 1], created)
        if whole < len(messages):  # lost with a connection; an ack of a later one would count for them
            text = f"messages between {self._reached} and {messages[whole].stream_seq} did not arrive"
            raise StateError(text, code="MESSAGES_MISSED")

    async def _write(self, items: list[Item], last: Msg, created: str) -> None:
        reached = max(items[-1][0].stream_seq, self._reached or 0)
        applied = await self._applied(items, Where(created, reached))
        self._reached = reached
        await acknowledge(self._client, last)
        self._on_applied(applied)
        await self._sent()
        self._sending = asyncio.ensure_future(self._send(applied))  # while the next batch is written

    async def _sent(self) -> None:
        """The lot before is published, or its error is raised here."""
        await self._sending

    async def _send(self, applied: Applied) -> None:
        async with self._publishing:
            await self._publish(applied.publications)
        self._published_position = applied.position
        if asyncio.get_running_loop().time() - self._marked_at > MARK_EVERY_S:
            await self._mark()

    async def _applied(self, items: list[Item], where: Where) -> Applied:
        """Commit, however long the database is locked or full: nothing is acked meanwhile.

        Where it is away, whether it has committed is only known when it is back: ``run`` attaches anew.
        """
        delay = RETRY_S[0]
        while True:
            try:
                return await self._in_writer(lambda: self._commit(items, where))
            except StateError as error:
                if error.code in FATAL or error.code == MOVED:
                    raise
                self._say(f"ingest.waiting code={error.code} error={error.message!r} retry_s={delay:.1f}")
            await asyncio.sleep(delay)
            delay = min(delay * 2, RETRY_S[1])

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
        if life_of(info) != created or life_of(fleet) != self._fleet_now.created:
            raise StateError("the broker's streams were created anew", code="STREAM_LOST")
        try:
            await self._in_writer(self._ledger.verify)
        except StateError as error:
            if error.code != "DATABASE_LOCKED":  # somebody's long transaction: the next batch waits for it
                raise

    async def _publish(self, lot: Sequence[Publication]) -> None:
        await self._fleet_now.publish(lot)
        self._on_published(lot)

    async def _mark(self) -> None:
        """Remember how far was published. Late is harmless: after a crash some hosts are published twice."""
        where, position = self._fleet_now.where, self._published_position
        self._marked_at = asyncio.get_running_loop().time()
        await self._in_writer(lambda: self._ledger.mark_published(where, position))

    async def _in_writer(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._writer, work)

    @property
    def _reconnects(self) -> int:
        return int(self._client.stats["reconnects"])

    @property
    def _fleet_now(self) -> Fleet:
        if self._fleet is None:
            raise RuntimeError("the line is not attached")
        return self._fleet


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
