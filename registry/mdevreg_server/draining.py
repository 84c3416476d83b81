"""What was stored before records were dealt into slots is consumed by one process, before any partition is."""

from __future__ import annotations

from mdevreg import subjects
from mdevreg_server.bus import drained, renew_consumer
from mdevreg_server.partitions import BEFORE
from mdevreg_server.station import Floor, Listener, Station, opened


class Draining:
    """The station that does it. Used by who holds its seat."""

    def __init__(self, floor: Floor, listener: Listener) -> None:
        self._floor, self._listener = floor, listener
        self._js = floor.client.jetstream()
        self._station: Station | None = None

    async def done(self, life: str) -> bool:
        """Whether there is no more of it in this life of the stream; begins with it where there is."""
        if self._station is None:
            await self._begin(life)
        station = self._station
        if station is None:
            return True
        if station.error is not None:
            self._station = None
            raise station.error
        return station.line.attached.is_set() and await drained(self._js, BEFORE)

    async def end(self, *, ours: bool) -> None:
        """No more of it. ``ours``: its seat is still held."""
        station, self._station = self._station, None
        if station is not None:
            await station.close(self._floor, ours=ours)

    async def _begin(self, life: str) -> None:
        station = await opened(self._floor, BEFORE, self._listener, lambda _: None)
        reached = await self._floor.in_writer(lambda: station.ledger.consumed(life))
        if not (await renew_consumer(self._js, BEFORE, reached + 1)).num_pending:
            await self._js.delete_consumer(subjects.RECORDS_STREAM, BEFORE.durable)
            return
        self._station = station
        station.start()
        self._floor.say("sharing.draining (records that were stored before the partitions)")
