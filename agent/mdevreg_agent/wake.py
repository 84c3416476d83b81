"""What wakes the reader, gathered into one cause per look: a burst of uevents becomes one look."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Literal

from msgspec import structs

from mdevreg.records import Cause
from mdevreg_agent.hints import Hint

Poke = Literal["startup", "rescan", "operator", "resync"]


class Wake:
    """Collects reasons to look. ``clock`` is in seconds and only ever goes forward."""

    def __init__(self, *, quiet_s: float, most_s: float, clock: Callable[[], float]) -> None:
        self._quiet_s, self._most_s, self._clock = quiet_s, most_s, clock
        self._event = asyncio.Event()
        self._cause: Cause | None = None
        self._first_at = self._last_at = 0.0

    def hint(self, hint: Hint) -> None:
        """A uevent came, or some were lost."""
        self._add(_cause_of(hint))

    def poke(self, kind: Poke) -> None:
        """A timer, an operator or the registry wants a look."""
        self._add(Cause(kind=kind))

    async def burst(self) -> Cause:
        """Wait for a reason, then for quiet (``quiet_s``, at most ``most_s`` from the first); why to look."""
        await self._event.wait()
        await self._settled()
        self._event.clear()
        cause, self._cause = self._cause, None
        return cause or Cause(kind="rescan")

    async def _settled(self) -> None:
        while True:
            pause_s = min(self._last_at + self._quiet_s, self._first_at + self._most_s) - self._clock()
            if pause_s <= 0:
                return
            await asyncio.sleep(pause_s)

    def _add(self, cause: Cause) -> None:
        self._last_at = self._clock()
        if self._cause is None:
            self._first_at = self._last_at
        self._cause = cause if self._cause is None else merged(self._cause, cause)
        self._event.set()


def merged(first: Cause, later: Cause) -> Cause:
    """One cause for both: the first one's, but an overrun is never hidden, and a uevent tells more than a timer."""
    events = first.events + later.events
    if later.kind == "overrun" or (later.kind == "uevent" and first.kind == "rescan"):
        return structs.replace(later, events=events)
    return structs.replace(first, events=events)


def _cause_of(hint: Hint) -> Cause:
    if hint.overrun:
        return Cause(kind="overrun")
    return Cause(
        kind="uevent",
        action=hint.action,
        subsystem=hint.subsystem,
        device=hint.device,
        seqnum=hint.seqnum,
        events=1,
    )
