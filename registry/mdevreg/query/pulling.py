"""Reads a stream: which of its lives it is, and batches of a consumer, pulled into one subscription.

nats-py's ``fetch`` costs a task and a timer per message; here one subscription collects a whole batch.
"""

from __future__ import annotations

import asyncio
from datetime import datetime

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import StreamInfo

from mdevreg.errors import StateError


class _Pull(msgspec.Struct):
    batch: int
    expires: int
    no_wait: bool = True


class Place(msgspec.Struct, frozen=True):
    """Where a delivered message is. ``pending``: how many of the consumer's messages come after it."""

    stream_seq: int
    consumer_seq: int
    received_at_us: int  # when the broker stored it, µs UTC
    pending: int


class Puller:
    """Pulls batches of one consumer. ``answered``: whether the last pull was ended by the broker."""

    def __init__(self, client: Client, stream: str, consumer: str, *, batch: int, expires_s: float) -> None:
        self._client, self._stream = client, stream
        self._next = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._inbox = client.new_inbox()
        self._request = msgspec.json.encode(_Pull(batch, int(expires_s * 1e9)))
        self._batch, self._expires_s = batch, expires_s
        self._number = 0
        self._got: list[Msg] = []
        self._ended = asyncio.Event()
        self._status = ""
        self.answered = True

    async def open(self) -> Puller:
        """Subscribe. Requires a connected client."""
        # Bounds of nats-py's own queue are of no use here: never more than a batch was asked for.
        self._subscription = await self._client.subscribe(f"{self._inbox}.*", cb=self._on, pending_bytes_limit=2**31)
        return self

    async def close(self) -> None:
        """Unsubscribe; what was delivered and not acked comes again."""
        if not self._client.is_closed:
            await self._subscription.unsubscribe()

    async def pull(self) -> list[Msg]:
        """The next messages: up to a batch, or what there is after at most ``expires_s``; maybe none.

        Raises ``StateError`` (code CONSUMER_LOST) when the broker says that the consumer is gone.
        """
        self._number += 1
        self._ended.clear()
        self.answered = True
        await self._client.publish(self._next, self._request, reply=f"{self._inbox}.{self._number}")
        # No status comes from a server that died; what arrived is still good.
        try:
            await asyncio.wait_for(self._ended.wait(), self._expires_s + 1)
        except TimeoutError:
            self.answered = False
        got, self._got = self._got, []
        if self._status in {"409", "503"} and not got:
            raise StateError(f"the consumer of {self._stream} is gone", code="CONSUMER_LOST")
        return got

    async def _on(self, msg: Msg) -> None:
        status = msg.headers.get("Status") if msg.headers else None
        if status is not None:
            if msg.subject.endswith(f".{self._number}"):  # an earlier pull's end means nothing now
                self._status = status
                self._ended.set()
            return
        self._status = ""
        self._got.append(msg)
        if len(self._got) >= self._batch:
            self._ended.set()


def life_of(info: StreamInfo) -> str:
    """What tells one life of a stream from the next: its creation time."""
    created = info.created
    return created.isoformat() if isinstance(created, datetime) else str(created)


def place_of(msg: Msg) -> Place:
    """A delivered message's place, read from its reply subject (both generations of it)."""
    tokens = msg.reply.split(".")
    first = 2 if len(tokens) == 9 else 4  # noqa: PLR2004  ($JS.ACK.[domain.account.]stream.consumer.…)
    _, stream_seq, consumer_seq, stored_ns, pending = map(int, tokens[first + 2 : first + 7])
    return Place(stream_seq, consumer_seq, stored_ns // 1_000, pending)
