"""Events as the registry tells them, read from MDEVREG_EVENTS in order: without gaps, without doubles, from any thread.

Rules of this file:

1. One mechanism: a consumer that delivers from the stream sequence after the last one that was read.
2. What was delivered out of order, or not at all, ends the consumer; the next one goes on behind what was read.
3. Nothing is read ahead of who iterates: a slow reader slows nobody.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as NotYet
from contextlib import suppress
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Self

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import APIError, NotFoundError

from mdevreg import subjects
from mdevreg.errors import DecodeError, StateError, UnreachableError
from mdevreg.event_filter import EventsAsked
from mdevreg.events import Event, decode_event
from mdevreg.query.pulling import Puller, life_of, place_of

BROKEN = (APIError, nats.errors.Error, TimeoutError, OSError, StateError)
BATCH = 500
PULL_S = 2.0
RETRY_S = (0.1, 5.0)
#: The broker forgets a consumer that nobody pulls from; a slow reader gets another.
FORGOTTEN_AFTER_S = 60.0
CLOSED_WITHIN_S = 2.0
#: Events are stored soon after their time, in nearly its order: so much earlier is looked.
MARGIN = timedelta(minutes=1)
#: How the door's loop is given work.
Submit = Callable[[Coroutine[Any, Any, Any]], "Future[Any]"]


class EventStream:
    """Iterate, or ``get``. It goes on by itself when broker or registry come back.

    ``missed``: events after ``since`` are not kept any more. ``refused``: messages that were no events.
    """

    def __init__(self, client: Client, submit: Submit, asked: EventsAsked) -> None:
        self._client, self._submit, self._asked = client, submit, asked
        self._js: JetStreamContext = client.jetstream()
        self._life, self._seq = "", 0  # what was read last
        self._puller: Puller | None = None
        self._expected, self._reconnects, self._delay = 1, 0, RETRY_S[0]
        self._read: deque[Event] = deque()
        self._reading: Future[list[Event]] | None = None
        self._closed = False
        self.missed, self.refused = False, 0

    def open(self) -> EventStream:
        """Begin: what is told from now on is read. Raises ``StateError`` (NO_EVENTS), ``UnreachableError``."""
        try:
            self._submit(self._opened()).result()
        except (APIError, nats.errors.Error, TimeoutError, OSError) as error:
            text = f"the stream {subjects.EVENTS_STREAM} can't be read: {error!r}; may you read it (docs/events.md)?"
            raise UnreachableError(text) from error
        return self

    def get(self, timeout_s: float | None = None) -> Event | None:
        """The next event; ``None``: none within ``timeout_s``, or the stream is closed."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while not self._read and not self._closed:
            if self._reading is None:
                self._reading = self._submit(self._batch())
            try:
                left = None if deadline is None else max(0.0, deadline - time.monotonic())
                self._read += self._reading.result(left)
            except (NotYet, CancelledError):  # cancelled: another thread closed it
                return None
            self._reading = None
        return self._read.popleft() if self._read and not self._closed else None

    def __iter__(self) -> Iterator[Event]:
        while (event := self.get()) is not None:
            yield event

    def close(self) -> None:
        """Read no more. Closing twice is allowed."""
        if self._closed:
            return
        self._closed = True
        if self._reading is not None:
            self._reading.cancel()
        with suppress(NotYet, nats.errors.Error, StateError):  # a broker that is away has nothing to say about it
            self._submit(self._ended()).result(CLOSED_WITHIN_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def _batch(self) -> list[Event]:
        """The next events that are meant; none after some seconds, or while broker or stream are away."""
        try:
            puller = self._puller or await self._opened()
            got = await puller.pull()
            if not puller.answered or self._reconnects != self._client.stats["reconnects"]:
                raise StateError("the broker went silent", code="BROKER_SILENT")
            events = self._taken(got)
        except BROKEN:
            await self._ended()
            await asyncio.sleep(self._delay * random.uniform(0.5, 1.5))  # noqa: S311  (jitter)
            self._delay = min(self._delay * 2, RETRY_S[1])
            return []
        self._delay = RETRY_S[0]
        return events

    def _taken(self, got: list[Msg]) -> list[Event]:
        events: list[Event] = []
        for msg in got:
            place = place_of(msg)
            if place.consumer_seq != self._expected:
                raise StateError("messages of the event stream did not arrive", code="MESSAGES_MISSED")
            self._expected, self._seq = place.consumer_seq + 1, place.stream_seq
            try:
                event = decode_event(msg.data)
            except DecodeError:
                self.refused += 1
                continue
            if self._asked.filter.fits(event) and _is_since(event, self._asked.since):
                events.append(event)
        return events

    async def _opened(self) -> Puller:
        try:
            info = await self._js.stream_info(subjects.EVENTS_STREAM)
        except NotFoundError as error:
            text = "no events are told there; is a registry running that tells them (mdevreg-server serve)?"
            raise StateError(text, code="NO_EVENTS") from error
        life = life_of(info)
        if not self._life:
            self._seq = await self._begin(info.state.first_seq, info.state.last_seq)
        elif life != self._life or self._seq > info.state.last_seq:
            self._seq = 0  # another stream: all of it is new
        self._life = life
        config = ConsumerConfig(
            name=f"watch-{random.getrandbits(64):016x}",
            ack_policy=AckPolicy.NONE,
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=self._seq + 1,
            inactive_threshold=FORGOTTEN_AFTER_S,
            mem_storage=True,
            num_replicas=1,
        )
        consumer = await self._js.add_consumer(subjects.EVENTS_STREAM, config)
        puller = Puller(self._client, subjects.EVENTS_STREAM, consumer.name, batch=BATCH, expires_s=PULL_S)
        self._puller = await puller.open()
        self._expected, self._reconnects = 1, int(self._client.stats["reconnects"])
        return puller

    async def _begin(self, first: int, last: int) -> int:
        """Behind which sequence number that is which was asked for: found by halving."""
        since = self._asked.since
        if since is None:
            return last
        low, high = max(first, 1), last + 1  # the first that is meant is in [low, high]
        while low < high:
            middle = (low + high) // 2
            if _is_before(await self._at(middle), since):
                low = middle + 1
            else:
                high = middle
        self.missed = first > 1 and low == first
        return low - 1

    async def _at(self, seq: int) -> bytes:
        """A message; one that was removed says nothing."""
        try:
            return (await self._js.get_msg(subjects.EVENTS_STREAM, seq, direct=True)).data or b""
        except NotFoundError:
            return b""

    async def _ended(self) -> None:
        puller, self._puller = self._puller, None
        if puller is not None:
            await puller.close()


def _is_before(data: bytes, since: int | datetime) -> bool:
    """Whether surely nothing up to an event is meant."""
    try:
        event = decode_event(data)
    except DecodeError:
        return False
    return event.position < since if isinstance(since, int) else event.time < since - MARGIN


def _is_since(event: Event, since: int | datetime | None) -> bool:
    """Of a position's own events none; what the clock told there may come again, so that none is missed."""
    if isinstance(since, int):
        return event.position > since or (event.position == since and not event.id.startswith(f"{since}-"))
    return since is None or event.time >= since
