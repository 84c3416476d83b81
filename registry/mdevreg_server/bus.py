"""The broker: a connection that comes back by itself, the two streams, the registry's consumer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress

import msgspec
import nats
from nats.aio.client import Client
from nats.errors import ConnectionClosedError, NoRespondersError
from nats.js import JetStreamContext
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    ConsumerInfo,
    DeliverPolicy,
    DiscardPolicy,
    RetentionPolicy,
    StorageType,
    StreamConfig,
    StreamInfo,
    SubjectTransform,
)
from nats.js.errors import APIError, NotFoundError, ServiceUnavailableError

from mdevreg import subjects
from mdevreg.addresses import shown
from mdevreg.errors import AuthError, RemoteError, StateError, UnreachableError, UsageError
from mdevreg.query.connection import connect as first_connection
from mdevreg.query.pulling import life_of
from mdevreg_server.partitions import Part

#: The broker's copy is a replay buffer, not the system of record: 30 days.
RECORDS_MAX_AGE_S = 30 * 86_400
#: Long enough for a database that is locked or away for a while; a redelivery is harmless anyway.
ACK_WAIT_S = 60
#: After this time without a reader the broker forgets a partition's consumer; its position is in SQL.
FORGOTTEN_S = 3_600
#: Messages over the longest record still reach quarantine, up to this; the broker refuses more.
MAX_MESSAGE_BYTES = 16 * 1024 * 1024

#: How long a registry may take to answer: its writer may be in the midst of a large batch.
ANSWER_S = 15.0
#: How a server without JetStream answers: not at all, or "not enabled", for itself or for our account.
_NO_JETSTREAM = (None, 10076, 10039)
#: What a broken or restarting broker may answer; the caller attaches again.
BROKEN = (APIError, NoRespondersError, ConnectionClosedError, TimeoutError, nats.errors.Error)

_DEALING = SubjectTransform(src=subjects.RECORDS_SUBJECTS, dest=subjects.DEALT)


async def connect(
    url: str, *, creds: str | None, timeout_s: float, say: Callable[[str], None], name: str = "mdevreg-server"
) -> Client:
    """Connect, then keep reconnecting for ever. Raises ``UnreachableError`` or ``AuthError`` at the first time."""
    client = Client()

    async def down() -> None:
        say("broker.disconnected")

    async def up() -> None:
        say("broker.reconnected")

    said = ""

    async def failed(error: Exception) -> None:
        nonlocal said
        if repr(error) != said:  # a broker that is away is tried once a second, and told once
            said = repr(error)
            say(f"broker.error error={said}")

    await first_connection(
        client,
        url,
        creds=creds,
        timeout_s=timeout_s,
        on_error=failed,
        name=name,
        disconnected_cb=down,
        reconnected_cb=up,
    )
    return client


def published_to(client: Client, subject: str, say: Callable[[str], None]) -> Callable[[bytes], Awaitable[None]]:
    """Publishes on a subject of core NATS; whoever listens has it. That a broker was away is said."""

    async def publish(data: bytes) -> None:
        try:
            await client.publish(subject, data)
        except BROKEN as error:
            say(f"broker.refused subject={subject} error={error!r}")

    return publish


async def leave(client: Client) -> None:
    """Close the connection. A broker that is away has nothing to say about it."""
    with suppress(nats.errors.Error, TimeoutError, OSError):
        await client.close()


class Wanted(msgspec.Struct, frozen=True):
    """What is asked of MDEVREG_RECORDS. ``dealt``: records are stored by slots; once they are, it stays so.

    ``max_bytes``: when it is full, the broker refuses records, and agents keep them; ``None``: as it is.
    """

    dealt: bool = False
    max_bytes: int | None = None


AS_IT_IS = Wanted()


async def ensure_streams(js: JetStreamContext, wanted: Wanted = AS_IT_IS) -> tuple[StreamInfo, StreamInfo]:
    """Create MDEVREG_RECORDS and MDEVREG_FLEET where they are missing, and make the first as it is wanted.

    Raises ``StateError`` without JetStream, or if the broker can't do what is wanted.
    """
    try:
        return await _wanted(js, await ensure(js, _records()), wanted), await ensure(js, _fleet())
    except ServiceUnavailableError as error:
        if error.err_code not in _NO_JETSTREAM:
            raise  # it is coming up, or has no leader yet
        text = "the NATS server has no JetStream; start it with `nats-server -js`, or set `jetstream {}` in its file"
        raise StateError(text, code="NO_JETSTREAM") from error


async def ensure(js: JetStreamContext, config: StreamConfig) -> StreamInfo:
    """A stream, created where it is missing."""
    try:
        return await js.stream_info(str(config.name))
    except NotFoundError:
        return await js.add_stream(config)


async def _wanted(js: JetStreamContext, info: StreamInfo, wanted: Wanted) -> StreamInfo:
    """A broker may take a setting that it does not know, and drop it: what it answers counts."""
    if wanted.max_bytes is not None and not _bounded(info.config, wanted.max_bytes):
        bounded = info.config.evolve(max_bytes=wanted.max_bytes, discard=DiscardPolicy.NEW)
        info = await js.update_stream(bounded)
    if wanted.dealt and info.config.subject_transform is None:
        info = await js.update_stream(info.config.evolve(subject_transform=_DEALING))
    found = info.config.subject_transform
    if wanted.dealt and (found is None or (found.src, found.dest) != (_DEALING.src, _DEALING.dest)):
        text = f"{subjects.RECORDS_STREAM} has the subject transform {found}, expected {_DEALING}; nats-server must be "
        raise StateError(f"{text}2.10 or newer, and nobody else may transform its subjects", code="NOT_DEALT")
    return info


def _bounded(config: StreamConfig, max_bytes: int) -> bool:
    return (config.max_bytes, config.discard) == (max_bytes, DiscardPolicy.NEW)


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


async def renew_consumer(js: JetStreamContext, part: Part, start: int) -> ConsumerInfo:
    """A partition's durable pull consumer, made anew to deliver from stream sequence ``start`` on.

    What an earlier one has delivered and saw no ack for would come only after its ack wait; worse, with ack
    policy *all*, the ack of a later message would count for it. The position in SQL is the truth.
    """
    with suppress(NotFoundError):
        await js.delete_consumer(subjects.RECORDS_STREAM, part.durable)
    config = ConsumerConfig(
        durable_name=part.durable,
        filter_subjects=list(part.filters) or None,
        inactive_threshold=FORGOTTEN_S if part.filters else None,  # one of another number of partitions
        ack_policy=AckPolicy.ALL,
        deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
        opt_start_seq=start,
        ack_wait=ACK_WAIT_S,
        max_ack_pending=20_000,
    )
    return await js.add_consumer(subjects.RECORDS_STREAM, config)


async def drained(js: JetStreamContext, part: Part) -> bool:
    """Whether everything that a partition's consumer has to deliver was acked."""
    info = await js.consumer_info(subjects.RECORDS_STREAM, part.durable)
    return not info.num_pending and not info.num_ack_pending


