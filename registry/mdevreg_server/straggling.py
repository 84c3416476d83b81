"""Hosts that have a driver and not yet the build of it that is wanted, from SQL: one pass over what runs."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

import sqlalchemy as sa

from mdevreg.errors import NotFoundError, UsageError
from mdevreg.nearest import nearest
from mdevreg.query.names import possible
from mdevreg.records import ModuleFile
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
    differs,
    loaded_from,
)
from mdevreg.wire import decode_parent
from mdevreg_server import tables
from mdevreg_server.among import among
from mdevreg_server.asking import At
from mdevreg_server.hosts import document_in
from mdevreg_server.runs import Named, in_some, names_of, runs_at
from mdevreg_server.tables import RecordLog
from mdevreg_server.telling import Words

#: host and path of a parent
_Place = tuple[str, str]


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
        stragglers=tuple(each for each in _told(connection, asked, page, when) if each.half or not asked.half),
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


def _told(connection: sa.Connection, asked: StragglersAsked, page: list[Behind], when: At) -> Iterator[Straggler]:
    names = names_of(connection, when, (each.host for each in page))
    devices, files = _devices(connection, page, when), _files(connection, page, when)
    words = Words(connection, when)
    for each in page:
        named = names.get(each.host, Named(each.host))
        found = [(run, file) for run in each.runs if (file := files.get((each.host, run.path), {}).get(_module(run)))]
        other = [(run, file) for run, file in found if differs(file, run.build)]
        yield Straggler(
            host=each.host,
            hostname=named.hostname,
            builds=each.builds,
            since=each.since,
            parents=tuple(sorted(words.parent(each.host, path) for path in each.paths)),
            site=named.site,
            upgraded=each.upgraded,
            devices=sum(devices.get((each.host, path), 0) for path in each.paths),
            half=sum(asked.wanted.is_met_by(loaded_from(file, run.build)) for run, file in other),
            on_disk=tuple(sorted({file for _, file in other}, key=repr)),
        )


def _module(run: Run) -> str:
    return run.build.module or ""


def _files(connection: sa.Connection, page: list[Behind], when: At) -> dict[_Place, dict[str, ModuleFile]]:
    """The files of parents' modules, by host and path, from their documents; none of those that were pruned."""
    wanted = {(each.host, path) for each in page for path in each.paths}
    found: dict[_Place, dict[str, ModuleFile]] = {}
    for some in in_some([each.host for each in page]):
        there = when.rows(tables.Parent)
        source = sa.join(there, RecordLog, RecordLog.position == there.position)
        told = sa.select(there.host, there.path, there.position, RecordLog.body).select_from(source)
        for row in connection.execute(told.where(among(connection, there.host, some))):
            if row.body and (row.host, row.path) in wanted:
                found[row.host, row.path] = decode_parent(document_in(row.body, row.position).raw).modules
    return found


def _devices(connection: sa.Connection, page: list[Behind], when: At) -> dict[_Place, int]:
    """How many devices there are, by host and path."""
    found: dict[_Place, int] = {}
    for some in in_some([each.host for each in page]):
        there = when.rows(tables.Device)
        counted = sa.select(there.host, there.path, sa.func.count().label("devices")).where(
            among(connection, there.host, some)
        )
        rows = connection.execute(counted.group_by(there.host, there.path))
        found |= {(row.host, row.path): row.devices for row in rows}
    return found
