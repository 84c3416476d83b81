"""The facts in a snapshot of the fleet, as every door hands them out. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from mdevreg.facts import Candidates, Offers, Pair, RuleList, Side
from mdevreg.fleet.entries import DeviceRef, HostEntry
from mdevreg.fleet.groups import NO_GROUPS, TypeGroups
from mdevreg.fleet.heard import Heard
from mdevreg.fleet.kinds import Kind
from mdevreg.fleet.lookup import Directory, Source
from mdevreg.fleet.sides import Sides
from mdevreg.knowledge import Knowledge
from mdevreg.outcomes import OutcomeReport
from mdevreg.rules import Rule
from mdevreg.support import StreamSupport


class FleetFacts:
    """Sources, offers and rules. ``position``: the log position that they are of."""

    __slots__ = ("directory", "heard", "knowledge", "position", "types")

    def __init__(
        self,
        directory: Directory,
        *,
        types: dict[str, TypeGroups],
        heard: list[Heard],
        knowledge: Knowledge,
        position: int,
    ) -> None:
        self.directory, self.types, self.heard = directory, types, heard
        self.knowledge, self.position = knowledge, position

    def pair(self, device: str, host: str) -> Pair:
        """A source, and all that one target host offers: what every door hands out."""
        sides = self.sides()
        source = self._side(self.directory.source(device), sides)
        target = self.directory.host(host)
        offers = tuple(sides.offers(target))
        return Pair(self.position, source, sides.evidence(target), offers, self.rules, self._tried(source, offers))

    def source_side(self, device: str) -> Side:
        """A source as a fact."""
        return self._side(self.directory.source(device), self.sides())

    def home_of(self, device: str) -> tuple[str, str]:
        """The id of the host where a source is, and its type. Raises ``NotFoundError``, ``UsageError``."""
        kind, own = self.kind_and_host(self.directory.source(device))
        return own.host, kind.type

    def offering(self, kind: str, site: str | None = None) -> Iterator[str]:
        """The ids of the hosts that offer a type; ``site``: only of that one."""
        for entry in self.entries_offering(self.types.get(kind, NO_GROUPS)):
            if site in (None, entry.site):
                yield entry.host

    def candidates(self, device: str) -> Candidates:
        """A source, and every offer of its type, by hostname, host, parent."""
        sides = self.sides()
        source = self._side(self.directory.source(device), sides)
        kind = source.profile.type
        hosts = self._ordered(kind) if kind is not None else ()
        offers = tuple(offer for entry in hosts for offer in sides.offers(entry, kind))
        return Candidates(self.position, source, offers, self.rules, self._tried(source, offers))

    def loading(self, form: str) -> Offers:
        """Every offer whose build is known to load a stream format, by hostname, host, parent, type."""
        sides = self.sides()
        entries = sorted(self.directory.entries(), key=_by_hostname)
        offers = (offer for entry in entries if self._loads(entry, form) for offer in sides.offers(entry))
        fitting = (each for each in offers if isinstance(each.support, StreamSupport) and each.support.format == form)
        return Offers(self.position, tuple(fitting), self.rules)

    def rule_list(self) -> RuleList:
        """Every operators' rule that is known."""
        return RuleList(self.position, self.rules)

    @property
    def rules(self) -> tuple[Rule, ...]:
        """Every operators' rule that is known, in force or not, oldest first."""
        return tuple(self.knowledge.rules.values())

    def sides(self) -> Sides:
        """Makes facts of entries, for one question."""
        return Sides(self.heard, self.knowledge)

    def kind_and_host(self, source: Source) -> tuple[Kind, HostEntry]:
        """The kind of a source, and its host."""
        if isinstance(source, DeviceRef):
            return source.kind, self.directory.host(source.host)
        entry, slot = source
        return entry.layout.slots[slot][1], entry

    def _tried(self, source: Side, offers: tuple[Side, ...]) -> tuple[OutcomeReport, ...]:
        return self.knowledge.tried_between(source.digest, (offer.digest for offer in offers))

    def _side(self, source: Source, sides: Sides) -> Side:
        if isinstance(source, DeviceRef):
            return sides.device(self.directory.host(source.host), source)
        entry, slot = source
        return sides.offer(entry, slot)

    def _ordered(self, kind: str) -> list[HostEntry]:
        """The hosts that offer a type, by hostname, then id."""
        return sorted(self.entries_offering(self.types.get(kind, NO_GROUPS)), key=_by_hostname)

    def entries_offering(self, groups: TypeGroups) -> Iterator[HostEntry]:
        """The hosts in some groups, in their order."""
        for group in groups.groups.values():
            for names in group.sites.values():
                yield from map(self.directory.named, names)

    def _loads(self, entry: HostEntry, form: str) -> bool:
        return any(self._form(kind) == form for kinds in entry.layout.by_type.values() for kind, _ in kinds)

    def _form(self, kind: Kind) -> str | None:
        found = self.knowledge.support(kind.digest, kind.profile)
        return found.format if isinstance(found, StreamSupport) else None


def _by_hostname(entry: HostEntry) -> tuple[str, str]:
    return (entry.hostname, entry.host)