async def make_room(js: JetStreamContext, consumed: Callable[[str], Awaitable[int]]) -> int:
    """Where MDEVREG_RECORDS is bounded and more than half full, remove the older half of what was consumed.

    ``consumed``: up to which sequence, in a life of the stream. Returns how many messages were removed.
    """
    info = await js.stream_info(subjects.RECORDS_STREAM)
    bound, state = info.config.max_bytes or 0, info.state
    if bound <= 0 or state.bytes * 2 <= bound:
        return 0
    reached = min(await consumed(life_of(info)), state.last_seq)
    upto = state.first_seq + (reached - state.first_seq + 2) // 2
    if upto <= state.first_seq:
        return 0
    await js.purge_stream(subjects.RECORDS_STREAM, seq=upto)
    return upto - state.first_seq


async def publish_again(url: str, subject: str, data: bytes, *, creds: str | None, say: Callable[[str], None]) -> None:
    """Publish one record to MDEVREG_RECORDS and wait for its ack: a quarantined one is tried again."""
    client = await connect(url, creds=creds, timeout_s=10.0, say=say)
    try:
        await client.jetstream().publish(subject, data, timeout=5, stream=subjects.RECORDS_STREAM)
    except NoRespondersError as error:
        text = f"{shown(url)} has no stream {subjects.RECORDS_STREAM}; is mdevreg-server running?"
        raise UnreachableError(text) from error
    finally:
        await client.close()


async def ask(
    url: str, subject: str, requests: Callable[[int], Iterable[bytes]], *, creds: str | None, say: Callable[[str], None]
) -> list[bytes]:
    """Ask a running registry, one request after the other; ``requests`` is told the broker's largest message.

    Raises ``UnreachableError``, ``AuthError``, or the registry's own error as ``UsageError`` or ``RemoteError``.
    """
    forbidden = asyncio.Event()

    def listen(line: str) -> None:
        if "permissions violation" in line.lower():
            forbidden.set()
        elif line != "broker.disconnected":
            say(line)

    client = await connect(url, creds=creds, timeout_s=10.0, say=listen)
    try:
        return [await _answer(client, subject, request, forbidden) for request in requests(client.max_payload)]
    except NoRespondersError as error:
        text = f"no registry takes decisions at {shown(url)}; is mdevreg-server running there?"
        raise UnreachableError(text) from error
    except TimeoutError as error:
        if forbidden.is_set():
            raise AuthError(f"{shown(url)} does not allow you to publish {subject}") from error
        text = f"no answer from {shown(url)} within {ANSWER_S:g} s; it may have been done: asking again is harmless"
        raise UnreachableError(text) from error
    finally:
        await client.close()


async def _answer(client: Client, subject: str, request: bytes, forbidden: asyncio.Event) -> bytes:
    """The reply. Raises ``TimeoutError``, as soon as the broker forbids to ask."""
    asking = asyncio.ensure_future(client.request(subject, request, timeout=ANSWER_S))
    told = asyncio.ensure_future(forbidden.wait())
    await asyncio.wait((asking, told), return_when=asyncio.FIRST_COMPLETED)
    told.cancel()
    if not asking.done():
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        raise TimeoutError
    reply = await asking
    status = (reply.headers or {}).get("Nats-Service-Error-Code")
    if status is None:
        return reply.data
    body = msgspec.json.decode(reply.data)
    kind = UsageError if status in ("400", "404") else RemoteError
    raise kind(str(body["message"]), code=str(body["code"]))
