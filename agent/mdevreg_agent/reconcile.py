"""The loop: wake, read the whole host again, diff, write, wake the publisher. Every road to a record is this one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Protocol

from mdevreg.errors import MdevregError
from mdevreg.records import Cause, Record
from mdevreg_agent.journal import Journal
from mdevreg_agent.means import Means
from mdevreg_agent.pace import Backoff, jittered, until_done
from mdevreg_agent.picture import Picture, documents_of
from mdevreg_agent.standing import Resync
from mdevreg_agent.wake import Wake


class Look(Protocol):
    """Reads the whole host. Runs in the looker's thread."""

    def __call__(self, previous: Picture | None) -> Picture:
        """What the host is now; ``previous`` is what it was at the last look."""
        ...


class Reconciler:
    """Brings the outbox to what the host is. ``written`` is called after every look that changed something."""

    def __init__(self, means: Means, *, look: Look, wake: Wake, written: Callable[[], None]) -> None:
        self._looker, self._worker, self._recorder, self._journal = (
            means.looker,
            means.worker,
            means.recorder,
            means.journal,
        )
        self._now, self._chance = means.now, means.chance
        self._look, self._wake, self._written = look, wake, written
        self._backoff = Backoff(first_s=1.0, most_s=30.0, chance=means.chance)
        self._previous: Picture | None = None
        self._resync: Resync | None = None

    async def run(self) -> None:
        """Look at once, then whenever woken; until cancelled."""
        self._wake.poke("startup")
        while True:
            cause = await self._wake.burst()
            await until_done(partial(self._try, cause), self._backoff)

    async def rescan(self, period_s: float) -> None:
        """Wake the reader every ``period_s`` +-20 %, for all that has no uevent; until cancelled."""
        while True:
            await asyncio.sleep(jittered(period_s, self._chance))
            self._wake.poke("rescan")

    def resync(self, resync: Resync) -> None:
        """Have the next look, which comes at once, write a complete snapshot."""
        self._resync = resync
        self._wake.poke("resync")

    async def _try(self, cause: Cause) -> bool:
        """One look. On a failing outbox the change is not lost: the next look finds it again."""
        resync = self._resync
        try:
            observed_at = self._now()
            picture = await self._looker.do(self._look, self._previous)
            self._previous = picture
            record = partial(self._recorder.record, cause=cause, observed_at=observed_at, resync=resync)
            records = await self._worker.do(record, documents_of(picture))
        except MdevregError as error:
            self._journal.warn("look.failed", code=error.code, error=error)
            return False
        if resync is self._resync:
            self._resync = None
        self._tell(records)
        return True

    def _tell(self, records: tuple[Record, ...]) -> None:
        for record in records:
            _say(self._journal, record)
        if records:
            self._written()


def _say(journal: Journal, record: Record) -> None:
    body = record.body
    kind = body.__struct_config__.tag
    path = getattr(body, "path", None)
    skipped = getattr(body, "skipped", None)
    if skipped:
        journal.warn(
            "outbox.overflowed" if record.cause.kind == "overflow" else "records.skipped",
            first=skipped[0],
            last=skipped[1],
        )
    journal.say(
        "record.written", seq=record.seq, kind=kind, parent=path and path.rpartition("/")[2], cause=_word(record.cause)
    )


def _word(cause: Cause) -> str:
    return f"{cause.kind}:{cause.action}" if cause.action else cause.kind
