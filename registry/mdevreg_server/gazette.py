"""MDEVREG_EVENTS in one of its lives: every event is in it once, by its id, however often it is published."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import DiscardPolicy, Header, RetentionPolicy, StorageType, StreamConfig, StreamInfo

from mdevreg import subjects
from mdevreg.events import Event, encode_event
from mdevreg.query.pulling import life_of
from mdevreg_server.bus import ensure
from mdevreg_server.event_marks import Mark
from mdevreg_server.held import held_after
from mdevreg_server.lots import Letter, Lots

#: How long events can be read again: 30 days.
MAX_AGE_S = 30 * 86_400
#: Where a broker lost what it had acknowledged, so many of the last events that it has are looked at.
LOOKED_AT = 5_000
#: Events of one lot.
LOT = 500


async def ensure_events(js: JetStreamContext) -> StreamInfo:
    """Create MDEVREG_EVENTS where it is missing. An operator may give it other bounds."""
    return await ensure(js, _events())


def _events() -> StreamConfig:
    return StreamConfig(
        name=subjects.EVENTS_STREAM,
        subjects=[subjects.EVENTS_SUBJECTS],
        retention=RetentionPolicy.LIMITS,
        storage=StorageType.FILE,
        max_age=MAX_AGE_S,
        discard=DiscardPolicy.OLD,
        duplicate_window=120,
        allow_direct=True,
    )


class Resumption(msgspec.Struct, frozen=True):
    """Where to go on: behind which log position. ``lost``: so many acknowledged events the broker has no more."""

    position: int
    lost: int = 0


class Gazette:
    """Written by one registry. ``created``: the stream's life."""

    def __init__(self, client: Client, js: JetStreamContext, info: StreamInfo) -> None:
        self._js = js
        self.created = life_of(info)
        self._lots = Lots(client, info.state.last_seq, what="event", refused="EVENT_REFUSED")
        self._there: set[str] = set()  # ids that were published and not marked

    @property
    def last_seq(self) -> int:
        """The stream's last sequence number, as far as it was acknowledged."""
        return self._lots.last_seq

    async def resume(self, mark: Mark) -> Resumption:
        """See what of the stream the mark does not tell of. Raises ``bus.BROKEN``.

        A broker that lost its last events (a power cut) gets them again, as far as they follow from the log.
        """
        same = mark.created == self.created
        lost = mark.stream_seq - self.last_seq if same else 0
        after = max(0, self.last_seq - LOOKED_AT) if lost > 0 else mark.stream_seq if same else 0
        held = []
        if self.last_seq > after:
            held = await held_after(self._js, subjects.EVENTS_STREAM, subjects.EVENTS_SUBJECTS, after)
        self._there = {(msg.headers or {}).get(Header.MSG_ID.value, "") for msg in held}
        if lost <= 0:
            return Resumption(mark.position)
        last = max((int((msg.headers or {}).get(subjects.POSITION_HEADER, "0")) for msg in held), default=0)
        return Resumption(min(mark.position, max(0, last - 1)) if last else mark.position, lost)

    async def publish(self, events: Sequence[Event]) -> None:
        """Publish those that are not there yet, in order. Raises ``bus.BROKEN``, ``StateError``."""
        new = [event for event in events if event.id not in self._there]
        for first in range(0, len(new), LOT):
            await self._lots.publish([_letter(event) for event in new[first : first + LOT]])
        self._there.difference_update(event.id for event in events)

    async def close(self) -> None:
        """Listen to no more acks."""
        await self._lots.close()


def _letter(event: Event) -> Letter:
    headers = {
        Header.MSG_ID.value: event.id,
        subjects.POSITION_HEADER: str(event.position),
        "content-type": "application/cloudevents+json",
    }
    return Letter(subjects.event(event.kind, event.data.get("host")), encode_event(event), headers)
