"""The digests of what a reader holds, to be compared with the registry's. Pure but for what it remembers."""

from __future__ import annotations

from mdevreg.fleet.entries import HostEntry
from mdevreg.published import BUCKETS, FleetDigest, summed


class Tally:
    """Bucket by bucket: the sum of the hosts' tokens, and the latest position of any of them."""

    def __init__(self) -> None:
        self._sums = [0] * BUCKETS
        self._latest = [0] * BUCKETS

    def put(self, before: HostEntry | None, after: HostEntry | None) -> None:
        """A host that was ``before`` is ``after`` now."""
        found = after or before
        if found is None:
            return
        at = found.bucket
        gone, come = before.token if before else 0, after.token if after else 0
        self._sums[at] = summed(self._sums[at], come, less=gone)
        if after is not None and after.position > self._latest[at]:
            self._latest[at] = after.position

    def differing(self, told: FleetDigest) -> tuple[int, ...]:
        """The buckets that are not as the registry published them; those that moved on since say nothing."""
        found: list[int] = []
        for name, digest in told.buckets.items():
            at = int(name, 16)
            if self._latest[at] <= told.position and self._sums[at] != int(digest, 16):
                found.append(at)
        return tuple(found)
