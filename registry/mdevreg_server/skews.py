"""What heartbeats tell of hosts' clocks, in memory; a host's goes on where it is written with its presence."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import msgspec

from mdevreg.clocks import Samples, Skew, sampled, seconds
from mdevreg.times import micros


class Clock(msgspec.Struct, frozen=True):
    """A host's clock as measured. ``skew``: ``None`` if its agent does not tell its time; ``beyond``: the bound."""

    skew: Skew | None = None
    beyond: bool = False

    @property
    def beyond_us(self) -> int | None:
        """The skew, if it is beyond the bound."""
        return self.skew.us if self.skew is not None and self.beyond else None


class Skews:
    """The clocks of all hosts that beat. ``max_skew_us``: the bound; ``say`` is told who goes beyond it, and back."""

    def __init__(self, max_skew_us: int, say: Callable[[str], None]) -> None:
        self._max_skew_us, self._say = max_skew_us, say
        self._samples: dict[str, Samples] = {}
        self._beyond: set[str] = set()

    def beat(self, host: str, sent_at: datetime | None, now_us: int) -> Clock:
        """A beat that was sent at that time of the host's clock has come."""
        if sent_at is None:
            self._samples.pop(host, None)
            return self._told(host, Clock())
        self._samples[host] = sampled(self._samples.get(host), Skew(micros(sent_at) - now_us, now_us))
        return self._told(host, self._clock(self._samples[host]))

    def of(self, host: str) -> Clock | None:
        """What is known of a host's clock; ``None``: no beat was heard here yet, or it did not tell."""
        samples = self._samples.get(host)
        return None if samples is None else self._clock(samples)

    def keep(self, mine: Callable[[str], bool]) -> None:
        """Forget the hosts that are no longer ours: others measure them."""
        self._samples = {host: samples for host, samples in self._samples.items() if mine(host)}
        self._beyond = set(filter(mine, self._beyond))

    def _clock(self, samples: Samples) -> Clock:
        return Clock(samples.best, abs(samples.best.us) > self._max_skew_us)

    def _told(self, host: str, clock: Clock) -> Clock:
        if clock.skew is not None and clock.beyond and host not in self._beyond:
            self._say(f"clock.skewed host={host} skew_s={seconds(clock.skew.us):+g}")
        elif not clock.beyond and host in self._beyond:
            self._say(f"clock.right host={host}")
        (self._beyond.add if clock.beyond else self._beyond.discard)(host)
        return clock
