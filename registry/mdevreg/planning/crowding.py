"""The few cases in which it matters on which host a device is: looked up host by host. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import merge
from itertools import islice

from mdevreg.fleet.entries import HostEntry
from mdevreg.fleet.kinds import Kind
from mdevreg.fleet.table import DOUBTFUL
from mdevreg.fleet.view import FleetView
from mdevreg.planning.cohorts import CohortKey
from mdevreg.planning.overlay import Overlay
from mdevreg.planning.selecting import Selection
from mdevreg.planning.spots import Spot, Waiting

#: Examples that are told of each group.
EXAMPLES = 5


class HostByHost:
    """The fleet's hosts with their spots and devices, as ``Spots`` counts them."""

    def __init__(self, view: FleetView, selection: Selection, overlay: Overlay) -> None:
        self._view, self._selection, self._overlay = view, selection, overlay
        named = selection.entries
        self._named = None if named is None else {entry.host for entry in named}

    def only_own(self, waiting: Waiting, spots: frozenset[Spot]) -> int:
        """How many of these devices are on the only host that has an open place of these spots."""
        with_room = [entry for entry in self._view.directory.entries() if self._open(entry, spots)]
        if len(with_room) != 1:
            return 0
        return sum(self._waits(with_room[0], number, waiting) for number in range(len(with_room[0].devices)))

    def examples(self, groups: list[Waiting]) -> dict[Waiting, tuple[str, ...]]:
        """Some devices of each group, as HOST/DEVICE: of the first hosts by name, the same of the same fleet."""
        return {group: tuple(islice(self._names(group), EXAMPLES)) for group in groups}

    def hosts_of(self, spots: frozenset[Spot]) -> tuple[str, ...]:
        """The first hosts by name that have one of these spots."""
        found: set[str] = set()
        for spot in spots:
            having = (entry.name for entry in self._hosts({spot.before}, spot.doubts) if spot in self._spots(entry))
            found.update(islice(having, EXAMPLES))
        return tuple(sorted(found)[:EXAMPLES])

    def _names(self, group: Waiting) -> Iterator[str]:
        offered = {spot.before for spot in group.own}
        for entry in self._hosts(offered, group.doubts) if offered else self._all():
            waiting = (number for number in range(len(entry.devices)) if self._waits(entry, number, group))
            yield from sorted(f"{entry.name}/{entry.devices[number].name}" for number in waiting)

    def _all(self) -> Iterator[HostEntry]:
        yield from sorted(self._view.directory.entries(), key=lambda entry: entry.name)

    def _hosts(self, kinds: set[Kind], doubts: int) -> Iterator[HostEntry]:
        """The hosts that offer these kinds of one type, by name; lazily, since few are asked for."""
        types = {kind.type for kind in kinds}
        lists = (
            names
            for name in types & self._view.types.keys()
            for (offering, sound), group in self._view.types[name].groups.items()
            if sound is not bool(doubts) and kinds <= {kind for kind, _ in offering.kinds}
            for names in group.sites.values()
        )
        return map(self._view.directory.named, merge(*lists))

    def _upgraded(self, entry: HostEntry) -> bool:
        if not self._overlay.changes(entry.layout):
            return False
        if self._named is not None:
            return entry.host in self._named
        return CohortKey(entry.layout, entry.site, entry.sound) in self._selection.chosen

    def _spots(self, entry: HostEntry, kind: str | None = None) -> Iterator[Spot]:
        upgraded, doubts = self._upgraded(entry), 0 if entry.sound else DOUBTFUL
        for _, each in entry.layout.slots:
            if kind in (None, each.type):
                yield Spot(each, self._overlay.after(each) if upgraded else each, upgraded, doubts)

    def _open(self, entry: HostEntry, spots: frozenset[Spot]) -> bool:
        return any(free != 0 and spot in spots for free, spot in zip(entry.free, self._spots(entry), strict=True))

    def _waits(self, entry: HostEntry, number: int, waiting: Waiting) -> bool:
        """Whether a device of a host is one of these."""
        ref = entry.devices[number]
        if ref.kind is not waiting.before or self._upgraded(entry) is not waiting.upgraded:
            return False
        return (0 if entry.sound else DOUBTFUL) == waiting.doubts and (
            tuple(self._spots(entry, ref.kind.type)) == waiting.own
        )
