"""Who is in a campaign, in SQL: the hosts that matched its selector since it began, and what they had since then.

The keys of a selector that are about what is there are looked for among the profiles, of which there are few; rows are
read only of those. A place counts from the first to the last time that it matched: gaps in between make no difference.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any

import msgspec
import sqlalchemy as sa

from mdevreg.campaigns import Campaign
from mdevreg.facts import Evidence, Side
from mdevreg.profiles import Profile
from mdevreg.progress import Member, Place, Stay
from mdevreg.records import DriverBuild
from mdevreg.rules import Scope
from mdevreg.scopes import covers
from mdevreg.timeline import OPEN
from mdevreg.times import micros
from mdevreg_server import tables
from mdevreg_server.among import among
from mdevreg_server.asking import At
from mdevreg_server.looking import within
from mdevreg_server.reach import lasting_in
from mdevreg_server.tables import Device, HostFact, Offer, Parent, table_of

_profile = msgspec.json.Decoder(Profile)
#: Keys of a selector that profiles answer; the others are of hosts, parents and devices.
_OF_PROFILES = ("type", "device_api", "driver", "kernel_release", "version", "srcversion", "build_id")

#: host, path of the parent.
Spot = tuple[str, str]
Span = tuple[int, int]


class Window(msgspec.Struct, frozen=True):
    """The time of a campaign up to a moment, as known then. Times in µs UTC, both included."""

    when: At
    since_us: int
    until_us: int

    def rows(self, table: Any, *columns: str, which: Iterable[sa.ColumnElement[bool]] = ()) -> sa.Subquery:
        """Rows of an interval table that held at some time of it; ``to_us``: until when, as was known."""
        when, core = self.when, table_of(table)
        ended = sa.case((core.c.ended_at > when.known_at, OPEN), else_=core.c.valid_to_us)
        mine = [
            core.c.valid_from_us <= self.until_us,
            ended > self.since_us,
            core.c.system_from <= when.known_at,
            core.c.system_to > when.known_at,
            *which,
        ]
        near = lasting_in(self.since_us, self.until_us, when.known_us)
        found = within(core, near, *mine, name=f"{core.name}_since", laterally=when.laterally).subquery()
        to_us = sa.case((found.c.ended_at > when.known_at, OPEN), else_=found.c.valid_to_us).label("to_us")
        return sa.select(*(found.c[name] for name in columns), found.c.valid_from_us, to_us).subquery()


def window_of(campaign: Campaign, when: At, clock: datetime) -> Window | None:
    """From its beginning to the moment, or to its end if that was before; ``None``: it has not begun, or never did.

    ``clock``: the moment as a time.
    """
    if campaign.state(clock) == "to_come" or campaign.ended == campaign.begins:
        return None
    until_us = when.as_of if campaign.ended is None else min(when.as_of, micros(campaign.ended))
    return Window(when, micros(campaign.begins), until_us)


def members_of(connection: sa.Connection, campaign: Campaign, window: Window) -> list[Member]:
    """The hosts of a campaign."""
    joined = _joined(connection, campaign.where, window)
    if not joined:
        return []
    names = _names(connection, window)
    offered, stays = _offered(connection, window, joined), _stays(connection, window, joined)
    places: dict[str, list[Place]] = {}
    for spot, at_us in sorted(joined.items()):
        place = Place(spot[1], at_us, offered.get(spot, 0), tuple(stays.get(spot, ())))
        places.setdefault(spot[0], []).append(place)
    return [Member(host, *names.get(host, (host, None)), tuple(found)) for host, found in places.items()]


def _joined(connection: sa.Connection, where: Scope, window: Window) -> dict[Spot, int]:
    """Since when each place is in the campaign."""
    digests = _digests(connection, where)
    hosts = _hosts(connection, where, window)
    parents = _parents(connection, where, window)
    found: dict[Spot, int] = {}
    for table in (Offer, Device) if not where.device else (Device,):
        for row in _matching(connection, table, window, digests, where):
            if parents is not None and (row.host, row.path) not in parents:
                continue
            spans = [(0, OPEN)] if hosts is None else hosts.get(row.host, [])
            begins = [max(first, row.first_us, window.since_us) for first, last in spans if _meet(first, last, row)]
            if begins:
                spot = (row.host, row.path)
                found[spot] = min(*begins, found.get(spot, OPEN))
    return {spot: at_us for spot, at_us in found.items() if at_us <= window.until_us}


def _meet(first: int, last: int, row: Any) -> bool:
    return bool(first < row.last_us and row.first_us < last)


def _digests(connection: sa.Connection, where: Scope) -> list[str]:
    """The profiles that a selector is about."""
    about = Scope(**{key: getattr(where, key) for key in _OF_PROFILES})
    nobody = Evidence("", "")
    rows = connection.execute(sa.select(tables.Profile.digest, tables.Profile.body))
    return [row.digest for row in rows if covers(about, Side(nobody, "", _profile.decode(row.body)))]


def _matching(
    connection: sa.Connection, table: type[Offer | Device], window: Window, digests: list[str], where: Scope
) -> Iterator[Any]:
    """From when to when a place had what the selector is about."""
    core = table_of(table)
    columns = ("host", "path", "name") if where.device else ("host", "path")
    there = window.rows(table, *columns, which=[among(connection, core.c.profile, digests)])
    first, last = sa.func.min(there.c.valid_from_us), sa.func.max(there.c.to_us)
    key = [there.c[column] for column in columns]
    wanted = sa.select(*key, first.label("first_us"), last.label("last_us")).group_by(*key)
    for row in connection.execute(wanted):
        if not where.device or any(fnmatchcase(row.name, pattern) for pattern in where.device):
            yield row


def _hosts(connection: sa.Connection, where: Scope, window: Window) -> dict[str, list[Span]] | None:
    """When each host was one that the selector names; ``None``: it names none."""
    if not (where.host or where.site):
        return None
    there = window.rows(HostFact, "host", "hostname", "site")
    found: dict[str, list[Span]] = {}
    for row in connection.execute(sa.select(there)):
        named = not where.host or _fits(where.host, (row.host, row.hostname))
        if named and (not where.site or _fits(where.site, (row.site,))):
            found.setdefault(row.host, []).append((row.valid_from_us, row.to_us))
    return found


def _parents(connection: sa.Connection, where: Scope, window: Window) -> set[Spot] | None:
    if not where.parent:
        return None
    there = window.rows(Parent, "host", "path", "name")
    return {(row.host, row.path) for row in connection.execute(sa.select(there)) if _fits(where.parent, (row.name,))}


def _fits(patterns: Iterable[str], values: Iterable[str | None]) -> bool:
    wanted = tuple(patterns)
    return any(value is not None and fnmatchcase(value, pattern) for value in values for pattern in wanted)


def _names(connection: sa.Connection, window: Window) -> dict[str, tuple[str, str | None]]:
    """The last name and site of each host."""
    there = window.rows(HostFact, "host", "hostname", "site")
    rows = connection.execute(sa.select(there).order_by(there.c.valid_from_us))
    return {row.host: (row.hostname, row.site) for row in rows}


def _offered(connection: sa.Connection, window: Window, joined: dict[Spot, int]) -> dict[Spot, int]:
    """Until when anything was offered at a place, or a device was there."""
    found: dict[Spot, int] = {}
    for table in (Offer, Device):
        there = window.rows(table, "host", "path")
        wanted = sa.select(there.c.host, there.c.path, sa.func.max(there.c.to_us).label("to_us"))
        for row in connection.execute(wanted.group_by(there.c.host, there.c.path)):
            if (spot := (row.host, row.path)) in joined:
                found[spot] = max(row.to_us, found.get(spot, 0))
    return found


def _stays(connection: sa.Connection, window: Window, joined: dict[Spot, int]) -> dict[Spot, list[Stay]]:
    """What was bound at each place; the same build is one object."""
    fields = DriverBuild.__struct_fields__
    builds: dict[tuple[Any, ...], DriverBuild] = {}
    found: dict[Spot, list[Stay]] = {}
    there = window.rows(tables.DriverBuild, "host", "path", *fields)
    for row in connection.execute(sa.select(there)):
        if (row.host, row.path) not in joined:
            continue
        key = tuple(getattr(row, field) for field in fields)
        build = builds.get(key) or builds.setdefault(key, DriverBuild(**dict(zip(fields, key, strict=True))))
        found.setdefault((row.host, row.path), []).append(Stay(build, row.valid_from_us, row.to_us))
    return found
