"""What the registry believes beside observations: catalog entries and operators' rules, and how that changed. Pure.

A change is an *amendment*: an entry of the log like a record, with a position of its own, so that what was believed
at any position can be asked (ADR 6). ``Knowledge`` is the fold of the amendments up to a position.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from mdevreg.catalog import Catalog, Entry
from mdevreg.errors import DecodeError
from mdevreg.outcomes import OutcomeReport, Tried, added, position_of, standing_between
from mdevreg.profiles import Profile, profile_of_device, profile_of_type
from mdevreg.records import Parent
from mdevreg.rules import Rule
from mdevreg.shapes import Line, Name, Strict, Time
from mdevreg.support import Support, support_of

#: Where catalog entries come from: this program, the operators' folder, ``mdevreg-server catalog import``.
Origin = Literal["shipped", "folder", "import"]
ORIGINS: tuple[Origin, ...] = ("shipped", "folder", "import")
#: Most entries that one amendment changes, and most that are believed at once.
MAX_ENTRIES = 10_000


class CatalogChange(Strict, frozen=True, tag_field="kind", tag="catalog"):
    """Entries of one origin that were added or replaced (by id), and ids that were removed."""

    origin: Origin
    put: Annotated[tuple[Entry, ...], Meta(max_length=MAX_ENTRIES)] = ()
    remove: Annotated[tuple[Name, ...], Meta(max_length=MAX_ENTRIES)] = ()


class RuleChange(Strict, frozen=True, tag_field="kind", tag="rule"):
    """A rule as it is from now on; ending one gives it a ``valid_until``."""

    rule: Rule


class OutcomeChange(Strict, frozen=True, tag_field="kind", tag="outcome"):
    """How a real migration ended."""

    outcome: OutcomeReport


#: What an amendment changes.
AnyChange = CatalogChange | RuleChange | OutcomeChange


class Amendment(Strict, frozen=True):
    """One change of what is believed. ``at``: the registry's clock; ``author``: who asked for it."""

    schema: Line
    at: Time
    author: Line
    change: AnyChange


class Knowledge:
    """All entries, rules and outcomes believed at one position. Never changed: ``amended`` makes another."""

    def __init__(
        self,
        entries: dict[Origin, dict[str, Entry]] | None = None,
        rules: dict[str, Rule] | None = None,
        tried: Tried | None = None,
    ) -> None:
        self.entries = entries or {origin: {} for origin in ORIGINS}
        self.rules = rules or {}
        self.tried = tried or {}
        # The folder is what operators look at: it wins over what was once imported under the same id.
        operator = self.entries["import"] | self.entries["folder"]
        self.catalog = Catalog(tuple(operator.values()), tuple(self.entries["shipped"].values()))
        self._supports: dict[str, Support] = {}

    def amended(self, amendments: Iterable[Amendment]) -> Knowledge:
        """What is believed after them, in their order."""
        changes = [amendment.change for amendment in amendments]
        tried = dict(self.tried)
        for change in changes:
            if isinstance(change, OutcomeChange):
                added(tried, change.outcome)
        others = [change for change in changes if not isinstance(change, OutcomeChange)]
        return self._amended(others, tried) if others else self._with(tried)

    def _amended(self, changes: list[CatalogChange | RuleChange], tried: Tried) -> Knowledge:
        entries = {origin: dict(found) for origin, found in self.entries.items()}
        rules = dict(self.rules)
        for change in changes:
            if isinstance(change, RuleChange):
                rules[change.rule.id] = change.rule
            else:
                _change(entries[change.origin], change)
        return Knowledge(entries, rules, tried)

    def _with(self, tried: Tried) -> Knowledge:
        """The same entries and rules, with what was concluded of them: outcomes may be reported every second."""
        found = object.__new__(Knowledge)
        found.entries, found.rules, found.catalog = self.entries, self.rules, self.catalog
        found.tried, found._supports = tried, self._supports
        return found

    @property
    def outcomes(self) -> list[OutcomeReport]:
        """Every outcome that was reported, in log order."""
        return sorted((report for reports in self.tried.values() for report in reports), key=position_of)

    def tried_between(
        self, source: str, targets: Iterable[str], as_of: datetime | None = None
    ) -> tuple[OutcomeReport, ...]:
        """What outcomes say of a profile and each of some others, there and back, one each (``outcomes.standing``)."""
        return standing_between(self.tried, source, targets, as_of) if self.tried else ()

    def support(self, digest: str, profile: Profile) -> Support:
        """What the profile of that digest saves and loads; concluded once."""
        found = self._supports.get(digest)
        if found is None:
            found = self._supports[digest] = support_of(profile, self.catalog)
        return found


NOTHING = Knowledge()


def supports_of(parents: Iterable[Parent], knowledge: Knowledge) -> dict[str, Support]:
    """What is concluded of all that a host has, by PARENT/TYPE and PARENT/DEVICE."""
    found: dict[str, Support] = {}
    for parent in parents:
        profiles = {kind.id: profile_of_type(parent, kind) for kind in parent.types}
        profiles |= {device.name: profile_of_device(parent, device) for device in parent.devices}
        found |= {f"{parent.name}/{name}": support_of(profile, knowledge.catalog) for name, profile in profiles.items()}
    return found


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Amendment)


def encode_amendment(amendment: Amendment) -> bytes:
    """Canonical JSON, as it is logged."""
    return _encoder.encode(amendment)


def decode_amendment(data: bytes) -> Amendment:
    """Read a logged amendment. Raises ``DecodeError``."""
    try:
        return _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise DecodeError(f"no amendment: {error}", code="AMENDMENT") from error


def difference(before: dict[str, Entry], after: Iterable[Entry], origin: Origin) -> CatalogChange | None:
    """What makes the entries of an origin into others; ``None``: they are the same."""
    wanted = {entry.id: entry for entry in after}
    put = tuple(entry for entry in wanted.values() if before.get(entry.id) != entry)
    remove = tuple(sorted(before.keys() - wanted.keys()))
    return CatalogChange(origin=origin, put=put, remove=remove) if put or remove else None


def _change(entries: dict[str, Entry], change: CatalogChange) -> None:
    for name in change.remove:
        entries.pop(name, None)
    entries.update((entry.id, entry) for entry in change.put)
