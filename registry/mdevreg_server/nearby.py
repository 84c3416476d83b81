"""The registry's own replica: questions about now are answered from memory, in the event loop, without the database."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING

from mdevreg.compatibility import DEFAULT_STALE_AFTER_S
from mdevreg.query.door import Door
from mdevreg.query.fleet_door import FleetDoor
from mdevreg.query.following import Following
from mdevreg_server.ledger import Amended

if TYPE_CHECKING:  # only the bus speaks NATS
    from nats.aio.client import Client

#: An index that was not known to be complete for so long is not asked: the database answers.
BEHIND_S = 10.0
#: Small lots: while it is loaded, questions, records and beats have their turn every few milliseconds.
BATCH = 100


class Nearby(FleetDoor):
    """A ``FleetDoor`` that follows the stream over the registry's own connection; ``door`` answers the rest."""

    patient = False  # it is asked in the event loop

    def __init__(self, door: Door, now_us: Callable[[], int]) -> None:
        self._following = Following(stale_after_s=DEFAULT_STALE_AFTER_S, now_us=now_us, batch=BATCH)
        self._now_us, self._least, self._failed = now_us, 0, False
        super().__init__(lambda: self._following.fleet.view, lambda: door)

    @property
    def ready(self) -> bool:
        """Whether it holds the whole fleet, and what was decided here."""
        age_s = self.age_s
        if self._failed or self._following.where != "stream" or age_s is None:
            return False
        return age_s < BEHIND_S and self._following.fleet.view.position >= self._least

    @property
    def age_s(self) -> float | None:
        """Seconds since it was last known to hold all that is published; ``None``: never."""
        synced = self._following.synced_us
        return None if synced is None else max(0, self._now_us() - synced) / 1e6

    def age(self) -> float | None:
        """``age_s``, as something to be called."""
        return self.age_s

    def decided(self, amended: Amended) -> None:
        """It must not answer before it has got so far: who decided something asks next what comes of it."""
        self._least = max(self._least, amended.position)

    async def run(self, client: Client, standing: asyncio.Event, say: Callable[[str], None]) -> None:
        """Follow for ever, once the registry stands: then the stream is there. A fault here leaves the database."""
        await standing.wait()
        try:
            await self._following.run(client)
        except Exception:
            self._failed = True
            say(f"answers.from_database error={traceback.format_exc(limit=-3)!r}")
            raise

    def close(self) -> None:
        """The door behind is its owner's to close."""
