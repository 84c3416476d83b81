"""The few cases in which it matters on which host a device is: looked up host by host. Pure."""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterator

from mdevreg.fleet.entries import HostEntry
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
        """Some devices of each group, as HOST/DEVICE."""
        found: dict[Waiting, list[str]] = {group: [] for group in groups}
        by_kind: dict[object, list[Waiting]] = {}
        for group in groups:
            by_kind.setdefault(group.before, []).append(group)
        for entry in self._view.directory.entries() if groups else ():
            for number, ref in enumerate(entry.devices):
                for group in by_kind.get(ref.kind, ()):
                    name = f"{entry.name}/{ref.name}"
                    if _worth(found[group], name) and self._waits(entry, number, group):
                        _insert(found[group], name)
        return {group: tuple(names) for group, names in found.items()}

    def hosts_of(self, spots: frozenset[Spot]) -> tuple[str, ...]:
        """Some hosts that have one of these spots."""
        found: list[str] = []
        for entry in self._view.directory.entries():
            if _worth(found, entry.name) and any(spot in spots for spot in self._spots(entry)):
                _insert(found, entry.name)
        return tuple(found)

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


def _worth(first: list[str], name: str) -> bool:
    """Whether a name is among the first ones by name, which are told: the same of the same fleet."""
    return len(first) < EXAMPLES or name < first[-1]


def _insert(first: list[str], name: str) -> None:
    insort(first, name)
    del first[EXAMPLES:]
