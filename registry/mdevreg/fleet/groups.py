"""Hosts grouped by what they offer of a type, so that a question is answered per group, not per host. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from mdevreg.fleet.entries import HostEntry, Offering
from mdevreg.fleet.namelist import NO_NAMES, NameList

#: A group: what its hosts offer, and whether their facts are good.
GroupKey = tuple[Offering, bool]


class Group:
    """The hosts of one group, by site. ``sites``: in order of their names, hosts without one first."""

    __slots__ = ("count", "sites")

    def __init__(self, sites: dict[str, NameList]) -> None:
        self.sites = sites
        self.count = sum(names.count for names in sites.values())

    def edited(self, changes: dict[str, dict[str, bool]]) -> Group:
        """With names added (``True``) and taken out, site by site."""
        sites = dict(self.sites)
        for site, names in changes.items():
            sites[site] = sites.get(site, NO_NAMES).edited(names)
        return Group({site: sites[site] for site in sorted(sites) if sites[site].count})


class TypeGroups:
    """The groups of one type.

    ``keys``: in an order that depends on the facts alone; the same object while no group comes or goes, so that what
    was worked out for it holds.
    """

    __slots__ = ("_totals", "groups", "keys")

    def __init__(self, groups: dict[GroupKey, Group], keys: Keys) -> None:
        self.groups, self.keys = groups, keys
        self._totals: dict[object, int] = {}

    def total(self, of: object, keys: tuple[GroupKey, ...]) -> int:
        """How many hosts are in some groups; ``of``: what these groups are to the caller, by which it is remembered."""
        found = self._totals.get(of)
        if found is None:
            found = self._totals[of] = sum(self.groups[key].count for key in keys)
        return found

    def edited(self, changes: dict[GroupKey, dict[str, dict[str, bool]]]) -> TypeGroups:
        """With hosts moved between groups."""
        groups = dict(self.groups)
        for key, sites in changes.items():
            group = groups.get(key, _NOBODY).edited(sites)
            if group.count:
                groups[key] = group
            else:
                groups.pop(key, None)
        return TypeGroups(groups, self.keys if groups.keys() == self.groups.keys() else Keys(groups))


class Keys:
    """The groups that there are; compared by identity."""

    __slots__ = ("all",)

    def __init__(self, keys: Iterable[GroupKey]) -> None:
        self.all = tuple(sorted(keys, key=_order))


def _order(key: GroupKey) -> tuple[object, ...]:
    offering, sound = key
    return (offering.order, not sound)


_NOBODY = Group({})
NO_GROUPS = TypeGroups({}, Keys(()))


class Moves:
    """Hosts that come into groups and leave them, gathered before they are carried out."""

    def __init__(self) -> None:
        self._moves: dict[tuple[Offering, bool, str | None], dict[str, bool]] = {}

    def move(self, before: HostEntry | None, after: HostEntry | None) -> None:
        """A host that was ``before`` is ``after`` now."""
        if before is not None and after is not None and _same_place(before, after):
            if before.members == after.members:
                return
            stayed = frozenset(before.members).intersection(after.members)
            self._put(before, [offering for offering in before.members if offering not in stayed], there=False)
            self._put(after, [offering for offering in after.members if offering not in stayed], there=True)
            return
        if before is not None:
            self._put(before, before.members, there=False)
        if after is not None:
            self._put(after, after.members, there=True)

    def carried_out(self, types: dict[str, TypeGroups]) -> dict[str, TypeGroups]:
        """The groups after all moves; the same object where there was none."""
        if not self._moves:
            return types
        changes: dict[str, dict[GroupKey, dict[str, dict[str, bool]]]] = {}
        for (offering, sound, site), names in self._moves.items():
            changes.setdefault(offering.type, {}).setdefault((offering, sound), {})[site or ""] = names
        moved = dict(types)
        for kind, groups in changes.items():
            moved[kind] = moved.get(kind, NO_GROUPS).edited(groups)
            if not moved[kind].groups:
                del moved[kind]
        return moved

    def _put(self, entry: HostEntry, offerings: Iterable[Offering], *, there: bool) -> None:
        name, sound, site, moves = entry.name, entry.sound, entry.site, self._moves
        for offering in offerings:
            key = (offering, sound, site)
            names = moves.get(key)
            if names is None:
                moves[key] = {name: there}
            else:
                names[name] = there


def _same_place(before: HostEntry, after: HostEntry) -> bool:
    return before.name == after.name and before.site == after.site and before.sound == after.sound
