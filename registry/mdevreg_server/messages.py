"""A message as it came from the broker, and what decoding made of it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from mdevreg import subjects, wire
from mdevreg.errors import DecodeError


class Message(msgspec.Struct, frozen=True, gc=False):
    """One message of MDEVREG_RECORDS. ``received_at_us``: when the broker stored it, µs UTC."""

    subject: str
    data: bytes
    stream_seq: int
    received_at_us: int


#: A message, and what decoding made of it.
Item = tuple[Message, wire.Decoded | DecodeError]


def read_all(messages: Iterable[Message]) -> list[Item]:
    """Decode messages; what can't be read comes with its error."""
    return [(message, read(message)) for message in messages]


def read(message: Message) -> wire.Decoded | DecodeError:
    """Decode a message and check that it came on its own host's subject. Never raises for bad input."""
    try:
        decoded = wire.decode(message.data)
    except DecodeError as error:
        return error
    token = subjects.host_of(message.subject)
    if decoded.record.host != token:
        text = f"host is {decoded.record.host!r}, but it came on the subject of {token!r}"
        return DecodeError(text, path="$.host", code="SUBJECT_MISMATCH")
    return decoded


def unbroken(messages: Sequence[Message], after: int | None) -> int:
    """How many of the messages, from the first, follow each other in the stream without a gap.

    ``after``: the last stream sequence before them; ``None``: the first one may have any. Those that come again
    make no gap.
    """
    for number, message in enumerate(messages):
        if after is not None and message.stream_seq > after + 1:
            return number
        after = message.stream_seq if after is None else max(after, message.stream_seq)
    return len(messages)
