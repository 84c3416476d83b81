"""What a stream holds after a sequence number: subjects and headers, without the messages' bodies."""

from __future__ import annotations

import nats.errors
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

#: A broker that delivers nothing for so long counts as broken.
DELIVERED_WITHIN_S = 5.0


async def held_after(js: JetStreamContext, stream: str, subjects: str, seq: int) -> list[Msg]:
    """The messages after a sequence number, in the stream's order. Raises ``bus.BROKEN``."""
    config = ConsumerConfig(
        deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
        opt_start_seq=seq + 1,
        ack_policy=AckPolicy.NONE,
        headers_only=True,
    )
    listed = await js.subscribe(subjects, stream=stream, ordered_consumer=True, config=config)
    try:
        return await _drained(listed, stream)
    finally:
        await listed.unsubscribe()


async def _drained(listed: JetStreamContext.PushSubscription, stream: str) -> list[Msg]:
    found: list[Msg] = []
    info = await listed.consumer_info()
    left = (info.num_pending or 0) + (info.delivered.consumer_seq if info.delivered else 0)
    while left:
        try:
            msg = await listed.next_msg(timeout=DELIVERED_WITHIN_S)
        except nats.errors.TimeoutError as error:
            raise TimeoutError(f"the broker does not deliver what {stream} holds") from error
        found.append(msg)
        left = msg.metadata.num_pending
    return found
