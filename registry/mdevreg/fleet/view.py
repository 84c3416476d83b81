"""The fleet at one moment: every question about now, answered from memory. Never changed; safe to use from any thread.

A verdict is made once per pair of kinds by ``judge`` (``mdevreg.fleet.table``); here it is looked up. Where a question
is not that simple (a type by its path, a host with several parents of other kinds), the facts are put together and
judged as by every other door.
"""

from __future__ import annotations

from msgspec import structs

from mdevreg.answering import answer_of, brief_of
from mdevreg.compatibility import Rules
from mdevreg.errors import UsageError
from mdevreg.fleet.entries import DeviceRef, HostEntry, most_free
from mdevreg.fleet.factual import FleetFacts
from mdevreg.fleet.groups import NO_GROUPS, Moves, TypeGroups
from mdevreg.fleet.heard import Heard, dictionaries
from mdevreg.fleet.kinds import Kind
from mdevreg.fleet.lookup import Directory
from mdevreg.fleet.matrix import Accepted, Matrix, accepted_by, matrix_of
from mdevreg.fleet.plans import plan_of
from mdevreg.fleet.shards import MASK
from mdevreg.fleet.table import OUT_OF_SYNC, RulingTable
from mdevreg.fleet.targets import ORDERS, Order, Question, TargetList
from mdevreg.rules import FLEET, Scope
from mdevreg.rulings import Brief, Ruling
from mdevreg.times import moment_of
from mdevreg.verdict import RANK, Outcome


