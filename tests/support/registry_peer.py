"""A registry as an agent knows it, over real NATS: it applies records to memory and publishes receipts.

Not the registry: no SQL, no history. It keeps every record it was sent, so that tests can say what arrived, and
it can be told to be silent, or to lose its memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import DiscardPolicy, StreamConfig

from mdevreg import subjects, wire
from mdevreg.records import (
    EMPTY_DIGEST,
    Beat,
    CompleteBody,
    HostBody,
    ParentBody,
    Record,
    TombstoneBody,
    digest_of,
    state_digest,
)


class HostMemory:
    """What the peer knows of one host."""

    def __init__(self) -> None:
        self.epoch = ""
        self.seq = 0
        self.facts: str | None = None
        self.parents: dict[str, str] = {}

    @property
    def digest(self) -> str:
        return state_digest(self.facts, self.parents) if self.facts else EMPTY_DIGEST

    def apply(self, record: Record) -> None:
        """As the protocol says: state, not delta; only a tombstone or a complete snapshot removes."""
        body = record.body
        match body:
            case HostBody():
                self.facts = digest_of(bytes(body.facts))
            case ParentBody():
                self.parents[body.path] = digest_of(bytes(body.parent))
            case TombstoneBody():
                self.parents.pop(body.path, None)
            case CompleteBody():
                self.parents = {path: seen for path, seen in self.parents.items() if path in body.parents}
        self.epoch, self.seq = record.epoch, record.seq


class RegistryPeer:
    """Follows MDEVREG_RECORDS and answers on MDEVREG_FLEET."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.hosts: dict[str, HostMemory] = {}
        self.records: list[Record] = []  # every one that arrived, duplicates too
        self.beats: list[Beat] = []
        self.silent = False
        self.deaf = False  # takes nothing in

    async def set_up(self) -> None:
        """Make the streams if they are not there, and listen."""
        stream = self._client.jetstream()
        await stream.add_stream(StreamConfig(name=subjects.RECORDS_STREAM, subjects=[subjects.RECORDS_SUBJECTS]))
        await stream.add_stream(
            StreamConfig(
                name=subjects.FLEET_STREAM,
                subjects=[subjects.FLEET_SUBJECTS],
                max_msgs_per_subject=1,
                allow_direct=True,
                discard=DiscardPolicy.OLD,
            )
        )
        await stream.subscribe(subjects.RECORDS_SUBJECTS, durable="peer", cb=self._take, manual_ack=True)
        await self._client.subscribe(subjects.BEATS, cb=self._beat)

    def of(self, host: str) -> list[Record]:
        """The records of one host in the order of their first arrival, each once."""
        return list({(r.epoch, r.seq): r for r in reversed(self.records) if r.host == host}.values())[::-1]

    async def confirm(self, host: str) -> None:
        """Publish the host's state as it is known here: its receipt."""
        known = self.hosts.get(host) or HostMemory()
        await self.say(host, known.epoch, known.seq, known.digest)

    async def say(self, host: str, epoch: str, seq: int, digest: str) -> None:
        """Publish a receipt with any content."""
        headers = {
            subjects.EPOCH_HEADER: epoch,
            subjects.SEQ_HEADER: str(seq),
            subjects.DIGEST_HEADER: digest,
            subjects.POSITION_HEADER: str(len(self.records)),
        }
        await self._client.jetstream().publish(subjects.fleet_host(host), b"{}", headers=headers)

    async def _take(self, message: Msg) -> None:
        await message.ack()
        if self.deaf:
            return
        record = wire.decode(message.data).record
        memory = self.hosts.setdefault(record.host, HostMemory())
        self.records.append(record)
        if (memory.epoch, memory.seq) != (record.epoch, record.seq):
            memory.apply(record)
        if not self.silent:
            await self.confirm(record.host)

    async def _beat(self, message: Msg) -> None:
        self.beats.append(wire.decode_beat(message.data))


@asynccontextmanager
async def registry_peer(url: str) -> AsyncIterator[RegistryPeer]:
    """A peer on the broker at ``url``, with its streams."""
    client = Client()
    await client.connect(servers=url)
    try:
        peer = RegistryPeer(client)
        await peer.set_up()
        yield peer
    finally:
        await client.close()


async def until(condition: Callable[[], bool], what: str, timeout_s: float = 15.0) -> None:
    """Wait in the loop until ``condition()`` holds; fails naming ``what`` otherwise."""
    clock = asyncio.get_running_loop().time
    deadline = clock() + timeout_s
    while not condition():
        assert clock() < deadline, f"not within {timeout_s:g} s: {what}"
        await asyncio.sleep(0.02)
