"""Writes MDEVREG_FLEET, in order, and sees that all of it was stored; reads back what it holds.

An asynchronous publish of nats-py may never resolve; here the PubAcks of a lot are counted in one subscription.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from typing import Any

import msgspec
import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, Header, StreamInfo
from nats.js.errors import NoStreamResponseError

from mdevreg import subjects
from mdevreg.errors import StateError
from mdevreg.published import FLEET_SCHEMA
from mdevreg.query.pulling import life_of
from mdevreg_server.bulletins import HEADERS_ROOM, Bulletin
from mdevreg_server.positions import Where
from mdevreg_server.publication import Publication, shortened

#: How long a broker may store nothing of a lot before it counts as broken.
STORED_WITHIN_S = 5.0
#: Only as the first message of its subject; and the code with which a broker refuses another.
_ONCE = {Header.EXPECTED_LAST_SUBJECT_SEQUENCE.value: "0"}
_IS_THERE = 10071


class _PubAck(msgspec.Struct):
    seq: int = 0
    error: dict[str, Any] | None = None


_pub_ack = msgspec.json.Decoder(_PubAck)


class Fleet:
    """MDEVREG_FLEET in one of its lives, written by one registry. One lot at a time."""

    def __init__(self, client: Client, js: JetStreamContext, info: StreamInfo) -> None:
        self._client, self._js = client, js
        self.created, self.last_seq = life_of(info), info.state.last_seq
        bound = info.config.max_msg_size or -1
        self._most = bound if bound > 0 else sys.maxsize
        self._newest: dict[str, int] = {}  # position of each host as published
        self._inbox = client.new_inbox()
        self._acks: Subscription | None = None
        self._lot, self._stored, self._wanted = 0, 0, 0
        self._refused: Exception | None = None
        self._settled = asyncio.Event()

    @property
    def where(self) -> Where:
        """How far the fleet stream was written. What it says depends on its format, so that belongs to its life."""
        return Where(f"{self.created} {FLEET_SCHEMA}", self.last_seq)

    @property
    def max_payload(self) -> int:
        """The largest message that broker and stream take, in bytes, headers included."""
        return min(int(self._client.max_payload), self._most)

    async def publish(self, items: Sequence[Publication | Bulletin]) -> list[Publication]:
        """Publish a lot and see that all of it was stored. Returns the hosts that were published.

        A host whose newer state was published meanwhile (a receipt was asked for) is left out. Raises ``bus.BROKEN``,
        or ``StateError`` for what the broker does not take; then nobody knows what of the lot was stored.
        """
        lot = [item for item in items if isinstance(item, Bulletin) or self._is_new(item)]
        if not lot:
            return []
        if self._acks is None:
            self._acks = await self._client.subscribe(f"{self._inbox}.*", cb=self._on_ack)
        self._lot, self._stored, self._wanted, self._refused = self._lot + 1, 0, len(lot), None
        self._settled.clear()
        reply = f"{self._inbox}.{self._lot}"
        for item in lot:
            subject, data = self._message(item)
            await self._client.publish(subject, data, reply=reply, headers=_headers(item))
        await self._all_stored()
        hosts = [item for item in lot if isinstance(item, Publication)]
        self._newest.update((item.host, item.position) for item in hosts)
        return hosts

    async def subjects_after(self, seq: int) -> set[str]:
        """The subjects of the messages that the stream holds after a sequence number."""
        if self.last_seq <= seq:
            return set()
        config = ConsumerConfig(
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=seq + 1,
            ack_policy=AckPolicy.NONE,
            headers_only=True,
        )
        listed = await self._js.subscribe(
            subjects.FLEET_SUBJECTS, stream=subjects.FLEET_STREAM, ordered_consumer=True, config=config
        )
        try:
            return await _drained(listed)
        finally:
            await listed.unsubscribe()

    async def digests(self) -> set[str]:
        """The subjects of the digests that the stream holds."""
        info = await self._js.stream_info(subjects.FLEET_STREAM, subjects_filter=subjects.FLEET_DIGESTS)
        return set(info.state.subjects or ())

    async def close(self) -> None:
        """Listen to no more acks."""
        if self._acks is not None and not self._client.is_closed:
            await self._acks.unsubscribe()
        self._acks = None

    def _is_new(self, item: Publication) -> bool:
        return item.position >= self._newest.get(item.host, 0)

    def _message(self, item: Publication | Bulletin) -> tuple[str, bytes]:
        if isinstance(item, Bulletin):
            if len(item.data) > self.max_payload - HEADERS_ROOM:
                way_out = "raise its max_payload, or the stream's max_msg_size"
                text = f"{item.subject} has {len(item.data)} bytes, the broker takes {self.max_payload}; {way_out}"
                raise StateError(text, code="FLEET_TOO_LARGE")
            return item.subject, item.data
        return subjects.fleet_host(item.host), shortened(item, self.max_payload - HEADERS_ROOM)

    async def _all_stored(self) -> None:
        stored = -1
        while not self._settled.is_set():
            if stored == self._stored:
                raise TimeoutError(f"the broker stored {stored} of {self._wanted} fleet messages, then nothing more")
            stored = self._stored
            try:
                await asyncio.wait_for(self._settled.wait(), STORED_WITHIN_S)
            except TimeoutError:
                continue  # a slow broker goes on, a broken one does not
        if self._refused is not None:
            raise self._refused

    async def _on_ack(self, msg: Msg) -> None:
        if not msg.subject.endswith(f".{self._lot}"):
            return  # of a lot that was given up
        if msg.headers and msg.headers.get("Status"):
            self._refuse(NoStreamResponseError())
            return
        ack = _pub_ack.decode(msg.data)
        if ack.error is not None and ack.error.get("err_code") == _IS_THERE:
            self._count()
            return
        if ack.error is not None:
            text = f"the broker refused a fleet message: {ack.error.get('description')}"
            self._refuse(StateError(text, code="FLEET_REFUSED"))
            return
        self.last_seq = ack.seq  # a broker that restarts answers with its own numbers; the last ack is the truth
        self._count()

    def _count(self) -> None:
        self._stored += 1
        if self._stored == self._wanted:
            self._settled.set()

    def _refuse(self, error: Exception) -> None:
        self._refused = error
        self._settled.set()


async def _drained(listed: JetStreamContext.PushSubscription) -> set[str]:
    found: set[str] = set()
    info = await listed.consumer_info()
    left = (info.num_pending or 0) + (info.delivered.consumer_seq if info.delivered else 0)
    while left:
        try:
            msg = await listed.next_msg(timeout=STORED_WITHIN_S)
        except nats.errors.TimeoutError as error:
            raise TimeoutError("the broker does not deliver what MDEVREG_FLEET holds") from error
        found.add(msg.subject)
        left = msg.metadata.num_pending
    return found


def _headers(item: Publication | Bulletin) -> dict[str, str] | None:
    if isinstance(item, Bulletin):
        if item.once:
            return _ONCE
        return None if item.position is None else {subjects.POSITION_HEADER: str(item.position)}
    return {
        subjects.EPOCH_HEADER: item.epoch,
        subjects.SEQ_HEADER: str(item.settled),
        subjects.DIGEST_HEADER: item.digest,
        subjects.POSITION_HEADER: str(item.position),
    }
