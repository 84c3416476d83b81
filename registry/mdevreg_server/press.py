"""One life of MDEVREG_FLEET as this process tells it: profiles before hosts, and digests of what was stored."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mdevreg_server import shelf
from mdevreg_server.bulletins import Bulletin, digest_bulletin, profile_bulletin
from mdevreg_server.desk import Desk
from mdevreg_server.fleet import Fleet
from mdevreg_server.partitions import Part
from mdevreg_server.publication import Publication
from mdevreg_server.sums import Sums

Item = Publication | Bulletin


def number_of(part: Part) -> tuple[int, int] | None:
    """Which of how many parts it is; ``None``: what was stored before there were any."""
    if not part.label:
        return 0, 1
    index, _, of = part.label.partition("-of-")
    return (int(index), int(of)) if index.isdecimal() and of.isdecimal() else None


def is_first(part: Part) -> bool:
    """Whether it is the part in which is said what concerns all: amendments, presence."""
    return (number_of(part) or (1, 1))[0] == 0


class Press:
    """Publishes lots, one at a time. ``told`` is called with the hosts of each, once they are stored."""

    def __init__(self, fleet: Fleet, desk: Desk, part: Part, told: Callable[[Sequence[Publication]], None]) -> None:
        self.fleet, self._desk, self._told = fleet, desk, told
        self._number, of = number_of(part) or (0, 0)
        self._sums_up = of == 1  # readers add up whole buckets: the sums of a part would say nothing to them
        self._introduced: set[str] = set()  # digests of profiles that this life of the stream was told
        self.sums = Sums()

    async def introduce(self, profiles: dict[str, bytes]) -> None:
        """Publish profiles. ``profiles``: their canonical JSON, by digest."""
        await self.fleet.publish([profile_bulletin(digest, body) for digest, body in profiles.items()])
        self._introduced |= profiles.keys()

    async def publish(self, lot: Sequence[Item]) -> None:
        """Publish hosts and other messages in their order, and before them the profiles that nobody was told yet."""
        hosts = [item for item in lot if isinstance(item, Publication)]
        new = {digest for item in hosts for digest in item.profiles} - self._introduced
        if new:
            await self.introduce(await self._desk.do(lambda ledger: shelf.profile_bodies(ledger.engine, new)))
        stored = await self.fleet.publish(lot)
        for item in stored:
            if item.epoch:  # else nothing is known of it, nor was
                self.sums.put(item.host, item.digest, item.position)
        self._told(stored)

    async def digest(self, position: int) -> None:
        """Tell what was published, if that changed: everything up to ``position``, to be called after it."""
        if not self._sums_up or not self.sums.changed:
            return
        await self.fleet.publish([digest_bulletin(self._number, self.sums.digest(position))])
        self.sums.changed = False
