"""What a test says to a broker and hears from it, one connection per call."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import TypeVar

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import ConsumerConfig, DeliverPolicy, StreamInfo

from mdevreg import subjects, wire

T = TypeVar("T")


def with_client(url: str, work: Callable[[Client], Awaitable[T]]) -> T:
    """Connect, do it, leave."""

    async def run() -> T:
        client = Client()
        await client.connect(url)
        try:
            return await work(client)
        finally:
            await client.close()

    return asyncio.run(run())


def publish(url: str, records: Sequence[bytes], subject: str | None = None) -> None:
    """Publish records as an agent does: on their host's subject, with a message id, each acknowledged."""

    async def work(client: Client) -> None:
        stream = client.jetstream()
        for record in records:
            envelope = wire.envelope_of(record)
            own = subject or subjects.record(envelope.host if envelope else "host-1")
            headers = None
            if envelope:
                headers = {"Nats-Msg-Id": subjects.message_id(envelope.host, envelope.epoch, envelope.seq, record)}
            await stream.publish(own, record, headers=headers, timeout=10)

    with_client(url, work)


def fleet(url: str, below: str = subjects.FLEET_HOSTS) -> list[Msg]:
    """The hosts in MDEVREG_FLEET, or what else it has ``below`` a subject, in its order."""

    async def work(client: Client) -> list[Msg]:
        stream = client.jetstream()
        subscription = await stream.subscribe(below, ordered_consumer=True, deliver_policy=DeliverPolicy.ALL)
        found = []
        with suppress(TimeoutError):
            while True:
                found.append(await subscription.next_msg(timeout=0.3))
        return found

    return with_client(url, work)


def read_on(url: str, stream: str, after: int) -> list[Msg]:
    """What a stream holds after a sequence number, in its order."""

    async def work(client: Client) -> list[Msg]:
        js = client.jetstream()
        config = ConsumerConfig(deliver_policy=DeliverPolicy.BY_START_SEQUENCE, opt_start_seq=after + 1)
        subscription = await js.pull_subscribe(f"{subjects.ROOT}.>", stream=stream, config=config)
        found: list[Msg] = []
        while (info := await subscription.consumer_info()).num_pending:
            found += await subscription.fetch(500, timeout=2)
        await js.delete_consumer(stream, info.name)  # else it stays for seconds, and whoever polls soon has too many
        return found

    return with_client(url, work)


def stream_info(url: str, stream: str) -> StreamInfo:
    """A stream as the broker has it."""

    async def work(client: Client) -> StreamInfo:
        return await client.jetstream().stream_info(stream)

    return with_client(url, work)


def say(url: str, subject: str, *payloads: bytes) -> None:
    """Publish over core NATS."""

    async def work(client: Client) -> None:
        for payload in payloads:
            await client.publish(subject, payload)
        await client.flush()

    with_client(url, work)


def ask(url: str, subject: str, payload: bytes = b"") -> Msg:
    """A request and its reply."""

    async def work(client: Client) -> Msg:
        return await client.request(subject, payload, timeout=5)

    return with_client(url, work)
