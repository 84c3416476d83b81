"""Records as a durable consumer delivers them: their places in the stream, what is missing among them, their acks."""

from __future__ import annotations

from collections.abc import Sequence

from nats.aio.client import Client
from nats.aio.msg import Msg

from mdevreg import subjects
from mdevreg.query.pulling import place_of
from mdevreg_server.messages import Message


def message_of(msg: Msg) -> Message:
    """A delivered message with its place in the stream."""
    place = place_of(msg)
    return Message(subjects.as_published(msg.subject), msg.data, place.stream_seq, place.received_at_us)


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
    return place_of(msg).consumer_seq


async def acknowledge(client: Client, last: Msg) -> None:
    """Ack everything up to and with this message (ack policy *all*)."""
    await client.publish(last.reply, b"+ACK")
