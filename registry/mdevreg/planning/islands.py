"""The fleet as a directed graph of kinds: where devices can go round, where they are trapped, what holds it together.

Nodes are kinds of places (a type under a driver build, where rules tell places apart also by these); an edge leads to
every kind that accepts it. An *island* is a strongly connected component: from each of its kinds devices reach every
other, perhaps over several. Pure; strong components and shortest ways are scipy's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

import msgspec

from mdevreg.fleet.kinds import Kind
from mdevreg.fleet.matrix import KindSummary
from mdevreg.fleet.table import RulingTable
from mdevreg.fleet.view import FleetView
from mdevreg.planning.cohorts import Cohorts
from mdevreg.planning.common_range import CommonRange, common_range
from mdevreg.planning.graphs import distances, strong_components
from mdevreg.planning.selecting import Selection, select
from mdevreg.rules import Scope
from mdevreg.times import moment_of
from mdevreg.verdict import Outcome


class Island(msgspec.Struct, frozen=True):
    """Kinds between which devices go round. ``hosts``: that have any. ``inside``: whether a device can move inside.

    ``to``, ``from_``: numbers of other islands that devices can go to, and come from, in one migration. A *trap* can
    be entered and not be left; a *source* can only be left.
    """

    number: int
    type: str
    kinds: tuple[KindSummary, ...]
    hosts: int
    devices: int
    inside: bool
    to: tuple[int, ...]
    from_: tuple[int, ...] = msgspec.field(name="from")
    trap: bool
    source: bool


class Cut(msgspec.Struct, frozen=True):
    """A host without which some kinds no longer reach others: the only one of its kind that they go over."""

    host: str
    type: str
    kind: KindSummary
    pairs: int  # of kinds, that are parted


class Route(msgspec.Struct, frozen=True):
    """A way of several migrations where one is refused: over kinds ``over``, with hosts to do it on."""

    type: str
    source: KindSummary
    over: tuple[KindSummary, ...]
    target: KindSummary
    hosts: tuple[str, ...]  # an example of each in ``over``


class Islands(msgspec.Struct, frozen=True):
    """The graph of some hosts. Verdicts are on the merits: facts are taken as good, capacity is not looked at.

    ``doubtful``: edges whose verdict is unknown: they are none here.
    """

    where: str
    hosts: int
    islands: tuple[Island, ...]
    cuts: tuple[Cut, ...]
    routes: tuple[Route, ...]
    ranges: tuple[CommonRange, ...]
    doubtful: int
    position: int
    answered_at: datetime
    as_of: datetime | None = None
    snapshot: str = ""


class _Counts:
    """How often a kind is met."""

    __slots__ = ("devices", "hosts", "open")

    def __init__(self) -> None:
        self.hosts = self.open = self.devices = 0


def islands_of(view: FleetView, cohorts: Cohorts, where: Scope, *, now_us: int) -> Islands:
    """The islands of the hosts in a scope. Raises ``NotFoundError``, and ``MissingExtraError`` ([plan])."""
    selection = select(view, cohorts, where)
    return _Map(view, selection, view.table_at(now_us)).drawn(str(where) or "all hosts", now_us)


class _Map:
    """The graph in the making."""

    def __init__(self, view: FleetView, selection: Selection, table: RulingTable) -> None:
        self._view, self._table, self._selection = view, table, selection
        self._counts = _counted(selection)
        self._by_type: dict[str, list[Kind]] = {}
        for kind in sorted(self._counts, key=lambda each: (each.type, each.order)):
            self._by_type.setdefault(kind.type, []).append(kind)
        self._doubtful = 0
        self._edges = {name: self._matrix(kinds) for name, kinds in self._by_type.items()}
        self._named: dict[Kind, str] | None = None

    def drawn(self, where: str, now_us: int) -> Islands:
        islands: list[Island] = []
        cuts: list[Cut] = []
        routes: list[Route] = []
        for name, kinds in self._by_type.items():
            islands += self._islands(kinds, self._edges[name], len(islands))
            routes += self._routes(kinds, self._edges[name])
            cuts += self._cuts(kinds, self._edges[name])
        ranges = common_range(self._places(), self._table, self._hosts_named)
        position, at = self._view.position, moment_of(now_us)
        return Islands(
            where,
            self._selection.hosts,
            tuple(islands),
            tuple(cuts),
            tuple(routes),
            ranges,
            self._doubtful,
            position,
            at,
        )

    def _matrix(self, kinds: Sequence[Kind]) -> list[list[bool]]:
        """Whether each accepts each."""
        found: list[list[bool]] = []
        for source in kinds:
            said = [self._table.ruling(source, target).outcome for target in kinds]
            self._doubtful += sum(each is Outcome.UNKNOWN for each in said)
            found.append([each is Outcome.COMPATIBLE for each in said])
        return found

    def _islands(self, kinds: list[Kind], edges: list[list[bool]], first: int) -> Iterator[Island]:
        labels = strong_components(edges)
        ordered = sorted(dict.fromkeys(labels), key=labels.index)
        numbers = {label: first + at for at, label in enumerate(ordered, 1)}
        leads: dict[int, set[int]] = {number: set() for number in numbers.values()}
        comes: dict[int, set[int]] = {number: set() for number in numbers.values()}
        for at, row in enumerate(edges):
            for to, edge in enumerate(row):
                one, other = numbers[labels[at]], numbers[labels[to]]
                if edge and one != other:
                    leads[one].add(other)
                    comes[other].add(one)
        for label in ordered:
            number = numbers[label]
            members = [kind for kind, each in zip(kinds, labels, strict=True) if each == label]
            yield Island(
                number=number,
                type=kinds[0].type,
                kinds=tuple(map(self._summary, members)),
                hosts=sum(self._counts[kind].hosts for kind in members),
                devices=sum(self._counts[kind].devices for kind in members),
                inside=len(members) > 1 or self._moves_alone(members[0]),
                to=tuple(sorted(leads[number])),
                from_=tuple(sorted(comes[number])),
                trap=not leads[number] and bool(comes[number]),
                source=bool(leads[number]) and not comes[number],
            )

    def _moves_alone(self, kind: Kind) -> bool:
        """Whether a kind accepts itself, and has another host to do it."""
        return self._counts[kind].hosts > 1 and self._table.ruling(kind, kind).outcome is Outcome.COMPATIBLE

    def _routes(self, kinds: list[Kind], edges: list[list[bool]]) -> Iterator[Route]:
        """The shortest way between kinds of which one does not accept the other at once."""
        hops, before = distances(edges)
        for at, source in enumerate(kinds):
            for to, target in enumerate(kinds):
                if at != to and not edges[at][to] and hops[at][to] is not None:
                    over = [kinds[each] for each in _way(before[at], at, to)]
                    yield Route(
                        type=source.type,
                        source=self._summary(source),
                        over=tuple(map(self._summary, over)),
                        target=self._summary(target),
                        hosts=tuple(self._example(kind) for kind in over),
                    )

    def _cuts(self, kinds: list[Kind], edges: list[list[bool]]) -> Iterator[Cut]:
        """Kinds on one host only, whose loss parts others."""
        whole = _reach(edges)
        for at, kind in enumerate(kinds):
            if self._counts[kind].hosts != 1:
                continue
            rest = [each for each in range(len(kinds)) if each != at]
            without = _reach([[edges[row][column] for column in rest] for row in rest])
            before = {(one, other) for one, other in whole if at not in (one, other)}
            after = {(rest[one], rest[other]) for one, other in without}
            if before - after:
                yield Cut(self._example(kind), kind.type, self._summary(kind), len(before - after))

    def _summary(self, kind: Kind) -> KindSummary:
        counts, support = self._counts[kind], self._table.support(kind)
        return KindSummary(kind.type, kind.digest, kind.profile.driver, support, counts.hosts, counts.open)

    def _places(self) -> dict[Kind, int]:
        return {kind: counts.hosts for kind, counts in self._counts.items()}

    def _example(self, kind: Kind) -> str:
        """A host that has a kind: the first by name."""
        if self._named is None:
            found: dict[Kind, str] = {}
            for entry in self._selection.hosts_of(self._view):
                for each in {kind for _, kind in entry.layout.slots}:
                    if each not in found or entry.name < found[each]:
                        found[each] = entry.name
            self._named = found
        return self._named[kind]

    def _hosts_named(self, kinds: Iterable[Kind]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self._example(kind) for kind in kinds))


def _counted(selection: Selection) -> dict[Kind, _Counts]:
    found: dict[Kind, _Counts] = {}
    for key, cohort in selection.chosen.items():
        for kinds in key.layout.by_type.values():
            for kind, slots in kinds:
                counts = found.setdefault(kind, _Counts())
                counts.hosts += cohort.hosts
                counts.open += min(cohort.hosts, sum(cohort.open[slot] for slot in slots))
        for (_, kind), devices in cohort.devices.items():
            if kind in found:
                found[kind].devices += devices
    return found


def _reach(edges: list[list[bool]]) -> set[tuple[int, int]]:
    hops, _ = distances(edges)
    return {(at, to) for at, row in enumerate(hops) for to, length in enumerate(row) if length is not None and at != to}


def _way(before: list[int], at: int, to: int) -> list[int]:
    """What lies between, from a row of predecessors."""
    found: list[int] = []
    place = before[to]
    while place != at:
        found.append(place)
        place = before[place]
    return found[::-1]
