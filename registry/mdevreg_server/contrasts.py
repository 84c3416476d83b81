"""What differs between two moments, in SQL: rows that hold at one of them and not at the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec
import sqlalchemy as sa

from mdevreg.differing import (
    Decided,
    DeviceValue,
    DifferenceAsked,
    DifferencePage,
    Differing,
    DriverValue,
    EntryDiffering,
    HostName,
    HostValue,
    OfferValue,
    ParentValue,
    Understood,
    Value,
)
from mdevreg.errors import NotFoundError
from mdevreg.knowledge import Knowledge
from mdevreg.profiles import Profile
from mdevreg.query.names import possible
from mdevreg.records import DriverBuild
from mdevreg_server import tables
from mdevreg_server.amendments import MINE, Beliefs
from mdevreg_server.among import among
from mdevreg_server.asking import At
from mdevreg_server.evidence import find_host
from mdevreg_server.intervals import Shape, shapes
from mdevreg_server.tables import INTERVALS, HostFact, RecordLog

#: A page is cut after the host that makes it this long: about half of what a broker allows by default.
ROWS = 2_000

_free = msgspec.json.Decoder(dict[str, int | None])
_profile = msgspec.json.Decoder(Profile)


class Contrast(msgspec.Struct, frozen=True):
    """Two moments, and whose rows count. ``capacity``: free instances count too."""

    begin: At
    end: At
    host: str | None = None
    site: str | None = None
    capacity: bool = False

    def differing(self, kind: str, *which: Callable[[Any], sa.ColumnElement[bool]]) -> sa.Subquery:
        """The rows of a table that hold at one of the moments only; ``at_begin``: at which."""
        table = INTERVALS[kind]
        parts = [
            self._only(table, "begin", which).add_columns(sa.literal(1).label("at_begin")),
            self._only(table, "end", which).add_columns(sa.literal(0).label("at_begin")),
        ]
        return sa.union_all(*parts).subquery()

    def _only(self, table: Any, end: str, which: tuple[Callable[[Any], sa.ColumnElement[bool]], ...]) -> sa.Select[Any]:
        equal = {} if self.host is None else {"host": self.host}
        one, other = (self.begin, self.end) if end == "begin" else (self.end, self.begin)
        there = one.rows(table, name=end, **equal)
        columns = [getattr(there, column.name) for column in table.__table__.columns]
        meant = [*(each(there.host) for each in which), *self._meant(there.host, end)]
        return sa.select(*columns).where(~other.holds_of(there), *meant)

    def _meant(self, host: Any, end: str) -> Iterator[sa.ColumnElement[bool]]:
        if self.site is not None:
            there = [
                at.rows(HostFact, name=f"{end}_site_{name}") for name, at in (("begin", self.begin), ("end", self.end))
            ]
            yield host.in_(sa.union(*(sa.select(each.host).where(each.site == self.site) for each in there)))


def page_of(connection: sa.Connection, contrast: Contrast, asked: DifferenceAsked, beliefs: Beliefs) -> DifferencePage:
    """One page, host by host; the first of all hosts has what was decided too."""
    ends = (contrast.begin, contrast.end)
    rows, following = differing(connection, contrast, possible(asked.cursor or ""), asked.limit)
    names = host_names(connection, contrast, {row.host for row in rows})
    profiles = profiles_of(connection, rows, *(beliefs.at(connection, each.known_at) for each in ends))
    whole = asked.host is None and asked.site is None and asked.cursor is None
    known = (beliefs.at(connection, decided_by(connection, each)) for each in ends)
    position = max(each.position for each in ends)
    return DifferencePage(position, tuple(rows), names, profiles, decided(*known) if whole else None, following)


def differing(
    connection: sa.Connection, contrast: Contrast, after: str, limit: int
) -> tuple[list[Differing], str | None]:
    """What differs on up to ``limit`` hosts after one, and the last of these if there may be more."""
    hosts = _hosts(connection, contrast, after, limit)
    found: dict[str, list[Differing]] = {host: [] for host in hosts}
    for kind, shape in shapes().items():
        for row in _rows(connection, contrast, kind, shape, hosts):
            found[row.host].append(row)
    names = _parents(connection, contrast, hosts)
    told: list[Differing] = []
    for number, host in enumerate(hosts, 1):
        rows = sorted(found[host], key=lambda row: (row.object, row.path, row.name))
        told += [msgspec.structs.replace(row, parent=names.get((host, row.path), "")) for row in rows]
        if len(told) >= ROWS and number < len(hosts):
            return told, host
    return told, hosts[-1] if len(hosts) == limit else None


def host_at_either(connection: sa.Connection, name: str, end: At, begin: At) -> str:
    """The id of a host by its name at the later moment, else at the earlier. Raises ``NotFoundError``."""
    try:
        return find_host(connection, name, end).host
    except NotFoundError:
        return find_host(connection, name, begin).host


def host_names(connection: sa.Connection, contrast: Contrast, hosts: Iterable[str]) -> dict[str, HostName]:
    """How hosts were called, at the later moment if they were there then."""
    found: dict[str, HostName] = {}
    for at in (contrast.begin, contrast.end):
        facts = at.rows(HostFact)
        wanted = sa.select(facts.host, facts.hostname, facts.site)
        rows = connection.execute(wanted.where(among(connection, facts.host, list(hosts))))
        found |= {row.host: HostName(row.hostname, row.site) for row in rows}
    return found


def profiles_of(
    connection: sa.Connection, rows: Iterable[Differing], begin: Knowledge, end: Knowledge
) -> dict[str, Understood]:
    """Whatever profiles rows refer to, as they were understood at both moments."""
    values = [value for row in rows for value in (row.before, row.after)]
    digests = sorted({value.profile for value in values if isinstance(value, (OfferValue, DeviceValue))})
    wanted = sa.select(tables.Profile.digest, tables.Profile.body)
    found = connection.execute(wanted.where(among(connection, tables.Profile.digest, digests)))
    profiles = {row.digest: _profile.decode(row.body) for row in found}
    return {
        digest: Understood(profile, begin.support(digest, profile), end.support(digest, profile))
        for digest, profile in profiles.items()
    }


def decided_by(connection: sa.Connection, at: At) -> int:
    """The position of the last of the registry's own entries that was written, and known, by a moment; 0: none."""
    wanted = sa.select(RecordLog.position).where(*MINE, RecordLog.committed_at_us <= at.as_of)
    last = wanted.where(RecordLog.position <= at.known_at).order_by(RecordLog.seq.desc()).limit(1)
    return connection.scalar(last) or 0


