"""What is asked in the bench, seeded: the same of the floor, of the peers and of ours."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from itertools import cycle

import msgspec
from fleets import Fleet, Host, everyday, upgraded

#: Random pairs: more than any cache of a processor holds the way to.
PAIRS = 100_000
#: The newest release but two of the first card: of what offers its type, more than half accept it.
_RELEASE = 3


class Pair(msgspec.Struct, frozen=True, gc=False):
    """Can the mdev of one host, of that type, be migrated to another? Names are copies, as a caller's are."""

    host: str
    kind: str
    mdev: str
    target: str


class Questions:
    """``hot``: one pair, asked again and again. ``pairs``: random ones whose target offers the type."""

    def __init__(self, fleet: Fleet, *, seed: int = 1) -> None:
        chance = random.Random(f"questions {seed}")
        self.source = next(host for host in fleet.hosts if host.fitting == 0 and host.releases == (_RELEASE,))
        alike: dict[int, list[Host]] = {}
        for host in fleet.hosts:
            alike.setdefault(host.fitting, []).append(host)
        self.hot = _pair(self.source, next(host for host in reversed(alike[0]) if host.releases == (_RELEASE,)))
        self.pairs = [self._random(fleet, alike, chance) for _ in range(min(PAIRS, 20 * len(fleet.hosts)))]

    def _random(self, fleet: Fleet, alike: dict[int, list[Host]], chance: random.Random) -> Pair:
        host = chance.choice(fleet.hosts)
        return _pair(host, chance.choice(alike[host.fitting]))


class Changes:
    """Hosts as they become, one after the other; each asker has its own, so that every change is one to it."""

    def __init__(self, fleet: Fleet, *, seed: int = 1) -> None:
        shuffled = random.Random(f"changes {seed}").sample(fleet.hosts, len(fleet.hosts))
        self._now = {host.number: host for host in shuffled}
        self._turns = cycle(shuffled)

    def everyday(self, count: int) -> list[Host]:
        """The next hosts, as they are after their free instances changed."""
        return list(self._changed(count, everyday))

    def upgrades(self, count: int) -> list[Host]:
        """The next hosts, as they are after a driver upgrade: their four types have moved."""
        return list(self._changed(count, upgraded))

    def _changed(self, count: int, change: Callable[[Host], Host]) -> Iterator[Host]:
        for _ in range(count):
            number = next(self._turns).number
            self._now[number] = change(self._now[number])
            yield self._now[number]


def _pair(host: Host, target: Host) -> Pair:
    kind = host.types[host.has]
    return Pair(_copy(host.hostname), _copy(kind), _copy(host.mdev), _copy(target.hostname))


def _copy(text: str) -> str:
    """Equal, and another object: names come out of requests."""
    return text.encode().decode()
