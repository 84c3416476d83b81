"""Which groups of a type have which outcome for one kind of source: worked out once, remembered by the table. Pure."""

from __future__ import annotations

from mdevreg.fleet.entries import Offering
from mdevreg.fleet.groups import GroupKey, Keys
from mdevreg.fleet.kinds import Kind
from mdevreg.fleet.table import DOUBTFUL, RulingTable
from mdevreg.verdict import BEST_FIRST, RANK, Outcome


class Choice:
    """Some groups of a type, in their order. Compared by identity: what was summed up for one is found again."""

    __slots__ = ("keys", "members")

    def __init__(self, keys: tuple[GroupKey, ...]) -> None:
        self.keys, self.members = keys, frozenset(keys)


class Plan:
    """The groups by outcome; those that are not full apart."""

    __slots__ = ("_available", "_every")

    def __init__(self, table: RulingTable, kind: Kind, doubts: int, keys: Keys) -> None:
        found = [(key, *_outcome(table, kind, doubts, *key)) for key in keys.all]
        self._every = {each: Choice(tuple(key for key, outcome, _ in found if outcome is each)) for each in Outcome}
        self._available = {
            each: Choice(tuple(key for key, outcome, free in found if outcome is each and free)) for each in Outcome
        }

    def chosen(self, outcome: Outcome, *, available: bool) -> Choice:
        """The groups with that outcome; ``available``: that are not full."""
        return (self._available if available else self._every)[outcome]


def plan_of(table: RulingTable, kind: Kind, doubts: int, keys: Keys) -> Plan:
    """The plan for one kind of source; which doubts there are about its host makes no difference to an outcome."""
    key = (kind, doubts != 0, keys)
    found = table.plans.get(key)
    if found is None:
        found = Plan(table, kind, doubts, keys)
        table.remember(key, found)
    assert isinstance(found, Plan)
    return found


def _outcome(table: RulingTable, source: Kind, doubts: int, offering: Offering, sound: bool) -> tuple[Outcome, bool]:
    """The best outcome of a group's kinds, and whether one of those that have it has a free instance."""
    doubted = 0 if sound else DOUBTFUL
    ranked = [(RANK[table.ruling(source, kind, doubts, doubted).outcome], free) for kind, free in offering.kinds]
    best = min(rank for rank, _ in ranked)
    return BEST_FIRST[best], any(free for rank, free in ranked if rank == best)
