"""From the outbox to JetStream, in order; and again when no receipt comes.

An acknowledged publish removes nothing: JetStream's acknowledgement is not durability, the registry's receipt is.
"""

from __future__ import annotations

import asyncio
from functools import partial

from mdevreg import subjects
from mdevreg.errors import MdevregError, StateError
from mdevreg_agent.means import Means
from mdevreg_agent.pace import Backoff, until_done
from mdevreg_agent.standing import Standing

#: A silent registry is reminded ever more rarely: up to this many times the first waiting time.
_RETRANSMIT_GROWTH = 16


class Publisher:
    """Publishes what waits in the outbox, lowest ``seq`` first, one after the other."""

    def __init__(self, means: Means, *, retransmit_s: float) -> None:
        self._worker, self._outbox, self._link, self._journal = (
            means.worker,
            means.recorder.outbox,
            means.link,
            means.journal,
        )
        self._clock = means.clock
        self._failure = Backoff(first_s=0.2, most_s=30.0, chance=means.chance)
        self._silence = Backoff(first_s=retransmit_s, most_s=retransmit_s * _RETRANSMIT_GROWTH, chance=means.chance)
        self._again_at = self._clock() + self._silence.pause()
        self._longest_nap_s = retransmit_s
        self._wake = asyncio.Event()
        self._epoch = ""
        self._sent = 0  # highest seq published in this epoch
        self._settled = 0  # highest seq receipted, as far as was heard

    def wake(self) -> None:
        """Something new waits in the outbox."""
        self._wake.set()

    def received(self, standing: Standing, settled: bool) -> None:
        """The registry spoke: what it has settled need not be sent again."""
        self._follow(standing)
        if settled:
            self._reset_silence()

    async def run(self) -> None:
        """Publish whatever waits, whenever there is something; until cancelled."""
        while True:
            await self._link.up()
            try:
                busy = await self._pass()
            except StateError as error:
                self._journal.warn("publish.failed", code=error.code, error=error)
                await asyncio.sleep(self._failure.pause())
                continue
            if not busy:
                await self._wake.wait()
            self._wake.clear()

    async def retransmit(self) -> None:
        """Publish again from the lowest when receipts stay away; until cancelled."""
        while True:
            await asyncio.sleep(min(max(self._again_at - self._clock(), 0.01), self._longest_nap_s))
            if self._clock() < self._again_at:
                continue
            await self._link.fetch_receipt()  # it may only have been missed
            self._again_at = self._clock() + self._silence.pause()
            await self._from_the_lowest()

    async def _from_the_lowest(self) -> None:
        try:
            now = await self._worker.do(self._outbox.standing)
        except StateError as error:
            self._journal.warn("publish.failed", code=error.code, error=error)
            return
        if now.unsent and now.settled_seq < self._sent:
            self._journal.say("receipt.missed", unsent=now.unsent, after=now.settled_seq)
            self._sent = now.settled_seq
            self._wake.set()

    async def _pass(self) -> bool:
        """Publish one batch. Returns whether there was any."""
        now = await self._worker.do(self._outbox.standing)
        self._follow(now)
        batch = await self._worker.do(self._outbox.unsent, after=self._sent)
        for seq, data in batch:
            await until_done(partial(self._publish, now, seq, data), self._failure)
        return bool(batch)

    async def _publish(self, now: Standing, seq: int, data: bytes) -> bool:
        message_id = subjects.message_id(now.host, now.epoch, seq, data)
        await self._link.up()
        try:
            await self._link.publish(subjects.record(now.host), data, message_id)
        except MdevregError as error:
            self._journal.warn("publish.failed", seq=seq, code=error.code, error=error)
            return False
        self._journal.say("record.published", seq=seq, bytes=len(data))
        if self._epoch == now.epoch:
            self._mark_sent(seq)
        return True

    def _mark_sent(self, seq: int) -> None:
        if self._sent == self._settled:  # nothing was awaited: the waiting time begins here
            self._reset_silence()
        self._sent = seq

    def _follow(self, standing: Standing) -> None:
        if standing.epoch != self._epoch:
            self._epoch, self._sent = standing.epoch, 0
        self._settled = standing.settled_seq
        self._sent = max(self._sent, standing.settled_seq)

    def _reset_silence(self) -> None:
        self._silence.reset()
        self._again_at = self._clock() + self._silence.pause()
