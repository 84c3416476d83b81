"""Heartbeats: where the agent stands, over core NATS, at a jittered pace; and its goodbye."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime

from mdevreg import subjects, wire
from mdevreg.errors import StateError, UnreachableError
from mdevreg.records import BEAT_SCHEMA, Beat
from mdevreg_agent.means import Means
from mdevreg_agent.pace import jittered
from mdevreg_agent.standing import Standing

#: So many beats in a row without our own epoch being confirmed, and an operator hears of it.
FOREIGN_BEATS = 3


def beat_of(standing: Standing, *, at: datetime, leaving: bool = False) -> Beat:
    """The heartbeat of an agent that stands there, sent at that time of its clock."""
    return Beat(
        schema=BEAT_SCHEMA,
        host=standing.host,
        epoch=standing.epoch,
        seq=standing.last_seq,
        digest=standing.digest,
        leaving=leaving,
        unsent=standing.unsent,
        at=at,
    )


class Heart:
    """Beats every ``period_s`` +-20 %. ``foreign_epoch`` tells whose epoch the registry holds, if not ours."""

    def __init__(self, means: Means, *, period_s: float, foreign_epoch: Callable[[], str | None]) -> None:
        self._worker, self._outbox, self._link = means.worker, means.recorder.outbox, means.link
        self._journal, self._chance, self._period_s = means.journal, means.chance, period_s
        self._now = means.now
        self._foreign_epoch = foreign_epoch
        self._foreign_beats = 0

    async def run(self) -> None:
        """Beat until cancelled; a beat that can't be sent is no loss, the next one says the same."""
        while True:
            await self._link.up()
            await self.beat()
            self._watch_for_a_twin()
            await asyncio.sleep(jittered(self._period_s, self._chance))

    async def beat(self, *, leaving: bool = False) -> None:
        """One beat, or the goodbye."""
        try:
            standing = await self._worker.do(self._outbox.standing)
        except StateError as error:
            self._journal.warn("beat.failed", code=error.code, error=error)
            return
        with suppress(UnreachableError):
            beat = beat_of(standing, at=self._now(), leaving=leaving)
            await self._link.tell(subjects.beat(standing.host), wire.encode(beat))

    def _watch_for_a_twin(self) -> None:
        epoch = self._foreign_epoch()
        self._foreign_beats = self._foreign_beats + 1 if epoch else 0
        if self._foreign_beats == FOREIGN_BEATS:
            self._journal.warn(
                "identity.disputed",
                epoch=epoch,
                error="the registry holds another epoch of this host id and has not "
                "confirmed ours: a second agent uses this id, or the registry has not caught up",
            )
