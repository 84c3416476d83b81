"""Writes MDEVREG_FLEET, in order, and sees that all of it was stored; reads back what it holds."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import Header, StreamInfo

from mdevreg import subjects
from mdevreg.errors import StateError
from mdevreg.published import FLEET_SCHEMA
from mdevreg.query.pulling import life_of
from mdevreg_server.bulletins import HEADERS_ROOM, Bulletin
from mdevreg_server.held import held_after
from mdevreg_server.lots import Letter, Lots
from mdevreg_server.positions import Where
from mdevreg_server.publication import Publication, shortened

#: Only as the first message of its subject.
_ONCE = {Header.EXPECTED_LAST_SUBJECT_SEQUENCE.value: "0"}


class Fleet:
    """MDEVREG_FLEET in one of its lives, written by one registry. One lot at a time."""

    def __init__(self, client: Client, js: JetStreamContext, info: StreamInfo) -> None:
        self._client, self._js = client, js
        self.created = life_of(info)
        self._lots = Lots(client, info.state.last_seq, what="fleet message", refused="FLEET_REFUSED")
        bound = info.config.max_msg_size or -1
        self._most = bound if bound > 0 else sys.maxsize
        self._newest: dict[str, int] = {}  # position of each host as published

    @property
    def last_seq(self) -> int:
        """The stream's last sequence number, as far as it was acknowledged."""
        return self._lots.last_seq

    @property
    def where(self) -> Where:
        """How far the fleet stream was written. What it says depends on its format, so that belongs to its life."""
        return Where(f"{self.created} {FLEET_SCHEMA}", self.last_seq)

    @property
    def max_payload(self) -> int:
        """The largest message that broker and stream take, in bytes, headers included."""
        return min(int(self._client.max_payload), self._most)

    async def publish(self, items: Sequence[Publication | Bulletin]) -> list[Publication]:
        """Publish a lot and see that all of it was stored. Returns the hosts that were published.

        A host whose newer state was published meanwhile (a receipt was asked for) is left out. Raises ``bus.BROKEN``,
        or ``StateError`` for what the broker does not take; then nobody knows what of the lot was stored.
        """
        lot = [item for item in items if isinstance(item, Bulletin) or self._is_new(item)]
        if not lot:
            return []
        await self._lots.publish([Letter(*self._message(item), headers=_headers(item)) for item in lot])
        hosts = [item for item in lot if isinstance(item, Publication)]
        self._newest.update((item.host, item.position) for item in hosts)
        return hosts

    async def subjects_after(self, seq: int) -> set[str]:
        """The subjects of the messages that the stream holds after a sequence number."""
        if self.last_seq <= seq:
            return set()
        held = await held_after(self._js, subjects.FLEET_STREAM, subjects.FLEET_SUBJECTS, seq)
        return {msg.subject for msg in held}

    async def digests(self) -> set[str]:
        """The subjects of the digests that the stream holds."""
        info = await self._js.stream_info(subjects.FLEET_STREAM, subjects_filter=subjects.FLEET_DIGESTS)
        return set(info.state.subjects or ())

    async def close(self) -> None:
        """Listen to no more acks."""
        await self._lots.close()

    def _is_new(self, item: Publication) -> bool:
        return item.position >= self._newest.get(item.host, 0)

    def _message(self, item: Publication | Bulletin) -> tuple[str, bytes]:
        if isinstance(item, Bulletin):
            if len(item.data) > self.max_payload - HEADERS_ROOM:
                way_out = "raise its max_payload, or the stream's max_msg_size"
                text = f"{item.subject} has {len(item.data)} bytes, the broker takes {self.max_payload}; {way_out}"
                raise StateError(text, code="FLEET_TOO_LARGE")
            return item.subject, item.data
        return subjects.fleet_host(item.host), shortened(item, self.max_payload - HEADERS_ROOM)


def _headers(item: Publication | Bulletin) -> dict[str, str] | None:
    if isinstance(item, Bulletin):
        if item.once:
            return _ONCE
        return None if item.position is None else {subjects.POSITION_HEADER: str(item.position)}
    return {
        subjects.EPOCH_HEADER: item.epoch,
        subjects.SEQ_HEADER: str(item.settled),
        subjects.DIGEST_HEADER: item.digest,
        subjects.POSITION_HEADER: str(item.position),
    }
