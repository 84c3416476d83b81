"""Publishes lots of messages to a stream and sees that all of a lot was stored.

nats-py's publish waits for each PubAck; its asynchronous one hands out futures, which a broker that goes away may never
resolve; here the PubAcks of a lot are counted in one subscription.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js.errors import NoStreamResponseError

from mdevreg.errors import StateError

#: How long a broker may store nothing of a lot before it counts as broken.
STORED_WITHIN_S = 5.0
#: The code with which a broker refuses a message that was to be the first of its subject.
_IS_THERE = 10071


class Letter(msgspec.Struct, frozen=True):
    """One message of a lot."""

    subject: str
    data: bytes
    headers: dict[str, str] | None = None


class _PubAck(msgspec.Struct):
    seq: int = 0
    duplicate: bool = False
    error: dict[str, Any] | None = None


_pub_ack = msgspec.json.Decoder(_PubAck)


class Lots:
    """One lot at a time. ``last_seq``: the stream's last sequence number as acknowledged.

    ``what``, ``refused``: what the messages are called, and the code of one that the broker does not take.
    """

    def __init__(self, client: Client, last_seq: int, *, what: str, refused: str) -> None:
        self._client, self.last_seq, self._what, self._code = client, last_seq, what, refused
        self._inbox = client.new_inbox()
        self._acks: Subscription | None = None
        self._lot, self._stored, self._wanted = 0, 0, 0
        self._refused: Exception | None = None
        self._settled = asyncio.Event()

    async def publish(self, letters: Sequence[Letter]) -> None:
        """Publish a lot. Raises ``bus.BROKEN``, or ``StateError`` for what the broker does not take.

        Then nobody knows what of the lot was stored.
        """
        if not letters:
            return
        if self._acks is None:
            self._acks = await self._client.subscribe(f"{self._inbox}.*", cb=self._on_ack)
        self._lot, self._stored, self._wanted, self._refused = self._lot + 1, 0, len(letters), None
        self._settled.clear()
        reply = f"{self._inbox}.{self._lot}"
        for letter in letters:
            await self._client.publish(letter.subject, letter.data, reply=reply, headers=letter.headers)
        await self._all_stored()

    async def close(self) -> None:
        """Listen to no more acks."""
        if self._acks is not None and not self._client.is_closed:
            await self._acks.unsubscribe()
        self._acks = None

    async def _all_stored(self) -> None:
        stored = -1
        while not self._settled.is_set():
            if stored == self._stored:
                raise TimeoutError(f"the broker stored {stored} of {self._wanted} {self._what}s, then nothing more")
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
            text = f"the broker refused a {self._what}: {ack.error.get('description')}"
            self._refuse(StateError(text, code=self._code))
            return
        if not ack.duplicate:  # a broker that restarts answers with its own numbers; the last ack is the truth
            self.last_seq = ack.seq
        self._count()

    def _count(self) -> None:
        self._stored += 1
        if self._stored == self._wanted:
            self._settled.set()

    def _refuse(self, error: Exception) -> None:
        self._refused = error
        self._settled.set()
