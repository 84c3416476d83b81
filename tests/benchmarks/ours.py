"""Ours in this process: the index that the replica door keeps, fed with what the registry publishes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import islice

from apart import rss_of
from fleets import Fleet, Host
from questions import Pair
from rounds import idle_s

from mdevreg.answering import answer_of
from mdevreg.fleet import Fleet as Index

#: Messages that the replica door takes in at once, at most.
LOT = 1_000


class Ours:
    """The index of a fleet, and its newest view."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet, self._position = fleet, len(fleet.hosts) + 1
        self.now_us = fleet.at_us
        self._now = datetime.fromtimestamp(fleet.at_us / 1e6, UTC)
        self.index = Index()
        messages = fleet.messages()
        while lot := list(islice(messages, LOT)):
            applied = self.index.apply(lot, now_us=self.now_us)
            assert not applied.refused, applied.refused[:3]
            assert not applied.differing, "the fleet's digest is another"

    def pair_s(self, pairs: Sequence[tuple[str, str]]) -> float:
        """Seconds for the short answer to one pair, asked as a caller does: the call alone is in it."""
        can_migrate, now_us = self.index.view.can_migrate, self.now_us
        started = time.perf_counter()
        for device, target in pairs:
            can_migrate(device, target, now_us=now_us)
        return (time.perf_counter() - started - idle_s(pairs)) / len(pairs)

    def pair(self, asked: tuple[str, str]) -> object:
        """The short answer to one pair, by the newest view."""
        return self.index.view.can_migrate(*asked, now_us=self.now_us)

    def explain(self, asked: tuple[str, str]) -> object:
        """The long one: every reason with its sentence, both sides with their evidence."""
        return answer_of(self.index.view.pair(*asked), now=self._now)

    def count(self, device: str) -> int:
        """How many hosts accept a device, with an instance free."""
        return self.index.view.targets(device, now_us=self.now_us).count

    def first(self, device: str) -> list[str]:
        """The names of a hundred of them."""
        return self.index.view.targets(device, now_us=self.now_us).names(100)

    def names(self, device: str) -> list[str]:
        """The names of all of them."""
        return self.index.view.targets(device, now_us=self.now_us).names()

    def messages(self, hosts: list[Host]) -> list[tuple[str, bytes]]:
        """What the registry publishes when these hosts have changed."""
        self._position += len(hosts)
        return [self._fleet.state(host, self._position + at) for at, host in enumerate(hosts, start=1 - len(hosts))]

    def apply(self, messages: list[tuple[str, bytes]]) -> None:
        """Take them in; the view is a new one afterwards."""
        applied = self.index.apply(messages, now_us=self.now_us)
        assert not applied.refused, applied.refused[:3]


def key_of(pair: Pair) -> tuple[str, str]:
    """How ours is asked: by the mdev's uuid and the target's name."""
    return pair.mdev, pair.target


def memory(hosts: int) -> float:
    """MiB that the index takes."""
    return rss_of(partial(Ours, Fleet(hosts)))[1]


def replica(url: str, options: str = "") -> tuple[float, float]:
    """Seconds until a replica of the fleet at a broker answers, from nothing, and the MiB that it takes."""
    from mdevreg.query.replica_door import open_replica

    started = time.perf_counter()
    door, grown = rss_of(lambda: open_replica(f"replica+{url}{options}", timeout_s=120.0, creds=None))
    taken = time.perf_counter() - started
    door.close()
    return taken, grown
