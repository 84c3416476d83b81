"""Follows MDEVREG_FLEET: from its start to its end, then on, whatever breaks on the way.

Rules of this file:

1. One mechanism: a consumer that delivers from the stream sequence after the last one that was applied.
2. What was delivered out of order, or not at all, ends the consumer; the next one goes on where the index stands.
3. Another life of the stream, or a registry whose log went back, begins a new index; the old one answers until the new
   one is complete. A half-loaded fleet is never handed out.
4. The registry publishes digests of what it has published: a difference is mended, and counted.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Literal, Protocol

import msgspec
import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig, ConsumerInfo, DeliverPolicy
from nats.js.errors import APIError

from mdevreg import subjects
from mdevreg.errors import StateError
from mdevreg.fleet import Applied, Fleet, FleetView
from mdevreg.query.mending import Mending
from mdevreg.query.pulling import Puller, life_of, place_of

BROKEN = (APIError, nats.errors.Error, TimeoutError, OSError, StateError)
BATCH = 1_000
#: How long a pull waits for something new, and so how often a quiet broker is heard.
PULL_S = 2.0
RETRY_S = (0.1, 5.0)
#: Replicas that lost the same stream do not all read the new one at once.
RELOAD_WITHIN_S = 2.0
SWEEP_EVERY_S = 0.25
#: The broker forgets a consumer that nobody pulls from.
FORGOTTEN_AFTER_S = 60.0

Where = Literal["nowhere", "cache", "stream"]


class Changed(msgspec.Struct, frozen=True):
    """The index changed. ``hosts`` may be answered otherwise; ``believed``: so may all."""

    view: FleetView
    hosts: frozenset[str]
    believed: bool


class Kept(msgspec.Struct, frozen=True):
    """How far an index has got: in which life of the stream, to which sequence, and when that was, µs UTC."""

    life: str = ""
    stream_seq: int = 0
    at_us: int | None = None


Listener = Callable[[Changed], None]


class Keeper(Protocol):
    """Keeps what was applied. ``complete``: it is a whole fleet by now; ``anew``: what was kept is of another life."""

    def __call__(self, lot: Sequence[tuple[str, bytes]], kept: Kept, *, complete: bool, anew: bool) -> None:
        """Keep a lot of messages, and how far that is."""
        ...


def _keep_nothing(lot: Sequence[tuple[str, bytes]], kept: Kept, *, complete: bool, anew: bool) -> None:
    pass


class Following:
    """An index that follows the stream over one connection. Everything but ``loaded`` is of one event loop.

    ``batch``: messages that are taken in between two turns of whatever else that loop does.

    ``keep`` is told every lot that was applied, and whether it begins a new index; ``changed`` every change.
    """

    def __init__(
        self,
        *,
        stale_after_s: float,
        now_us: Callable[[], int],
        batch: int = BATCH,
        changed: Listener = lambda _: None,
        keep: Keeper = _keep_nothing,
    ) -> None:
        self._now_us, self._changed, self._keep = now_us, changed, keep
        self._stale_after_s, self._batch = stale_after_s, batch
        self.fleet = Fleet(stale_after_s=stale_after_s)
        self._next: Fleet | None = None  # while it is loaded
        self.kept = Kept()
        self.where: Where = "nowhere"
        self.synced_us: int | None = None  # when the index was last known to be all that is published
        self.loaded = threading.Event()
        self.mending = Mending()
        self.resumes, self.reloads, self.refused, self.applied = 0, 0, 0, 0
        self.trouble = ""

    def begin_with(self, lots: Iterable[Sequence[tuple[str, bytes]]], kept: Kept) -> None:
        """Take in what was kept of an earlier life of this process: it answers at once, and goes on from there."""
        for lot in lots:
            self.fleet.apply(lot, now_us=self._now_us(), more=True)
        self.fleet.apply((), now_us=self._now_us())
        self.kept, self.where, self.synced_us = kept, "cache", kept.at_us
        self.loaded.set()

    async def run(self, client: Client) -> None:
        """Follow for ever, over this connection."""
        self._client, self._js = client, client.jetstream()
        sweeping = asyncio.ensure_future(self._sweep())
        delay = RETRY_S[0]
        try:
            while True:
                try:
                    async for _ in self._follow():
                        delay = RETRY_S[0]
                        self.trouble = ""
                except BROKEN as error:
                    self.trouble = str(error) or repr(error)
                await asyncio.sleep(delay * random.uniform(0.5, 1.5))  # noqa: S311  (jitter)
                delay = min(delay * 2, RETRY_S[1])
        finally:
            sweeping.cancel()
            await asyncio.gather(sweeping, return_exceptions=True)

    async def _follow(self) -> AsyncIterator[None]:
        """One consumer's life; each step is a pull that the broker answered. Raises what ended it."""
        info = await self._js.stream_info(subjects.FLEET_STREAM)
        life = life_of(info)
        if life != self.kept.life or self.kept.stream_seq > info.state.last_seq:
            await self._begin(life)
        else:
            self.resumes += 1
        consumer = await self._consumer()
        puller = await Puller(
            self._client, subjects.FLEET_STREAM, consumer.name, batch=self._batch, expires_s=PULL_S
        ).open()
        reconnects, expected = self._client.stats["reconnects"], 1
        if not consumer.num_pending:
            self._complete()
        try:
            while True:
                got = await puller.pull()
                if not puller.answered or reconnects != self._client.stats["reconnects"]:
                    raise StateError("the broker went silent", code="BROKER_SILENT")
                if got:
                    expected = await self._take(got, expected)
                elif self._next is None:
                    self.synced_us = self._now_us()
                yield
        finally:
            await puller.close()

    async def _begin(self, life: str) -> None:
        """A new index, loaded beside the one that answers."""
        if self.where != "nowhere":
            self.reloads += 1
            await asyncio.sleep(random.uniform(0, RELOAD_WITHIN_S))  # noqa: S311  (jitter)
        self._next = Fleet(stale_after_s=self._stale_after_s)
        self.kept = Kept(life)
        self._keep((), self.kept, complete=False, anew=True)

    async def _consumer(self) -> ConsumerInfo:
        config = ConsumerConfig(
            name=f"replica-{random.getrandbits(64):016x}",
            ack_policy=AckPolicy.NONE,
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=self.kept.stream_seq + 1,
            inactive_threshold=FORGOTTEN_AFTER_S,
            mem_storage=True,
            num_replicas=1,
        )
        return await self._js.add_consumer(subjects.FLEET_STREAM, config)

    async def _take(self, got: list[Msg], expected: int) -> int:
        """Apply what arrived in order. Returns the consumer's next number; raises ``StateError`` for a gap."""
        first, last = place_of(got[0]), place_of(got[-1])
        if first.consumer_seq != expected or last.consumer_seq != expected + len(got) - 1:
            raise StateError("messages of the fleet stream did not arrive", code="MESSAGES_MISSED")
        lot = [(msg.subject, msg.data) for msg in got]
        loading = self._next
        more = loading is not None and last.pending > 0
        done = (loading or self.fleet).apply(lot, now_us=self._now_us(), more=more)
        self.kept = Kept(self.kept.life, last.stream_seq)
        self._keep(lot, self.kept, complete=loading is None or not last.pending, anew=False)
        self.refused += len(done.refused)
        self.applied += len(lot)
        if not last.pending:
            self._complete()
        if loading is None and (done.hosts or done.believed):
            self._changed(Changed(self.fleet.view, done.hosts, done.believed))
        if self._next is None and not last.pending:  # else newer states of some hosts are still to come
            await self._compare(done)
        return last.consumer_seq + 1

    def _complete(self) -> None:
        """All that was published when the consumer was made is here: now it may answer."""
        if self._next is not None:
            self.fleet, self._next = self._next, None
            everyone = frozenset(entry.host for entry in self.fleet.view.directory.entries())
            self._changed(Changed(self.fleet.view, everyone, True))
        self.where = "stream"
        self.synced_us = self._now_us()
        self.loaded.set()

    async def _compare(self, done: Applied) -> None:
        if done.went_back:
            self.kept = Kept()
            raise StateError("the registry's log went back", code="LOG_WENT_BACK")
        if done.differing and not await self.mending.mend(self._client, self.fleet.view, done.differing):
            self.kept = Kept()
            raise StateError("the index differs from what was published", code="DIGEST_DIFFERS")

    async def _sweep(self) -> None:
        """While nothing arrives from a broker that is away, silence says nothing about single hosts: views do."""
        while True:
            await asyncio.sleep(SWEEP_EVERY_S)
            if self._client.is_connected and self._next is None:
                hosts = self.fleet.sweep(now_us=self._now_us())
                if hosts:
                    self._changed(Changed(self.fleet.view, hosts, False))