def decided(before: Knowledge, after: Knowledge) -> Decided:
    """What was decided by two moments."""
    entries = [
        EntryDiffering(origin, name, before.entries[origin].get(name), after.entries[origin].get(name))
        for origin in before.entries
        for name in sorted(before.entries[origin].keys() | after.entries[origin].keys())
        if before.entries[origin].get(name) != after.entries[origin].get(name)
    ]
    return Decided(tuple(before.rules.values()), tuple(after.rules.values()), tuple(entries))


def _hosts(connection: sa.Connection, contrast: Contrast, after: str, limit: int) -> list[str]:
    """The next hosts on which rows differ."""
    parts: set[str] = set()
    for kind in INTERVALS:
        host = contrast.differing(kind, lambda host: host > after).c.host
        parts |= set(connection.scalars(sa.select(host).distinct().order_by(host).limit(limit)))
    return sorted(parts)[:limit]


def _rows(
    connection: sa.Connection, contrast: Contrast, kind: str, shape: Shape, hosts: list[str]
) -> Iterator[Differing]:
    found = contrast.differing(kind, lambda host: among(connection, host, hosts))
    ends: dict[tuple[str, ...], list[Value | None]] = {}
    for row in connection.execute(sa.select(found)).mappings():
        pair = ends.setdefault(tuple(row[name] for name in shape.key), [None, None])
        pair[0 if row["at_begin"] else 1] = _value(kind, row, capacity=contrast.capacity)
    for (host, *key), (before, after) in sorted(ends.items()):
        if before != after:
            path, name = (*key, "", "")[:2]
            yield Differing(host, kind, path, "", name, before, after)


def _value(kind: str, row: sa.RowMapping, *, capacity: bool) -> Value:
    match kind:
        case "host":
            return HostValue(row["hostname"], row["site"], row["kernel_release"])
        case "parent":
            return ParentValue(row["name"], _free.decode(row["free"]) if capacity else {})
        case "offer":
            return OfferValue(row["profile"])
        case "device":
            return DeviceValue(row["kind"], row["type"], row["profile"], row["iommu_group"])
    return DriverValue(_build(row))


def _build(row: Any) -> DriverBuild:
    fields = ("name", "module", "kernel_release", "version", "srcversion", "build_id")
    return DriverBuild(**{field: row[field] for field in fields})


def _parents(connection: sa.Connection, contrast: Contrast, hosts: list[str]) -> dict[tuple[str, str], str]:
    """The names of parents by host and path, the later ones where they changed."""
    found: dict[tuple[str, str], str] = {}
    for at in (contrast.begin, contrast.end):
        parent = at.rows(tables.Parent)
        wanted = sa.select(parent.host, parent.path, parent.name)
        rows = connection.execute(wanted.where(among(connection, parent.host, hosts)))
        found |= {(row.host, row.path): row.name for row in rows}
    return found