class FleetView(FleetFacts):
    """A snapshot. ``position``: the log position that it is of.

    ``stale_after_us``: the silence after which facts are unknown, unless a question says otherwise.
    ``sound_until_us``: until then the grouping by good facts holds; later, questions about many hosts look at each.
    """

    __slots__ = (
        "_devices",
        "_names",
        "_seen",
        "sound_until_us",
        "stale_after_us",
        "table",
    )

    def __init__(
        self,
        directory: Directory,
        *,
        types: dict[str, TypeGroups],
        heard: list[Heard],
        table: RulingTable,
        position: int,
        stale_after_us: int,
        sound_until_us: int,
        seen: list[dict[str, int]] | None = None,
    ) -> None:
        super().__init__(directory, types=types, heard=heard, knowledge=table.knowledge, position=position)
        self.table, self.stale_after_us, self.sound_until_us = table, stale_after_us, sound_until_us
        self._names, self._devices = directory.names.parts, directory.devices.parts
        self._seen = seen if seen is not None else dictionaries(heard)

    @property
    def seen(self) -> list[dict[str, int]]:
        """When hosts were last heard, by ``HostEntry.pulse``: to be handed on to a view that heard nobody else."""
        return self._seen

    def can_migrate(self, device: str, to: str, *, now_us: int, max_age_us: int | None = None) -> Brief:
        """Can this device's migration stream be loaded on that host?

        ``device``, ``to``: as in ``mdevreg.query.can_migrate``. ``now_us``: µs UTC; facts that are older than
        ``max_age_us`` are unknown. Raises ``NotFoundError``, or ``UsageError`` for an ambiguous name.
        """
        source = self._devices[hash(device) & MASK].get(device)
        target = self._names[hash(to) & MASK].get(to)
        if source.__class__ is not DeviceRef or target.__class__ is not HostEntry:
            return self._at_length(device, to, now_us, max_age_us)
        age_us = self.stale_after_us if max_age_us is None else max_age_us
        here = self._seen[source.pulse].get(source.host, 0)
        there = self._seen[target.pulse].get(target.host, 0)
        oldest, table = here if here < there else there, self.table  # noqa: FURB136  (a call less, in the hottest place)
        if oldest < now_us - age_us or not table.from_us <= now_us < table.until_us:
            return self._doubtful(source, target, now_us, age_us)
        kinds = target.layout.by_type.get(source.kind.type)
        if kinds is None:
            ruling, free = table.nothing.get(source.kind), None
            if ruling is None or target.changed_at is None:
                ruling = table.absent(source.kind, reported=target.changed_at is not None)
        elif len(kinds) == 1:
            kind, slots = kinds[0]
            row = table.sound.get(source.kind)
            ruling = row.get(kind) if row is not None else None
            if ruling is None:
                ruling = table.ruling(source.kind, kind)
            free = target.free[slots[0]] if len(slots) == 1 else most_free(target.free, slots)
        else:
            return self._at_length(device, to, now_us, max_age_us)
        silent_us = now_us - oldest if oldest < now_us else 0
        return Brief(ruling, free, silent_us / 1e6, (oldest + age_us - now_us) / 1e6, self.position)

    def targets(
        self,
        device: str,
        *,
        now_us: int,
        site: str | None = None,
        available: bool = True,
        order: Order = "group",
        max_age_us: int | None = None,
    ) -> TargetList:
        """Which hosts could take this device? Its own host is left out. ``available``: without hosts that are full.

        Nothing is gathered before it is asked for: see ``TargetList``. Raises ``NotFoundError``, ``UsageError``.
        """
        if order not in ORDERS:
            raise UsageError(f"{order!r} is no order; expected one of: {', '.join(ORDERS)}")
        ref = self._devices[hash(device) & MASK].get(device)
        if ref.__class__ is DeviceRef:
            kind, own = ref.kind, self.directory.named(ref.host)
        else:
            kind, own = self.kind_and_host(self.directory.source(device))
        age_us = self.stale_after_us if max_age_us is None else max_age_us
        asked = Question(self, self.table_at(now_us), kind, own, now_us, age_us)
        asked.site, asked.available, asked.order = site, available, order
        if self._seen[own.pulse].get(own.host, 0) < now_us - age_us:
            asked.doubts = self.doubts(own, now_us - age_us)
        groups = self.types.get(kind.type, NO_GROUPS)
        if age_us != self.stale_after_us or now_us >= self.sound_until_us:
            groups, asked.own_sound = self._regrouped(groups, kind.type, now_us - age_us), not asked.doubts
        return TargetList(asked, groups, plan_of(asked.table, kind, asked.doubts, groups.keys), Outcome.COMPATIBLE)

    def accepting(self, host: str, *, now_us: int) -> tuple[Accepted, ...]:
        """What would become of each kind of the fleet at a host that offers its type. Raises ``NotFoundError``."""
        return tuple(accepted_by(self, self.directory.host(host), now_us=now_us))

    def matrix(self, sources: Scope = FLEET, targets: Scope = FLEET, *, now_us: int) -> Matrix:
        """Every kind that some hosts offer against every kind of its type that others do.

        A scope's ``device`` selects nothing here: offers are no devices.
        """
        return matrix_of(self, sources, targets, now_us=now_us)

    def best_at(self, entry: HostEntry, source: Kind, table: RulingTable, doubts: int) -> tuple[Ruling, int | None]:
        """What becomes of a kind of sources, on a host with good facts, at the best offer of a host, and its capacity.

        ``doubts``: about the target's facts. Requires that the host offers its type.
        """
        ruled = [
            (table.ruling(source, kind, 0, doubts), most_free(entry.free, slots))
            for kind, slots in entry.layout.by_type[source.type]
        ]
        return min(ruled, key=lambda each: (RANK[each[0].outcome], -(each[1] or 0)))

    def table_at(self, now_us: int) -> RulingTable:
        """The rulings under the rules that are in force at a time."""
        if self.table.from_us <= now_us < self.table.until_us:
            return self.table
        return RulingTable(self.knowledge, moment_of(now_us))

    def doubts(self, entry: HostEntry, since_us: int) -> int:
        """The doubts about a host that had to be heard since then, as bits."""
        found = self.heard[entry.bucket].doubts(entry.host, since_us)
        return found if entry.in_sync else found | OUT_OF_SYNC

    def brief(
        self, ruling: Ruling, hosts: tuple[HostEntry, HostEntry], free: int | None, *, now_us: int, age_us: int
    ) -> Brief:
        """A ruling with what is to be known beside it: how old the facts of both hosts are."""
        heard = [self.heard[entry.bucket] for entry in hosts]
        seen = [each.last_seen_us(entry.host) for each, entry in zip(heard, hosts, strict=True)]
        known = [each for each in seen if each is not None]
        if len(known) < len(seen):
            return Brief(ruling, free, None, None, self.position)
        leaving = any(each.leaving(entry.host) for each, entry in zip(heard, hosts, strict=True))
        lasting = None if leaving else max(0, min(known) + age_us - now_us) / 1e6
        return Brief(ruling, free, max(0, now_us - min(known)) / 1e6, lasting, self.position)

    def _doubtful(self, source: DeviceRef, target: HostEntry, now_us: int, age_us: int) -> Brief:
        """The same look-up where a host's facts are not good, or rules came into force or ended."""
        home, table = self.directory.host(source.host), self.table_at(now_us)
        here, there = (self.doubts(entry, now_us - age_us) for entry in (home, target))
        kinds = target.layout.by_type.get(source.kind.type)
        if kinds is None:
            reported = target.changed_at is not None
            ruling, free = table.absent(source.kind, reported=reported, source_doubts=here, target_doubts=there), None
        elif len(kinds) == 1:
            kind, slots = kinds[0]
            ruling, free = table.ruling(source.kind, kind, here, there), most_free(target.free, slots)
        else:
            return self._at_length(f"{source.host}/{source.name}", target.host, now_us, age_us)
        return self.brief(ruling, (home, target), free, now_us=now_us, age_us=age_us)

    def _regrouped(self, standing: TypeGroups, kind: str, since_us: int) -> TypeGroups:
        """The groups of a type, made for one question, where the standing ones do not hold for it."""
        moves = Moves()
        for entry in self.entries_offering(standing):
            only = tuple(offering for offering in entry.members if offering.type == kind)
            moves.move(None, structs.replace(entry, members=only, sound=not self.doubts(entry, since_us)))
        return moves.carried_out({}).get(kind, NO_GROUPS)

    def _at_length(self, device: str, to: str, now_us: int, max_age_us: int | None) -> Brief:
        """Facts first, then ``judge``: for names that take more than one look."""
        host, _, rest = to.partition("/")
        age_us = self.stale_after_us if max_age_us is None else max_age_us
        now = moment_of(now_us)
        rules = Rules(stale_after_s=age_us / 1e6)
        return brief_of(answer_of(self.pair(device, host), rest, now=now, rules=rules))
