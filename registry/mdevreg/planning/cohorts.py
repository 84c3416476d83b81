"""Hosts that are alike, counted together: what questions about the whole fleet are answered from. Pure.

A cohort is the hosts of one layout at one site whose facts are equally good. Their capacities and devices are summed
up. The fleet index keeps its hosts in 1,024 parts, of which a change replaces one: cohorts of the other parts are
not counted again, so that asking a fleet that lives costs what changed in it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from mdevreg.fleet.entries import HostEntry, Layout
from mdevreg.fleet.kinds import Kind
from mdevreg.fleet.view import FleetView

_Part = Mapping[str, object]


class CohortKey(NamedTuple):
    """What the hosts of a cohort have in common. ``sound``: their facts are good."""

    layout: Layout
    site: str | None
    sound: bool


#: Devices that are alike, on hosts of one cohort: the name of their parent, and their kind.
Devices = tuple[str, Kind]


class Cohort:
    """``free``: instances by slot of the layout, ``unknown``: hosts that don't tell them; ``open``: hosts not full."""

    __slots__ = ("devices", "free", "hosts", "open", "unknown")

    def __init__(self, slots: int) -> None:
        self.hosts = 0
        self.free, self.unknown, self.open = [0] * slots, [0] * slots, [0] * slots
        self.devices: dict[Devices, int] = {}

    @classmethod
    def of(cls, entries: list[HostEntry]) -> Cohort:
        """Hosts of one key, counted column by column."""
        made = cls(len(entries[0].free))
        made.hosts = len(entries)
        for slot, column in enumerate(zip(*(entry.free for entry in entries), strict=True)):
            untold = column.count(None)
            made.unknown[slot], made.open[slot] = untold, len(column) - column.count(0)
            made.free[slot] = sum(column) if not untold else sum(count for count in column if count is not None)
        made.devices = dict(Counter([(ref.parent, ref.kind) for entry in entries for ref in entry.devices]))
        return made

    def add(self, other: Cohort, times: int = 1) -> None:
        """Add another of the same key, or take it away."""
        self.hosts += other.hosts * times
        for mine, theirs in ((self.free, other.free), (self.unknown, other.unknown), (self.open, other.open)):
            for slot, count in enumerate(theirs):
                if count:
                    mine[slot] += count * times
        for key, count in other.devices.items():
            self.devices[key] = self.devices.get(key, 0) + count * times

    def copy(self) -> Cohort:
        """One that may be changed."""
        made = Cohort(len(self.free))
        made.add(self)
        return made


Counted = dict[CohortKey, Cohort]


class Cohorts:
    """All cohorts of one view. Made of the last one's where little changed; neither is changed by it.

    ``parts``: of the index, as they were counted.
    """

    __slots__ = ("by_key", "parts")
    by_key: Counted
    parts: list[_Part]

    def __init__(self, view: FleetView, before: Cohorts | None = None) -> None:
        self.parts = list(view.directory.names.parts)
        if before is None or len(before.parts) != len(self.parts):
            self.by_key = counted_of(view.directory.entries())
            return
        self.by_key = dict(before.by_key)
        gone, come = _differing(before.parts, self.parts), _differing(self.parts, before.parts)
        own: set[CohortKey] = set()
        for times, part in ((-1, counted_of(gone)), (1, counted_of(come))):
            for key, cohort in part.items():
                self._own(key, cohort, own).add(cohort, times)
        for key in own:
            if not self.by_key[key].hosts:
                del self.by_key[key]

    def _own(self, key: CohortKey, like: Cohort, own: set[CohortKey]) -> Cohort:
        """The cohort of a key, as this one's to change."""
        if key not in own:
            own.add(key)
            known = self.by_key.get(key)
            self.by_key[key] = Cohort(len(like.free)) if known is None else known.copy()
        return self.by_key[key]


def _differing(parts: list[_Part], others: list[_Part]) -> Iterator[HostEntry]:
    """The hosts of the parts that are not those of ``others``."""
    for part, other in zip(parts, others, strict=True):
        if part is not other:
            yield from _entries(part)


def counted_of(entries: Iterable[HostEntry]) -> Counted:
    """Some hosts by cohort."""
    found: dict[CohortKey, list[HostEntry]] = {}
    for entry in entries:
        key = CohortKey(entry.layout, entry.site, entry.sound)
        alike = found.get(key)
        if alike is None:
            found[key] = [entry]
        else:
            alike.append(entry)
    return {key: Cohort.of(alike) for key, alike in found.items()}


def _entries(part: _Part) -> Iterator[HostEntry]:
    """The hosts of a part, each once: it is there by its id and by its hostname."""
    for name, entry in part.items():
        if isinstance(entry, HostEntry) and entry.host == name:
            yield entry
