"""Where delivered records are: read from the subject of their acks, in both forms that brokers have (NATS ADR-15)."""

from __future__ import annotations

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from mdevreg.query.pulling import Place, place_of
from mdevreg_server.deliveries import consecutive, message_of
from mdevreg_server.messages import Message

FORMS = (
    "$JS.ACK.MDEVREG_RECORDS.registry.{tries}.{stream}.{consumer}.{ns}.{pending}",
    "$JS.ACK.hub.hash.MDEVREG_RECORDS.registry.{tries}.{stream}.{consumer}.{ns}.{pending}",
    "$JS.ACK._.hash.MDEVREG_RECORDS.registry.{tries}.{stream}.{consumer}.{ns}.{pending}.token",
)


def _delivered(form: str, stream: int, consumer: int, *, subject: str = "mdevreg.v1.record.h") -> Msg:
    reply = form.format(tries=3, stream=stream, consumer=consumer, ns=1_700_000_000_123_456_789, pending=7)
    return Msg(Client(), subject, reply, b"data")


@pytest.mark.parametrize("form", FORMS)
def test_a_message_tells_its_place(form: str) -> None:
    """Times in µs; a record that was stored by slots has its own subject again."""
    found = _delivered(form, 11, 5, subject="mdevreg.v1.slot.9.h")
    assert place_of(found) == Place(11, 5, 1_700_000_000_123_456, 7)
    assert message_of(found) == Message("mdevreg.v1.record.h", b"data", 11, 1_700_000_000_123_456)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("after", "arrived", "whole"), [(0, [], 0), (0, [1, 2, 3], 3), (4, [5, 6], 2), (4, [6, 7], 0), (4, [5, 7, 8], 1)]
)
def test_a_filtering_consumer_counts_what_it_delivers(form: str, after: int, arrived: list[int], whole: int) -> None:
    """The stream's numbers have gaps there: only the consumer's tell that something was lost on the way."""
    assert consecutive([_delivered(form, 10 * number, number) for number in arrived], after) == whole
