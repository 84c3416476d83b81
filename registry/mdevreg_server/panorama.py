"""The whole fleet at a moment, now or then, as the index that replicas have: made of what a registry would publish."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from msgspec import json

from mdevreg import subjects
from mdevreg.fleet import Fleet, FleetView
from mdevreg.objects import Key, Value
from mdevreg.published import FLEET_SCHEMA, HostState, Presence, bucket_of, index_of
from mdevreg.records import EMPTY_DIGEST
from mdevreg.times import moment_of
from mdevreg_server import tables
from mdevreg_server.amendments import MINE
from mdevreg_server.asking import LATEST, At
from mdevreg_server.evidence import columns_of, joined
from mdevreg_server.tables import Base, Device, DriverBuild, HostFact, Offer, Parent, RecordLog

#: What a state says of the agent; nobody's receipt is made of it.
_EPOCH = "then"

#: The tables of what a parent has: the column that names it, and those of its value.
_KINDS: tuple[tuple[str, type[Base], str, tuple[str, ...]], ...] = (
    ("offer", Offer, "type", ("profile",)),
    ("device", Device, "name", ("kind", "type", "profile", "iommu_group")),
    ("driver", DriverBuild, "name", ("module", "kernel_release", "version", "srcversion", "build_id")),
)

_Objects = dict[str, dict[Key, Value]]


def view_at(connection: sa.Connection, when: At, now_us: int) -> FleetView:
    """The fleet at a moment. ``now_us``: its time, µs UTC; of the past all facts count as fresh."""
    fleet = Fleet()
    fleet.apply(_messages(connection, when, now_us), now_us=now_us)
    fleet.view.position = when.position
    return fleet.view


def _messages(connection: sa.Connection, when: At, now_us: int) -> Iterator[tuple[str, bytes]]:
    """As a reader finds them who starts at that moment."""
    for position, body in connection.execute(_believed(when)):
        yield subjects.fleet_amendment(position, 0), body
    for digest, body in connection.execute(sa.select(tables.Profile.digest, tables.Profile.body)):
        yield subjects.fleet_profile(digest), body.encode()
    objects = _objects(connection, when)
    seen: dict[int, dict[str, Any]] = {}
    for row in connection.execute(_hosts(when)):
        yield subjects.fleet_host(row.host), json.encode(_state(row, objects.get(row.host, {}), when))
        if when.historical or row.last_seen_us is not None:
            seen.setdefault(bucket_of(row.host), {})[row.host] = row
    for bucket, rows in seen.items():
        yield subjects.fleet_presence(bucket), json.encode(_presence(rows, when, now_us))


def _believed(when: At) -> Any:
    known = sa.select(RecordLog.position, RecordLog.body).where(*MINE)
    if when.known_at != LATEST:
        known = known.where(RecordLog.position <= when.known_at)
    return known.order_by(RecordLog.position)


def _hosts(when: At) -> Any:
    facts = when.rows(HostFact)
    return sa.select(*columns_of(facts), facts.kernel_release).select_from(joined(facts, when))


def _objects(connection: sa.Connection, when: At) -> dict[str, _Objects]:
    """What hosts have, by host and path; each kind in the order in which records have it."""
    found: dict[str, _Objects] = {}
    parent = when.rows(Parent)
    for row in connection.execute(sa.select(parent.host, parent.path, parent.name, parent.position, parent.free)):
        found.setdefault(row.host, {})[row.path] = {("parent", row.path): (row.name, row.position, row.free)}
    for kind, table, name, values in _KINDS:
        rows: Any = when.rows(table)
        columns = [getattr(rows, column) for column in ("host", "path", name, *values)]
        for host, path, named, *value in connection.execute(sa.select(*columns).order_by(*columns[:3])):
            there = found.get(host, {}).get(path)
            if there is not None:
                there[kind, path, named] = tuple(value)
    return found


def _state(row: Any, objects: _Objects, when: At) -> HostState:
    mine: _Objects = dict(objects)
    if row.hostname is not None:
        mine[""] = {("host",): (row.hostname, row.site, row.kernel_release, 0)}
    changed_us = row.valid_from_us if when.historical else row.valid_at_us
    return HostState(
        schema=FLEET_SCHEMA,
        host=row.host,
        epoch=_EPOCH,
        seq=0,
        digest=EMPTY_DIGEST,
        position=0,
        observed_at=None if changed_us is None else moment_of(changed_us),
        in_sync=bool(row.in_sync) or when.historical,
        index=index_of(mine),
    )


def _presence(rows: dict[str, Any], when: At, now_us: int) -> Presence:
    if when.historical:
        return Presence(schema=FLEET_SCHEMA, seen_us=dict.fromkeys(rows, now_us))
    return Presence(
        schema=FLEET_SCHEMA,
        seen_us={host: row.last_seen_us for host, row in rows.items()},
        leaving=tuple(host for host, row in rows.items() if row.leaving),
        conflicts=tuple(host for host, row in rows.items() if row.conflict is not None),
        skew_us={host: row.skew_beyond_us for host, row in rows.items() if row.skew_beyond_us is not None},
    )
