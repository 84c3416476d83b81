"""Clocks of hosts that are wrong: how far from the registry's, and which records that casts doubt on. Pure.

A *skew* is a host's clock less the registry's, in µs: positive if the host's is ahead. It is measured from heartbeats,
which take their time, so that a measured skew is at most the true one: too small by what the beat took. The largest of
some beats is therefore the nearest to the truth (RFC 5905, section 10, takes the sample of the least delay likewise).
"""

from __future__ import annotations

from typing import Literal

import msgspec

#: A host whose clock is further off is told of, unless an operator sets another bound.
DEFAULT_MAX_SKEW_S = 5.0
DEFAULT_MAX_SKEW_US = int(DEFAULT_MAX_SKEW_S * 1e6)
#: A record that was observed so long after it was received proves that its host's clock was ahead. No option: what is
#: told of a record must be told for ever.
PROVEN_US = 5_000_000
#: The largest skew of the last one to two of these counts: some six beats of an agent that beats every 10 s.
WINDOW_US = 30_000_000

Flag = Literal["CLOCK_AHEAD", "CLOCK_BEHIND"]


class Skew(msgspec.Struct, frozen=True):
    """A skew in µs, and when it was measured, by the registry's clock, µs UTC."""

    us: int
    at_us: int


class Samples(msgspec.Struct, frozen=True):
    """The largest skew since ``since_us``, and that of the window before."""

    recent: Skew
    since_us: int
    before: Skew | None = None

    @property
    def best(self) -> Skew:
        """The skew nearest to the truth."""
        if self.before is not None and self.before.us > self.recent.us:
            return self.before
        return self.recent


class Doubt(msgspec.Struct, frozen=True):
    """Why a record's ``observed_at`` is not to be relied on. ``skew_us``: by how much, at least, if it is ahead."""

    flag: Flag
    skew_us: int


def sampled(known: Samples | None, skew: Skew) -> Samples:
    """With one more measurement, which is not earlier than those before."""
    if known is None or skew.at_us - known.since_us >= 2 * WINDOW_US:
        return Samples(skew, skew.at_us)
    if skew.at_us - known.since_us >= WINDOW_US:
        return Samples(skew, skew.at_us, known.recent)
    return msgspec.structs.replace(known, recent=skew) if skew.us >= known.recent.us else known


def doubt_of(observed_at_us: int, received_at_us: int, measured_us: int | None) -> Doubt | None:
    """What is wrong with the clock that stamped a record; ``None``: nothing that is known.

    ``measured_us``: the skew that was measured of its host when it was committed, if it was beyond the bound. A clock
    that is behind is not told from a record that waited in its agent's outbox, unless it was measured.
    """
    ahead = observed_at_us - received_at_us
    if ahead > PROVEN_US:
        return Doubt("CLOCK_AHEAD", max(ahead, measured_us or 0))
    if measured_us is None:
        return None
    return Doubt("CLOCK_AHEAD" if measured_us > 0 else "CLOCK_BEHIND", measured_us)


def seconds(skew_us: int) -> float:
    """A skew in seconds, to the millisecond: a beat's own time makes more digits meaningless."""
    return round(skew_us / 1e6, 3)
