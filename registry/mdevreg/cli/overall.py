"""Many answers as one: is there any yes? Pure."""

from __future__ import annotations

from collections.abc import Mapping

from mdevreg.verdict import Outcome


def overall(counts: Mapping[str, int]) -> Outcome:
    """Kleene's *or*: one yes decides, then one unknown; nothing at all is no."""
    for outcome in (Outcome.COMPATIBLE, Outcome.UNKNOWN):
        if counts[outcome.value]:
            return outcome
    return Outcome.INCOMPATIBLE


def counted_by_outcome(counts: Mapping[str, int]) -> str:
    """``2 compatible, 1 unknown``."""
    return ", ".join(f"{count} {name}" for name, count in counts.items() if count)
