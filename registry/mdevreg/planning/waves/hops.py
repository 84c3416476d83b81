"""How many migrations a device is away from where it may stay for good. Pure.

A new driver that loads only recent streams is reached from old ones in hops, over hosts that are not upgraded yet:
those with the longest way must go while these are there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from mdevreg.fleet.kinds import Kind
from mdevreg.planning.waves.nodes import Node

#: Whether devices of one kind may go to places of another.
Accepts = Callable[[Kind, Kind], bool]
#: No way leads there.
NEVER = 1_000_000


class Hops:
    """By kind of devices or places: 1 where a place that stays takes it, one more for each hop before that."""

    def __init__(self, nodes: Iterable[Node], accepts: Accepts) -> None:
        staying: dict[str, dict[Kind, None]] = {}
        passing: dict[str, dict[Kind, None]] = {}
        devices: dict[str, dict[Kind, None]] = {}
        for node in nodes:
            for kind in (kind for room in node.rooms for kind in room.kinds.values()):
                staying.setdefault(kind.type, {})[node.after(kind) if node.stage == "old" else kind] = None
                if node.stage == "old":
                    passing.setdefault(kind.type, {})[kind] = None
            for device in node.devices:
                devices.setdefault(device.kind.type, {})[device.kind] = None
        self._hops: dict[Kind, int] = {}
        self._staying = staying
        for name in passing.keys() | devices.keys():
            every = {**passing.get(name, {}), **devices.get(name, {})}
            self._count(every, list(staying.get(name, {})), list(passing.get(name, {})), accepts)

    def of(self, kind: Kind) -> int:
        """Hops of a kind; ``NEVER``: no way leads to a place that stays."""
        return self._hops.get(kind, 1)

    def staying(self, kind: str) -> Iterable[Kind]:
        """The kinds of places of a type that will not change any more."""
        return self._staying.get(kind, ())

    def of_host(self, node: Node) -> int:
        """The most of all that a host has; what can't ever leave aside."""
        kinds = [kind for room in node.rooms for kind in room.kinds.values()]
        kinds += [device.kind for device in node.devices]
        return max((hops for kind in kinds if (hops := self.of(kind)) != NEVER), default=0)

    def _count(self, every: dict[Kind, None], staying: list[Kind], passing: list[Kind], accepts: Accepts) -> None:
        reached, hops = staying, 1
        left = list(every)
        while left and reached:
            found = [kind for kind in left if any(accepts(kind, place) for place in reached)]
            self._hops.update(dict.fromkeys(found, hops))
            left = [kind for kind in left if kind not in self._hops]
            reached, hops = [kind for kind in found if kind in passing], hops + 1
        self._hops.update(dict.fromkeys(left, NEVER))
