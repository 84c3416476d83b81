"""Why no order goes on: of the hosts that are left, the smallest reason. Pure."""

from __future__ import annotations

from itertools import groupby

from mdevreg.fleet.kinds import Kind
from mdevreg.planning.waves.emptying import homes, may_go, moves_of
from mdevreg.planning.waves.grounds import Grounds
from mdevreg.planning.waves.hops import NEVER
from mdevreg.planning.waves.nodes import STAGES, Device, Node
from mdevreg.planning.waves.plan import Blocked, Why
from mdevreg.planning.waves.yard import Yard
from mdevreg.rulings import Ruling
from mdevreg.verdict import RANK, Outcome

#: Devices that are named, and hosts that are looked at.
NAMED, LOOKED_AT = 5, 1_000
#: What can't be helped by an order comes first.
_RANKS: dict[Why, int] = {"range": 0, "unknown": 1, "return": 2, "capacity": 3, "spare": 4, "stranding": 5}


def blocked(grounds: Grounds, yard: Yard, left: list[str]) -> Blocked | None:
    """The smallest reason among hosts that can't be emptied; ``yard``: as it is where it does not go on."""
    nodes = [yard.nodes[name] for name in left[:LOOKED_AT]]
    found = [_Looking(grounds, yard, node).reason() for node in nodes]
    return min(found, key=lambda each: (_RANKS[each.why], len(each.devices), each.needed, each.host), default=None)


class _Looking:
    """Looks at one host."""

    def __init__(self, grounds: Grounds, yard: Yard, node: Node) -> None:
        self._table, self._yard, self._node = grounds.overlay.table, yard, node

    def reason(self) -> Blocked:
        """Why it can't be emptied."""
        groups = self._groups()
        alone = [found for kind, devices in groups if (found := self._group(kind, devices)) is not None]
        if alone:
            return min(alone, key=lambda each: (_RANKS[each.why], each.needed))
        return self._together([device for _, devices in groups for device in devices])

    def _groups(self) -> list[tuple[Kind, list[Device]]]:
        devices = sorted(self._node.leaving, key=lambda each: (each.kind.order, each.name))
        return [
            (found[0].kind, found)
            for _, each in groupby(devices, key=lambda one: one.kind.order)
            if (found := list(each))
        ]

    def _group(self, kind: Kind, devices: list[Device]) -> Blocked | None:
        """What some alike devices lack by themselves."""
        nearest = self._nearest(kind)
        if not self._node.sound:
            return self._said(
                "unknown", devices, 0, nearest, "the facts of the host are doubtful; its agent must be heard"
            )
        if self._yard.hops.of(kind) == NEVER:
            unknown = nearest is not None and nearest.outcome is Outcome.UNKNOWN
            text = (
                "whether any place takes them is not known"
                if unknown
                else "no way leads to a place that stays as it is"
            )
            return self._said("unknown" if unknown else "range", devices, 0, nearest, text)
        if not any(may_go(self._yard, devices[0], place) for place in self._yard.taking(kind)):
            return self._said(
                "return", devices, 0, self._back(devices[0]), "from every place that takes them there is no way back"
            )
        opened = self._open(devices[0])
        if opened < len(devices):
            return self._said("capacity", devices, opened, None, f"{opened} instances are open to them")
        return None

    def _together(self, devices: list[Device]) -> Blocked:
        """Each would find a place; not all together, or not without harm to others."""
        if any(True for _ in self._yard.scarce()) or self._scarce_then(devices):
            few = f"fewer than {self._yard.limits.spare} instances of a type would be spare"
            return self._said("spare", devices, 0, None, few)
        return self._said("stranding", devices, 0, None, self._harm())

    def _harm(self) -> str:
        """Who would be stranded if it were emptied as well as may be."""
        mark = self._yard.mark()
        moves = moves_of(self._yard, self._node)
        if moves is not None:
            self._yard.send(self._node)
        harmed = [f"{device.name} on {node.name}" for device, node in self._yard.stranded()]
        self._yard.undo(mark)
        if moves is None:
            return "there are places for each of them, not for all together"
        return f"while it is away there would be no place to go for {', '.join(sorted(harmed)[:NAMED])}"

    def _scarce_then(self, devices: list[Device]) -> bool:
        own: dict[str, int] = {}
        for room in self._node.rooms:
            for name in room.kinds:
                own[name] = own.get(name, 0) + room.usable(name)
        for device in devices:
            own[device.kind.type] = own.get(device.kind.type, 0) + 1
        spare, least = self._yard.spare, self._yard.limits.spare
        return any(spare.get(name, 0) - taken < least for name, taken in own.items()) if least else False

    def _open(self, device: Device) -> int:
        """Instances on other hosts that are open to a device."""
        found = 0
        for place in self._yard.taking(device.kind):
            if may_go(self._yard, device, place):
                for stage in STAGES:
                    rooms = self._yard.rooms(stage, place)
                    found += sum(room.usable(place.type) for room in rooms if room.node is not self._node)
        return found

    def _nearest(self, kind: Kind) -> Ruling | None:
        places = self._yard.hops.staying(kind.type)
        return min(
            (self._table.ruling(kind, each) for each in places), key=lambda each: RANK[each.outcome], default=None
        )

    def _back(self, device: Device) -> Ruling | None:
        back = (self._table.ruling(place, home) for place in self._yard.taking(device.kind) for home in homes(device))
        return min(back, key=lambda each: RANK[each.outcome], default=None)

    def _said(self, why: Why, devices: list[Device], opened: int, nearest: Ruling | None, text: str) -> Blocked:
        return Blocked(
            why=why,
            host=self._node.name,
            type=", ".join(sorted({device.kind.type for device in devices})),
            devices=tuple(device.name for device in devices[:NAMED]),
            needed=len(devices),
            open=opened,
            codes=() if nearest is None else nearest.codes,
            text=text,
        )
