"""What the registry says back, and what follows: forget, send a complete snapshot (not too often), warn."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from mdevreg.errors import StateError
from mdevreg_agent.means import Means
from mdevreg_agent.pace import Backoff
from mdevreg_agent.standing import Answer, Receipt, Resync, Standing

#: A registry that can't agree is not stormed: pauses between complete snapshots, in seconds.
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 300.0


class Resyncs:
    """Lets complete snapshots through at ever longer intervals, until the registry agrees."""

    def __init__(self, *, start: Callable[[Resync], None], chance: random.Random, clock: Callable[[], float]) -> None:
        self._start, self._clock = start, clock
        self._backoff = Backoff(first_s=FIRST_PAUSE_S, most_s=LONGEST_PAUSE_S, chance=chance)
        self._not_before = clock()
        self._timer: asyncio.TimerHandle | None = None

    def want(self, resync: Resync) -> None:
        """A complete snapshot is needed: now, or when the pause is over; one at a time."""
        if self._timer is None:
            delay_s = max(self._not_before - self._clock(), 0.0)
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._go, resync)

    def agreed(self) -> None:
        """The registry is where we are: nothing is needed, and the next need is met at once."""
        self.cancel()
        self._backoff.reset()
        self._not_before = self._clock()

    def cancel(self) -> None:
        """Forget a snapshot that has not begun."""
        if self._timer:
            self._timer.cancel()
        self._timer = None

    def _go(self, resync: Resync) -> None:
        self._timer = None
        self._not_before = self._clock() + self._backoff.pause()
        self._start(resync)


class Receipts:
    """Listens to the registry's receipts. ``foreign_epoch`` is set while it only names somebody else's epoch."""

    def __init__(
        self, means: Means, *, resync: Callable[[Resync], None], settled: Callable[[Standing, bool], None]
    ) -> None:
        self._worker, self._recorder, self._link, self._journal = (
            means.worker,
            means.recorder,
            means.link,
            means.journal,
        )
        self._resyncs = Resyncs(start=resync, chance=means.chance, clock=means.clock)
        self._settled = settled
        self.foreign_epoch: str | None = None

    async def run(self) -> None:
        """Follow receipts as they come; until cancelled."""
        try:
            while True:
                await self._take(await self._link.receipts.get())
        finally:
            self._resyncs.cancel()

    async def fetch(self) -> None:
        """Fetch the last receipt after every (re)connect; until cancelled."""
        while True:
            await self._link.up_again()
            await self._link.fetch_receipt()

    async def _take(self, receipt: Receipt) -> None:
        try:
            answer, standing = await self._worker.do(self._recorder.receive, receipt)
        except StateError as error:
            # Not lost for good: the registry's next receipt, or the fetched one, says the same and more.
            self._journal.warn("receipt.failed", code=error.code, error=error)
            return
        self._follow(receipt, answer, standing)

    def _follow(self, receipt: Receipt, answer: Answer, standing: Standing) -> None:
        self._settled(standing, answer.settle is not None)
        self.foreign_epoch = receipt.epoch if answer.foreign else None
        if answer.settle is not None:
            self._journal.say("receipt.taken", seq=receipt.seq, unsent=standing.unsent, position=receipt.position)
        if answer.agrees:
            self._resyncs.agreed()
        if answer.resync:
            self._journal.warn("resync.needed", reason=answer.resync.reason)
            self._resyncs.want(answer.resync)
