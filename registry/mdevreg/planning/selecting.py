"""Which hosts a scope selects, and the cohorts on both sides of the line. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from fnmatch import translate

from mdevreg.errors import NotFoundError, UsageError
from mdevreg.facts import Evidence, Side
from mdevreg.fleet.entries import HostEntry, Layout
from mdevreg.fleet.view import FleetView
from mdevreg.planning.cohorts import Cohort, CohortKey, Cohorts, Counted, counted_of
from mdevreg.profiles import Profile
from mdevreg.rules import FLEET, Scope
from mdevreg.scopes import covers

_WILD = frozenset("*?[")


class Selection:
    """The fleet in two: hosts that a scope selects, and the rest; a cohort may be on both sides.

    ``entries``: the hosts one by one, where they were chosen by name; else they are those of whole cohorts.
    """

    def __init__(self, chosen: Counted, rest: Counted, entries: tuple[HostEntry, ...] | None) -> None:
        self.chosen, self.rest, self.entries = chosen, rest, entries
        self.hosts = sum(cohort.hosts for cohort in chosen.values())

    def hosts_of(self, view: FleetView) -> Iterator[HostEntry]:
        """The selected hosts."""
        if self.entries is not None:
            yield from self.entries
            return
        keys = self.chosen
        for entry in view.directory.entries():
            if CohortKey(entry.layout, entry.site, entry.sound) in keys:
                yield entry


def select(view: FleetView, cohorts: Cohorts, scope: Scope) -> Selection:
    """The hosts with anything in a scope. ``host`` and ``site`` are the host's; the other keys, of what it offers.

    Raises ``NotFoundError`` for the name of a host that there is not, ``UsageError`` (NO_HOSTS) where nothing is in the
    scope: what is asked of no hosts is a slip, and "nothing is lost" its worst answer.
    """
    found = _select(view, cohorts, scope)
    if not found.hosts and scope != FLEET:
        raise UsageError(
            f"no host is in {scope}; mdevreg hosts and mdevreg drivers list what there is", code="NO_HOSTS"
        )
    return found


def _select(view: FleetView, cohorts: Cohorts, scope: Scope) -> Selection:
    fitting = {key: cohort for key, cohort in cohorts.by_key.items() if _fits(key, scope)}
    if not scope.host and not scope.device:
        rest = {key: cohort for key, cohort in cohorts.by_key.items() if key not in fitting}
        return Selection(fitting, rest, None)
    entries = tuple(entry for entry in _named(view, scope) if _key(entry) in fitting and _has(entry, scope))
    chosen = counted_of(entries)
    return Selection(chosen, _without(cohorts.by_key, chosen), entries)


def _named(view: FleetView, scope: Scope) -> Iterator[HostEntry]:
    if scope.host and not any(_WILD & set(pattern) for pattern in scope.host):
        yield from {entry.host: entry for entry in map(view.directory.host, scope.host)}.values()
        return
    fits, found = _matcher(scope.host), False
    for entry in view.directory.entries():
        if not scope.host or fits(entry.hostname) or fits(entry.host):
            found = True
            yield entry
    if not found and scope.host:
        raise NotFoundError("host", "|".join(scope.host))


def _has(entry: HostEntry, scope: Scope) -> bool:
    return not scope.device or any(map(_matcher(scope.device), (ref.name for ref in entry.devices)))


def _fits(key: CohortKey, scope: Scope) -> bool:
    """Whether anything that such hosts have is in the scope, names of hosts and devices aside."""
    wide = Scope(**{name: getattr(scope, name) for name in scope.__struct_fields__ if name not in ("host", "device")})
    return any(covers(wide, side) for side in _sides(key.layout, key.site))


def _sides(layout: Layout, site: str | None) -> Iterator[Side]:
    here = Evidence("", "", site)
    for parent, kind in layout.slots:
        yield Side(here, parent.name, kind.profile)
    for parent in layout.parents:
        if not parent.types:
            for build in parent.builds:
                yield Side(here, parent.name, Profile(driver=build))
    if not layout.parents:
        yield Side(here, "", Profile())


def _without(counted: Counted, less: Counted) -> Counted:
    rest: Counted = dict(counted)
    for key, cohort in less.items():
        left = Cohort(len(cohort.free))
        left.add(counted[key])
        left.add(cohort, -1)
        if left.hosts:
            rest[key] = left
        else:
            del rest[key]
    return rest


def _key(entry: HostEntry) -> CohortKey:
    return CohortKey(entry.layout, entry.site, entry.sound)


def _matcher(patterns: tuple[str, ...]) -> Callable[[str], object]:
    """Whether a name fits one of some patterns, as in fnmatch."""
    return re.compile("|".join(map(translate, patterns))).match
