"""How often a client may ask: a token bucket each.

Litestar's own limiter counts in fixed windows, keeps a list of times per client and never forgets one; this keeps two
numbers for each of the clients that asked last.
"""

from __future__ import annotations

from collections import OrderedDict

#: So many clients are remembered; who asked longest ago is forgotten, and begins with a full bucket.
CLIENTS = 10_000
#: A bucket holds what drips into it in so many seconds.
BURST_S = 2.0


class Buckets:
    """Token buckets by client. Used in the event loop alone."""

    def __init__(self, rate: float, *, clients: int = CLIENTS) -> None:
        self._rate, self._most, self._clients = rate, max(1.0, rate * BURST_S), clients
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()  # client → (level, time)

    def wait_s(self, client: str, now_s: float) -> float:
        """Take one token: 0.0, or how long to wait for one. ``now_s``: of a clock that never goes back."""
        level, since = self._levels.pop(client, (self._most, now_s))
        level = min(self._most, level + (now_s - since) * self._rate)
        allowed = level >= 1.0
        self._levels[client] = (level - 1.0 if allowed else level, now_s)
        if len(self._levels) > self._clients:
            self._levels.popitem(last=False)
        return 0.0 if allowed else (1.0 - level) / self._rate
