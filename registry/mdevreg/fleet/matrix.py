"""The fleet at the level of kinds: which accept which, and how many hosts have them. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec
from msgspec import structs

from mdevreg.facts import Side
from mdevreg.fleet.entries import HostEntry
from mdevreg.fleet.kinds import Kind
from mdevreg.fleet.namelist import NameList
from mdevreg.records import DriverBuild
from mdevreg.rules import FLEET, Scope
from mdevreg.rulings import Ruling
from mdevreg.scopes import covers
from mdevreg.support import Support

if TYPE_CHECKING:
    from mdevreg.fleet.view import FleetView


class KindSummary(msgspec.Struct, frozen=True):
    """One kind of sides: a type under a driver build, with what it saves and loads.

    ``profile``: the digest of its profile. Several kinds have one profile where operators' rules tell places apart.
    ``hosts``: that offer it, ``available``: of them with a free instance, or whose capacity is not known.
    """

    type: str
    profile: str
    driver: DriverBuild | None
    support: Support
    hosts: int
    available: int


class Cell(msgspec.Struct, frozen=True):
    """What becomes of one kind at another, where the facts of both hosts are good."""

    source: int  # place in ``Matrix.sources``
    target: int  # place in ``Matrix.targets``
    ruling: Ruling


class Matrix(msgspec.Struct, frozen=True):
    """Every kind of some hosts against every kind of the same type of others."""

    sources: tuple[KindSummary, ...]
    targets: tuple[KindSummary, ...]
    cells: tuple[Cell, ...]
    position: int


class Accepted(msgspec.Struct, frozen=True):
    """What becomes of one kind of sources at a host. ``available_instances``: there, of the type."""

    source: KindSummary
    ruling: Ruling
    available_instances: int | None


class _Count:
    """Hosts that offer a kind, and those of them that are not full."""

    __slots__ = ("available", "hosts")

    def __init__(self) -> None:
        self.hosts = self.available = 0


def matrix_of(view: FleetView, sources: Scope, targets: Scope, *, now_us: int) -> Matrix:
    """See ``FleetView.matrix``."""
    table = view.table_at(now_us)
    rows, columns = _kinds(view, sources), _kinds(view, targets)
    cells = (
        Cell(row, column, table.ruling(source, target))
        for row, source in enumerate(rows)
        for column, target in enumerate(columns)
        if source.type == target.type
    )
    return Matrix(_summaries(view, rows), _summaries(view, columns), tuple(cells), view.position)


def accepted_by(view: FleetView, entry: HostEntry, *, now_us: int) -> Iterator[Accepted]:
    """See ``FleetView.accepting``."""
    table = view.table_at(now_us)
    doubts = view.doubts(entry, now_us - view.stale_after_us)
    kinds = {kind: count for kind, count in _kinds(view, FLEET).items() if kind.type in entry.layout.by_type}
    for (kind, _), summary in zip(kinds.items(), _summaries(view, kinds), strict=True):
        ruling, free = view.best_at(entry, kind, table, doubts)
        yield Accepted(summary, ruling, free)


def _kinds(view: FleetView, scope: Scope) -> dict[Kind, _Count]:
    """The kinds in a scope, by type and profile, with how many hosts have them."""
    found: dict[Kind, _Count] = {}
    for groups in view.types.values():
        for (offering, _), group in groups.groups.items():
            for kind, free in offering.kinds:
                hosts = sum(_covered(view, scope, kind, site, names) for site, names in group.sites.items())
                if hosts:
                    count = found.setdefault(kind, _Count())
                    count.hosts += hosts
                    count.available += hosts if free else 0
    return dict(sorted(found.items(), key=lambda item: (item[0].type, item[0].order)))


def _covered(view: FleetView, scope: Scope, kind: Kind, site: str, names: NameList) -> int:
    """How many of a group's hosts at a site are in a scope, as far as one kind goes."""
    if scope == FLEET:
        return names.count
    if not (scope.host or scope.parent):
        here = structs.replace(kind.sample, evidence=structs.replace(kind.sample.evidence, site=site or None))
        return names.count if covers(scope, here) else 0
    entries = map(view.directory.named, names)
    return sum(any(covers(scope, side) for side in _sides(view, entry, kind)) for entry in entries)


def _sides(view: FleetView, entry: HostEntry, kind: Kind) -> Iterator[Side]:
    sides = view.sides()
    for slot in next(slots for each, slots in entry.layout.by_type[kind.type] if each is kind):
        yield sides.offer(entry, slot)


def _summaries(view: FleetView, kinds: dict[Kind, _Count]) -> tuple[KindSummary, ...]:
    return tuple(
        KindSummary(
            type=kind.type,
            profile=kind.digest,
            driver=kind.profile.driver,
            support=view.knowledge.support(kind.digest, kind.profile),
            hosts=count.hosts,
            available=count.available,
        )
        for kind, count in kinds.items()
    )
