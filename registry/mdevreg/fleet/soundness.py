"""Whose facts are good, as time passes and hosts are heard. One writer; pure but for what it remembers."""

from __future__ import annotations

from mdevreg.fleet.heard import Heard
from mdevreg.published import BUCKETS

_NEVER = 2**63
#: Buckets that one sweep looks at: of 100,000 hosts some 6,000, a few milliseconds.
LIMIT = 16


class Soundness:
    """Bucket by bucket: the hosts whose facts are not good, and when those of the next one will not be.

    A host that is heard and not known is none whose facts are good.
    """

    def __init__(self, stale_after_us: int) -> None:
        self.stale_after_us = stale_after_us
        self._unsound: list[set[str]] = [set() for _ in range(BUCKETS)]
        self._oldest_us = [_NEVER] * BUCKETS  # when the sound one that is silent for the longest was last heard
        self._first_us: int | None = _NEVER  # the least of them; None: to be found again

    def judged(self, bucket: int, host: str, *, sound: bool, seen_us: int) -> None:
        """A host was looked at; ``seen_us``: when it was last heard."""
        if not sound:
            self._unsound[bucket].add(host)
            return
        self._unsound[bucket].discard(host)
        if seen_us < self._oldest_us[bucket]:
            self._oldest_us[bucket] = seen_us
            self._first_us = None if self._first_us is None else min(self._first_us, seen_us)

    def turned(self, bucket: int, before: Heard, heard: Heard, since_us: int) -> list[str]:
        """The hosts of a bucket to look at: those who had to be heard since then and were not, and the reverse."""
        unsound = self._unsound[bucket]
        found = [host for host in unsound if not heard.doubts(host, since_us)]
        if heard.oldest_us(unsound) < since_us:  # negative where more than silence is wrong
            found += [host for host, seen in heard.seen_us.items() if seen < since_us and host not in unsound]
        if before is not heard:
            found += before.seen_us.keys() - heard.seen_us.keys() - unsound
        return found

    def settled(self, bucket: int, heard: Heard) -> None:
        """All of them were looked at."""
        self._oldest_us[bucket] = heard.oldest_us(self._unsound[bucket])
        self._first_us = None

    def until_us(self) -> int:
        """Until when nobody's facts will have turned bad by silence, µs UTC."""
        if self._first_us is None:
            self._first_us = min(self._oldest_us)
        return self._first_us + self.stale_after_us + 1

    def due(self, now_us: int) -> list[int]:
        """Buckets with hosts that were silent for too long by now, at most ``LIMIT``."""
        if now_us < self.until_us():
            return []
        silent_us = now_us - self.stale_after_us
        return [bucket for bucket, oldest in enumerate(self._oldest_us) if oldest < silent_us][:LIMIT]
