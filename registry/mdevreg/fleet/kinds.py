"""Kinds: all sides that are judged alike, interned. Pure.

Two sides are of one kind if they have the same profile, and every operators' rule is about both or about neither. Most
rules are about profiles; those that name hosts, sites, parents or devices tell sides of one profile apart.
"""

from __future__ import annotations

from collections.abc import Iterable

from mdevreg.facts import Evidence, Side
from mdevreg.profiles import Profile
from mdevreg.rules import Rule, Scope
from mdevreg.scopes import covers

#: The keys of a scope that are no part of a profile.
_PLACES = ("host", "site", "parent", "device")


class Kind:
    """One kind of sides. Compared by identity: equal ones are the same object. ``sample``: one of them."""

    __slots__ = ("bits", "digest", "order", "profile", "sample", "type")

    def __init__(self, digest: str, profile: Profile, bits: int, sample: Side) -> None:
        self.digest, self.profile, self.bits, self.sample = digest, profile, bits, sample
        self.order = (digest, bits)
        self.type = profile.type or ""  # no type is called so: what offers nothing finds nothing


class Places:
    """The scopes that tell places apart, of all rules that are known."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        scopes = (scope for rule in rules for scope in (rule.where, rule.source, rule.target))
        self.scopes: tuple[Scope, ...] = tuple(dict.fromkeys(filter(_of_places, scopes)))

    def bits(self, side: Side) -> int:
        """Which of them cover a side."""
        return sum(covers(scope, side) << number for number, scope in enumerate(self.scopes))


class Kinds:
    """Interns kinds. One writer; readers may read meanwhile."""

    def __init__(self, places: Places) -> None:
        self.places = places
        self._known: dict[tuple[str, int], Kind] = {}

    def of(self, digest: str, profile: Profile, evidence: Evidence, parent: str, device: str | None) -> Kind:
        """The kind of a side."""
        side = Side(evidence, parent, profile, device=device, digest=digest)
        bits = self.places.bits(side) if self.places.scopes else 0
        found = self._known.get((digest, bits))
        if found is None:
            found = self._known[digest, bits] = Kind(digest, profile, bits, side)
        return found

    def plain(self, digest: str) -> Kind | None:
        """The kind of a profile where no rule tells places apart, if it was seen before."""
        return self._known.get((digest, 0))


def _of_places(scope: Scope) -> bool:
    return any(getattr(scope, name) for name in _PLACES)
