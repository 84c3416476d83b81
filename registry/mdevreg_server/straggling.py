"""Hosts that have a driver and not yet the build of it that is wanted, from SQL: one pass over what runs."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

import sqlalchemy as sa

from mdevreg.errors import NotFoundError, UsageError
from mdevreg.nearest import nearest
from mdevreg.query.names import possible
from mdevreg.rules import FLEET
from mdevreg.runs import Run
from mdevreg.scopes import fits, told_of
from mdevreg.stragglers import (
    MAX_STRAGGLERS,
    Behind,
    Straggler,
    Stragglers,
    StragglersAsked,
    behind,
    check_scope,
    concerns,
)
from mdevreg_server import tables
from mdevreg_server.among import among
from mdevreg_server.asking import At
from mdevreg_server.runs import Named, in_some, names_of, runs_at
from mdevreg_server.telling import Words


def stragglers_at(connection: sa.Connection, asked: StragglersAsked, when: At) -> Stragglers:
    """One page of those at a moment. Raises ``NotFoundError`` for a driver that no host has, ``UsageError``."""
    if not 1 <= asked.limit <= MAX_STRAGGLERS:
        raise UsageError(f"limit is {asked.limit}; 1 to {MAX_STRAGGLERS} hosts make a page")
    check_scope(asked.where)
    hosts, late = 0, []
    for host, runs in _hosts(connection, asked, when):
        hosts += 1
        found = behind(host, runs, asked.wanted)
        late += [] if found is None else [found]
    after = [each for each in sorted(late, key=lambda each: each.host) if each.host > possible(asked.cursor or "")]
    page = after[: asked.limit]
    return Stragglers(
        position=when.position,
        wanted=str(asked.wanted),
        hosts=hosts,
        behind=len(late),
        stragglers=tuple(_told(connection, page, when)),
        next=page[-1].host if len(page) < len(after) else None,
        snapshot=when.snapshot,
    )


def _hosts(connection: sa.Connection, asked: StragglersAsked, when: At) -> Iterator[tuple[str, list[Run]]]:
    """What runs of the driver, by host; of the hosts that are meant."""
    drivers: set[str] = set()
    mine: list[Run] = []
    for run in runs_at(connection, when):
        drivers |= {run.build.name, run.build.module or run.build.name}
        mine += [run] if concerns(asked.wanted, run.build) else []
    if not mine:
        raise NotFoundError("driver", asked.wanted.name, nearest(asked.wanted.name, drivers))
    scoped = asked.where != FLEET
    names = names_of(connection, when, {run.host for run in mine}) if scoped else {}
    for host, group in groupby(mine, key=lambda run: run.host):
        runs, named = list(group), names.get(host, Named(host))
        told = {"host": (host, named.hostname), "site": (named.site,)} | told_of(*(run.build for run in runs))
        if not scoped or fits(asked.where, told):
            yield host, runs


def _told(connection: sa.Connection, page: list[Behind], when: At) -> Iterator[Straggler]:
    names = names_of(connection, when, (each.host for each in page))
    devices = _devices(connection, page, when)
    words = Words(connection, when)
    for each in page:
        named = names.get(each.host, Named(each.host))
        yield Straggler(
            host=each.host,
            hostname=named.hostname,
            builds=each.builds,
            since=each.since,
            parents=tuple(sorted(words.parent(each.host, path) for path in each.paths)),
            site=named.site,
            upgraded=each.upgraded,
            devices=sum(devices.get((each.host, path), 0) for path in each.paths),
        )


def _devices(connection: sa.Connection, page: list[Behind], when: At) -> dict[tuple[str, str], int]:
    """How many devices there are, by host and path."""
    found: dict[tuple[str, str], int] = {}
    for some in in_some([each.host for each in page]):
        there = when.rows(tables.Device)
        counted = sa.select(there.host, there.path, sa.func.count().label("devices")).where(
            among(connection, there.host, some)
        )
        rows = connection.execute(counted.group_by(there.host, there.path))
        found |= {(row.host, row.path): row.devices for row in rows}
    return found
