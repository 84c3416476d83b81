"""Who was heard when, as readers of the index need it. Pure."""

from __future__ import annotations

from collections.abc import Container

from mdevreg.fleet.table import CONFLICT, LEFT, SILENT
from mdevreg.published import BUCKETS, Presence

#: Nobody is heard here: where hosts look whose facts are out of sync.
_SILENCE: dict[str, int] = {}


class Heard:
    """The presence of one bucket. ``seen_us``: host → last heard, µs UTC; negative if something else is wrong."""

    __slots__ = ("_conflicts", "_leaving", "_skew_us", "seen_us")

    def __init__(self, presence: Presence) -> None:
        self.seen_us = dict(presence.seen_us)
        self._leaving, self._conflicts = frozenset(presence.leaving), frozenset(presence.conflicts)
        self._skew_us = presence.skew_us
        for host in self._leaving | self._conflicts:
            self.seen_us[host] = -self.seen_us.get(host, 0)

    def greeted(self, host: str, seen_us: int) -> Heard:
        """With a host that was not heard before: its first record is a sign of life."""
        found = Heard(Presence(schema=""))
        found.seen_us = {**self.seen_us, host: seen_us}
        found._leaving, found._conflicts, found._skew_us = self._leaving, self._conflicts, self._skew_us
        return found

    def last_seen_us(self, host: str) -> int | None:
        """When a host was last heard; ``None``: never."""
        seen = self.seen_us.get(host)
        return None if seen is None else abs(seen)

    def leaving(self, host: str) -> bool:
        """Whether its agent said goodbye."""
        return host in self._leaving

    def conflict(self, host: str) -> bool:
        """Whether two live agents claim to be it."""
        return host in self._conflicts

    def skew_us(self, host: str) -> int | None:
        """By how much its clock is off, if that is beyond the registry's bound."""
        return self._skew_us.get(host)

    def doubts(self, host: str, since_us: int) -> int:
        """The doubts about a host that had to be heard since then, as bits (``mdevreg.fleet.table``)."""
        seen = self.seen_us.get(host)
        if seen is None:
            return SILENT
        found = SILENT if abs(seen) < since_us else 0
        if seen <= 0:
            found |= (LEFT if host in self._leaving else 0) | (CONFLICT if host in self._conflicts else 0)
        return found

    def oldest_us(self, without: Container[str]) -> int:
        """When the one that was silent for the longest was last heard, some hosts aside."""
        seen = self.seen_us
        if not without:
            return min(seen.values(), default=2**63)
        return min((each for host, each in seen.items() if host not in without), default=2**63)


NOBODY_HEARD = [Heard(Presence(schema=""))] * BUCKETS


def dictionaries(buckets: list[Heard]) -> list[dict[str, int]]:
    """The bare dictionaries by ``HostEntry.pulse``."""
    return [*(heard.seen_us for heard in buckets), _SILENCE]
