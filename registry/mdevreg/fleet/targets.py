"""Where a device could go: a question about the whole fleet, answered group by group and gathered lazily. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

from mdevreg.errors import UsageError
from mdevreg.fleet.entries import HostEntry
from mdevreg.fleet.groups import GroupKey, TypeGroups
from mdevreg.fleet.kinds import Kind
from mdevreg.fleet.namelist import NameList
from mdevreg.fleet.plans import Plan
from mdevreg.fleet.table import RulingTable
from mdevreg.rulings import Brief, Ruling
from mdevreg.verdict import RANK, Outcome

if TYPE_CHECKING:
    from mdevreg.fleet.view import FleetView

#: ``group``: hosts that offer the same are together; cheapest. ``name``: by name. ``free``: most free instances first.
Order = Literal["group", "name", "free"]
ORDERS: tuple[Order, ...] = get_args(Order)


class Question:
    """What was asked. ``own``: the source's host, ``own_sound``: whether its facts are good, as groups have it."""

    __slots__ = (
        "age_us",
        "available",
        "doubts",
        "kind",
        "now_us",
        "order",
        "own",
        "own_sound",
        "site",
        "table",
        "view",
    )

    def __init__(
        self, view: FleetView, table: RulingTable, kind: Kind, own: HostEntry, now_us: int, age_us: int
    ) -> None:
        self.view, self.table, self.kind, self.own = view, table, kind, own
        self.now_us, self.age_us = now_us, age_us
        self.doubts, self.own_sound = 0, own.sound
        self.site: str | None = None
        self.available = True
        self.order: Order = "group"

    @property
    def own_group(self) -> GroupKey | None:
        """The group in which the source's own host is, if it offers the type."""
        for offering in self.own.members:
            if offering.type == self.kind.type:
                return (offering, self.own_sound)
        return None


class Target(NamedTuple):
    """One host: its name in answers, the short answer about it, and which of its offers answers."""

    name: str
    brief: Brief
    parent: str
    type: str


class TargetList:
    """The hosts with one outcome, in an order that depends on the facts alone. Gathered when asked for.

    It is a snapshot's: it does not change while it is read. Hosts with other outcomes: ``having``.
    """

    __slots__ = ("_asked", "_choice", "_groups", "_plan", "outcome")

    def __init__(self, asked: Question, groups: TypeGroups, plan: Plan, outcome: Outcome) -> None:
        self._asked, self._groups, self._plan, self.outcome = asked, groups, plan, outcome
        self._choice = plan.chosen(outcome, available=asked.available)

    def having(self, outcome: Outcome | str) -> TargetList:
        """The same question's hosts with another outcome. Raises ``UsageError`` for none that there is."""
        try:
            wanted = Outcome(outcome)
        except ValueError as error:
            raise UsageError(f"{outcome!r} is no outcome; expected one of: {', '.join(Outcome)}") from error
        return TargetList(self._asked, self._groups, self._plan, wanted)

    @property
    def position(self) -> int:
        """The log position of the snapshot."""
        return self._asked.view.position

    def __len__(self) -> int:
        if self._asked.site is None:
            count = self._groups.total(self._choice, self._choice.keys)
        else:
            count = sum([names.count for names in self._lists()])
        return count - 1 if self._own_list() is not None else count

    def __iter__(self) -> Iterator[Target]:
        for name in self._ordered():
            yield self.target(name)

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self)

    def counts(self) -> dict[str, int]:
        """How many there are of each outcome."""
        return {outcome.value: len(self.having(outcome)) for outcome in Outcome}

    def names(self, limit: int | None = None) -> list[str]:
        """Their names, at most ``limit`` of them: a new list that is the caller's."""
        if self._asked.order != "group":
            return list(islice(self._ordered(), limit))
        return self._joined() if limit is None else self._first(limit)

    def page(self, offset: int, limit: int) -> list[Target]:
        """``limit`` of them from the place ``offset`` on. Raises ``UsageError``."""
        if offset < 0 or limit < 1:
            raise UsageError(f"offset is {offset} and limit is {limit}; at least 0 and 1 were expected")
        return [self.target(name) for name in islice(self._ordered(), offset, offset + limit)]

    def target(self, name: str) -> Target:
        """The answer about one of them."""
        asked = self._asked
        entry = asked.view.directory.named(name)
        free, slot = self._best(entry)
        parent, kind = entry.layout.slots[slot]
        ruling = self._ruling(entry, kind)
        brief = asked.view.brief(ruling, (asked.own, entry), free, now_us=asked.now_us, age_us=asked.age_us)
        return Target(name, brief, parent.name, asked.kind.type)

    def with_capacity(self) -> Iterator[tuple[HostEntry, int | None]]:
        """All of them with the free instances of the offer that answers."""
        for name in self._joined():
            entry = self._asked.view.directory.named(name)
            yield entry, self._best(entry)[0]

    def _joined(self) -> list[str]:
        found: list[str] = []
        own, place = self._own_list(), -1
        for names in self._lists():
            if names is own:
                place = len(found) + names.index(self._asked.own.name)
            for block in names.blocks:
                found += block
        if place >= 0:
            del found[place]
        return found

    def _first(self, limit: int) -> list[str]:
        found: list[str] = []
        own = self._own_list()
        for names in self._lists():
            start = len(found)
            for block in names.blocks:
                found += block if len(found) + len(block) <= limit else block[: limit + 1 - len(found)]
                if len(found) > limit:
                    break
            if names is own and start + (place := names.index(self._asked.own.name)) < len(found):
                del found[start + place]
            if len(found) >= limit:
                return found[:limit]
        return found

    def _ordered(self) -> Iterable[str]:
        match self._asked.order:
            case "group":
                own = self._asked.own.name
                return (name for names in self._lists() for name in names if name != own)
            case "name":
                return sorted(self._joined())
        return (name for _, name in sorted((-(free or 0), entry.name) for entry, free in self.with_capacity()))

    def _lists(self) -> Iterator[NameList]:
        groups, site = self._groups.groups, self._asked.site
        for key in self._choice.keys:
            if site is None:
                yield from groups[key].sites.values()
            elif (names := groups[key].sites.get(site)) is not None:
                yield names

    def _own_list(self) -> NameList | None:
        """The list of these in which the source's own host is, if it is in one."""
        asked = self._asked
        key = asked.own_group
        if key is None or key not in self._choice.members or asked.site not in (None, asked.own.site):
            return None
        return self._groups.groups[key].sites[asked.own.site or ""]

    def _best(self, entry: HostEntry) -> tuple[int | None, int]:
        """The offer that answers for a host: the best outcome, then most free instances, then the parent's name."""
        kinds = entry.layout.by_type[self._asked.kind.type]
        if len(kinds) == 1 and len(kinds[0][1]) == 1:
            slot = kinds[0][1][0]
            return entry.free[slot], slot
        ranked = (
            (rank, -(entry.free[slot] or 0), entry.layout.slots[slot][0].name, slot)
            for kind, slots in kinds
            for rank in [RANK[self._ruling(entry, kind).outcome]]
            for slot in slots
        )
        slot = min(ranked)[3]
        return entry.free[slot], slot

    def _ruling(self, entry: HostEntry, kind: Kind) -> Ruling:
        asked = self._asked
        doubts = asked.view.doubts(entry, asked.now_us - asked.age_us)
        return asked.table.ruling(asked.kind, kind, asked.doubts, doubts)
