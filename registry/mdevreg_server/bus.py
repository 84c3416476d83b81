"""The only place in the server that speaks to nats-py: connection, streams, pulls, counted publishing.

Traps this file exists for: ``fetch`` costs a task and a timer per message (we pull into one callback), a
cancelled fetch may swallow its cancellation, an async publish may never resolve (we count one PubAck instead).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

import msgspec
import nats
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import AuthorizationError, ConnectionClosedError, NoRespondersError, NoServersError
from nats.js import JetStreamContext
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DeliverPolicy,
    DiscardPolicy,
    RetentionPolicy,
    StorageType,
    StreamConfig,
    StreamInfo,
)
from nats.js.errors import APIError, NotFoundError, ServiceUnavailableError

from mdevreg import subjects
from mdevreg.errors import AuthError, StateError, UnreachableError
from mdevreg_server.ledger import Publication, Where
from mdevreg_server.messages import Message

#: The broker's copy is a replay buffer, not the system of record: 30 days.
RECORDS_MAX_AGE_S = 30 * 86_400
#: Long enough for a database that is locked or away for a while; a redelivery is harmless anyway.
ACK_WAIT_S = 60
#: Messages over the longest record still reach quarantine, up to this; the broker refuses more.
MAX_MESSAGE_BYTES = 16 * 1024 * 1024

#: What a broken or restarting broker may answer; the caller attaches again.
BROKEN = (APIError, NoRespondersError, ConnectionClosedError, TimeoutError, nats.errors.Error)


async def connect(
    url: str, *, creds: str | None, timeout_s: float, say: Callable[[str], None], name: str = "mdevreg-server"
) -> Client:
    """Connect, then keep reconnecting for ever. Raises ``UnreachableError`` or ``AuthError`` at the first time."""
    client = Client()

    async def down() -> None:
        say("broker.disconnected")

    async def up() -> None:
        say("broker.reconnected")

    async def failed(error: Exception) -> None:
        say(f"broker.error error={error!r}")

    options: dict[str, Any] = {"user_credentials": creds} if creds else {}
    try:
        connecting = client.connect(
            url,
            name=name,
            max_reconnect_attempts=-1,
            reconnect_time_wait=1,
            disconnected_cb=down,
            reconnected_cb=up,
            error_cb=failed,
            **options,
        )
        await asyncio.wait_for(connecting, timeout_s)
    except AuthorizationError as error:
        raise AuthError(f"{url} refused the credentials: {error}") from error
    except (TimeoutError, OSError, NoServersError) as error:
        await client.close()
        raise UnreachableError(f"no NATS server answers at {url} within {timeout_s:g} s; is it running?") from error
    return client


async def ensure_streams(js: JetStreamContext) -> tuple[StreamInfo, StreamInfo]:
    """Create MDEVREG_RECORDS and MDEVREG_FLEET where they are missing. Raises ``StateError`` without JetStream."""
    try:
        return await _ensure(js, _records()), await _ensure(js, _fleet())
    except (NoRespondersError, ServiceUnavailableError) as error:
        text = "the NATS server has no JetStream; start it with `nats-server -js`, or set `jetstream {}` in its file"
        raise StateError(text, code="NO_JETSTREAM") from error


async def _ensure(js: JetStreamContext, config: StreamConfig) -> StreamInfo:
    try:
        return await js.stream_info(str(config.name))
    except NotFoundError:
        return await js.add_stream(config)


def _records() -> StreamConfig:
    return StreamConfig(
        name=subjects.RECORDS_STREAM,
        subjects=[subjects.RECORDS_SUBJECTS],
        retention=RetentionPolicy.LIMITS,
        storage=StorageType.FILE,
        max_age=RECORDS_MAX_AGE_S,
        max_msg_size=MAX_MESSAGE_BYTES,
        duplicate_window=120,
    )


def _fleet() -> StreamConfig:
    return StreamConfig(
        name=subjects.FLEET_STREAM,
        subjects=[subjects.FLEET_SUBJECTS],
        retention=RetentionPolicy.LIMITS,
        storage=StorageType.FILE,
        max_msgs_per_subject=1,
        discard=DiscardPolicy.OLD,
        allow_direct=True,
    )


async def ensure_consumer(js: JetStreamContext, durable: str, start: int) -> None:
    """The durable pull consumer, ready to deliver from stream sequence ``start`` on.

    One that was acked beyond ``start`` (the database is an older copy) is created anew.
    """
    try:
        info = await js.consumer_info(subjects.RECORDS_STREAM, durable)
        acked = info.ack_floor.stream_seq if info.ack_floor else 0
        if acked < start and info.config.ack_policy == AckPolicy.ALL:
            return
        await js.delete_consumer(subjects.RECORDS_STREAM, durable)
    except NotFoundError:
        pass
    config = ConsumerConfig(
        durable_name=durable,
        ack_policy=AckPolicy.ALL,
        deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
        opt_start_seq=start,
        ack_wait=ACK_WAIT_S,
        max_ack_pending=20_000,
    )
    await js.add_consumer(subjects.RECORDS_STREAM, config)


def life_of(info: StreamInfo) -> str:
    """What tells one life of a stream from the next: its creation time."""
    created = info.created
    return created.isoformat() if isinstance(created, datetime) else str(created)


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
    """A delivered message with its place in the stream, read from its reply subject (both generations of it)."""
    tokens = msg.reply.split(".")
    first = 2 if len(tokens) == 9 else 4  # noqa: PLR2004  ($JS.ACK.[domain.account.]stream.consumer.…)
    return Message(msg.subject, msg.data, int(tokens[first + 3]), int(tokens[first + 5]) // 1_000)


async def acknowledge(client: Client, last: Msg) -> None:
    """Ack everything up to and with this message (ack policy *all*)."""
    await client.publish(last.reply, b"+ACK")


class Fleet:
    """Publishes hosts' states to MDEVREG_FLEET, in order, with one PubAck per lot."""

    def __init__(self, client: Client, js: JetStreamContext, info: StreamInfo) -> None:
        self._client, self._js = client, js
        self.created, self.last_seq = life_of(info), info.state.last_seq

    @property
    def where(self) -> Where:
        """How far the fleet stream was written."""
        return Where(self.created, self.last_seq)

    async def publish(self, lot: Sequence[Publication]) -> None:
        """Publish a lot and see that all of it was stored: sequence numbers are counted over its last ack."""
        if not lot:
            return
        for item in lot[:-1]:
            await self._client.publish(subjects.fleet_host(item.host), item.data, headers=_headers(item))
        if await self._acked(lot[-1]) != self.last_seq + len(lot):
            for item in lot:  # something in between was refused: one by one tells which
                await self._acked(item)
        # A broker that restarts answers with its own numbers; the last ack is the truth.
        self.last_seq = self._seen

    async def _acked(self, item: Publication) -> int:
        ack = await self._js.publish(subjects.fleet_host(item.host), item.data, headers=_headers(item), timeout=5)
        self._seen = ack.seq
        return ack.seq


def _headers(item: Publication) -> dict[str, str]:
    return {
        subjects.EPOCH_HEADER: item.epoch,
        subjects.SEQ_HEADER: str(item.settled),
        subjects.DIGEST_HEADER: item.digest,
        subjects.POSITION_HEADER: str(item.position),
    }


async def publish_again(url: str, subject: str, data: bytes, *, creds: str | None, say: Callable[[str], None]) -> None:
    """Publish one record to MDEVREG_RECORDS and wait for its ack: a quarantined one is tried again."""
    client = await connect(url, creds=creds, timeout_s=10.0, say=say)
    try:
        await client.jetstream().publish(subject, data, timeout=5, stream=subjects.RECORDS_STREAM)
    except NoRespondersError as error:
        raise UnreachableError(f"{url} has no stream {subjects.RECORDS_STREAM}; is mdevreg-server running?") from error
    finally:
        await client.close()
