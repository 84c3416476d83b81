"""From a look to records in the outbox: diff, complete snapshots, and the policy when the outbox is full."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import msgspec
from msgspec import structs

from mdevreg.records import Cause, Record
from mdevreg_agent.diff import Change, complete, diff
from mdevreg_agent.outbox import Outbox, Sealed
from mdevreg_agent.picture import Documents
from mdevreg_agent.standing import Answer, Receipt, Resync, Standing, judge


class Limits(msgspec.Struct, frozen=True):
    """How much may wait for a receipt. Beyond either bound, all that waits becomes one complete snapshot."""

    records: int = 10_000
    max_bytes: int = 64 * 1024 * 1024


class Recorder:
    """Writes what a look saw into an outbox. Used by one thread; raises ``StateError`` as the outbox does."""

    def __init__(self, outbox: Outbox, *, limits: Limits, new_epoch: Callable[[], str]) -> None:
        self.outbox = outbox
        self._limits = limits
        self._new_epoch = new_epoch

    def record(
        self, current: Documents, *, cause: Cause, observed_at: datetime, resync: Resync | None = None
    ) -> tuple[Record, ...]:
        """Write what changed since the last record, or a complete snapshot if there was none or ``resync`` asks."""
        with self.outbox.transaction():
            if resync and resync.new_epoch:
                self.outbox.renew(self._new_epoch())
            sealed = self._sealed(current, cause, observed_at, resync)
            if sealed:
                self.outbox.store(sealed, current)
        return tuple(record for record, _ in sealed)

    def receive(self, receipt: Receipt) -> tuple[Answer, Standing]:
        """Judge a receipt and forget what it settles; where the agent stands then."""
        answer = judge(receipt, self.outbox.standing())
        if answer.settle is not None:
            with self.outbox.transaction():
                self.outbox.settle(answer.settle)
        return answer, self.outbox.standing()

    def _sealed(self, current: Documents, cause: Cause, observed_at: datetime, resync: Resync | None) -> list[Sealed]:
        previous = None if resync and resync.new_epoch else self.outbox.picture()
        changes = _changes(previous, current, resync)
        sealed = self.outbox.seal(changes, cause=cause, observed_at=observed_at)
        now = self.outbox.standing()
        if not sealed or not self._overflows(now, sealed):
            return sealed
        self.outbox.drop_unsent()
        changes = complete(previous, current, skipped=(now.settled_seq + 1, now.last_seq))
        return self.outbox.seal(changes, cause=structs.replace(cause, kind="overflow"), observed_at=observed_at)

    def _overflows(self, now: Standing, sealed: list[Sealed]) -> bool:
        size = now.unsent_bytes + sum(len(data) for _, data in sealed)
        # With nothing to give up, the records are kept whatever their size: dropping them would help nobody.
        return now.unsent > 0 and (now.unsent + len(sealed) > self._limits.records or size > self._limits.max_bytes)


def _changes(previous: Documents | None, current: Documents, resync: Resync | None) -> list[Change]:
    if previous is None or resync:
        return complete(previous, current, skipped=resync.skipped if resync else None)
    return diff(previous, current)
