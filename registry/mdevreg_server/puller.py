"""Pulls batches of records from a durable consumer, and acks them.

nats-py's ``fetch`` costs a task and a timer per message; here one subscription collects a whole batch.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg

from mdevreg import subjects
from mdevreg.errors import StateError
from mdevreg_server.messages import Message


class _Pull(msgspec.Struct):
    batch: int
    expires: int
    no_wait: bool = True


class Puller:
    """Pulls batches of a durable consumer into one subscription."""

    def __init__(self, client: Client, durable: str, *, batch: int, expires_s: float) -> None:
        self._client = client
        self._next = f"$JS.API.CONSUMER.MSG.NEXT.{subjects.RECORDS_STREAM}.{durable}"
        self._inbox = client.new_inbox()
        self._request = msgspec.json.encode(_Pull(batch, int(expires_s * 1e9)))
        self._batch, self._expires_s = batch, expires_s
        self._number = 0
        self._got: list[Msg] = []
        self._ended = asyncio.Event()
        self._status = ""

    async def open(self) -> Puller:
        """Subscribe. Requires a connected client."""
        self._subscription = await self._client.subscribe(f"{self._inbox}.*", cb=self._on)
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
        await self._client.publish(self._next, self._request, reply=f"{self._inbox}.{self._number}")
        # No status comes from a server that died; what arrived is still good.
        with suppress(TimeoutError):
            await asyncio.wait_for(self._ended.wait(), self._expires_s + 1)
        got, self._got = self._got, []
        if self._status in {"409", "503"} and not got:
            raise StateError("the consumer of MDEVREG_RECORDS is gone", code="CONSUMER_LOST")
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


def message_of(msg: Msg) -> Message:
    """A delivered message with its place in the stream."""
    tokens = _place(msg)
    return Message(subjects.as_published(msg.subject), msg.data, int(tokens[1]), int(tokens[3]) // 1_000)


def consecutive(got: Sequence[Msg], after: int) -> int:
    """How many messages, from the first, the consumer delivered one after the other. ``after``: the last before them.

    Where it filters, the stream's own numbers have gaps.
    """
    for number, message in enumerate(got):
        if delivery_of(message) != after + number + 1:
            return number
    return len(got)


def delivery_of(msg: Msg) -> int:
    """The how manieth delivery of its consumer it is."""
    return int(_place(msg)[2])


def _place(msg: Msg) -> list[str]:
    """From the reply subject, both generations of it: times delivered, stream's and consumer's sequence, time in ns."""
    tokens = msg.reply.split(".")
    first = 2 if len(tokens) == 9 else 4  # noqa: PLR2004  ($JS.ACK.[domain.account.]stream.consumer.…)
    return tokens[first + 2 : first + 6]


async def acknowledge(client: Client, last: Msg) -> None:
    """Ack everything up to and with this message (ack policy *all*)."""
    await client.publish(last.reply, b"+ACK")
