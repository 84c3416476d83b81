"""Jitter and back-off, so that a fleet that starts together does not act together. Randomness is an argument."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

#: Share of a period by which a timer may be early or late.
JITTER = 0.2


def jittered(seconds: float, chance: random.Random) -> float:
    """``seconds`` +-20 %."""
    return seconds * chance.uniform(1 - JITTER, 1 + JITTER)


class Backoff:
    """Waiting times that double from ``first_s`` to ``most_s``, each +-20 %."""

    def __init__(self, *, first_s: float, most_s: float, chance: random.Random) -> None:
        self._first_s, self._most_s, self._chance = first_s, most_s, chance
        self._next_s = first_s

    def pause(self) -> float:
        """How long to wait now, in seconds; the next time twice as long."""
        pause_s, self._next_s = self._next_s, min(self._next_s * 2, self._most_s)
        return jittered(pause_s, self._chance)

    def reset(self) -> None:
        """It went well: start from ``first_s`` again."""
        self._next_s = self._first_s


async def until_done(attempt: Callable[[], Awaitable[bool]], backoff: Backoff) -> None:
    """Try until ``attempt`` returns true, with a pause after each failure."""
    while True:
        if await attempt():
            backoff.reset()
            return
        await asyncio.sleep(backoff.pause())
