"""Runs of driver builds, read from their timelines: of some hosts by an index, of the fleet in one pass."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from mdevreg.records import DriverBuild
from mdevreg.runs import Run
from mdevreg.timeline import OPEN
from mdevreg_server.among import among
from mdevreg_server.asking import At
from mdevreg_server.looking import within
from mdevreg_server.reach import begun_in
from mdevreg_server.tables import DriverBuild as Builds
from mdevreg_server.tables import HostFact, table_of

#: Hosts in one statement, and rows that are fetched at once.
SOME = 500
AT_ONCE = 5_000

_BUILD = ("name", "module", "kernel_release", "version", "srcversion", "build_id")
_TABLE = table_of(Builds)


class Named(msgspec.Struct, frozen=True):
    """How a host is called, and where it is."""

    hostname: str
    site: str | None = None


def runs_at(connection: sa.Connection, when: At) -> Iterator[Run]:
    """What runs at a moment, host by host."""
    there = when.rows(Builds)
    columns = [getattr(there, column.name) for column in _TABLE.columns]
    wanted = sa.select(*columns).order_by(there.host, there.path)
    for row in connection.execute(wanted.execution_options(yield_per=AT_ONCE)).mappings():
        yield run_of(row, when)


def runs_upto(connection: sa.Connection, when: At, *which: sa.ColumnElement[bool]) -> Iterator[Run]:
    """What ran up to a moment, as it was known: host by host, of each driver by driver, of each parent by time.

    ``which``: conditions on the table; without one, the whole of it is read once.
    """
    columns = _TABLE.c
    known = (columns.system_from <= when.known_at, columns.system_to > when.known_at)
    wanted = sa.select(_TABLE).where(*known, columns.valid_from_us <= when.as_of, *which)
    ordered = wanted.order_by(columns.host, columns.name, columns.path, columns.valid_from_us)
    for row in connection.execute(ordered.execution_options(yield_per=AT_ONCE)).mappings():
        yield run_of(row, when)


def hosts_begun(
    connection: sa.Connection, when: At, since_us: int, until_us: int, *which: sa.ColumnElement[bool]
) -> list[str]:
    """The hosts on which a run began in ``[since_us, until_us]``, by id."""
    columns = _TABLE.c
    known = (columns.system_from <= when.known_at, columns.system_to > when.known_at)
    laterally = connection.dialect.name == "postgresql"
    found = within(_TABLE, begun_in(since_us, until_us), *known, *which, name="begun", laterally=laterally).subquery()
    return sorted(connection.scalars(sa.select(found.c.host).distinct()))


def run_of(row: Any, when: At) -> Run:
    """A row of the table as a run, as it was known: an end that nobody knew of is none."""
    over = row["ended_at"] <= when.known_at
    return Run(
        host=row["host"],
        path=row["path"],
        build=DriverBuild(**{name: row[name] for name in _BUILD}),
        begin_us=row["valid_from_us"],
        end_us=row["valid_to_us"] if over else OPEN,
        told=row["system_from"],
        ended=row["ended_at"] if over else OPEN,
    )


def in_some(hosts: Sequence[str]) -> Iterator[Sequence[str]]:
    """Hosts, so many at once."""
    for first in range(0, len(hosts), SOME):
        yield hosts[first : first + SOME]


def names_of(connection: sa.Connection, when: At, hosts: Iterable[str]) -> dict[str, Named]:
    """The newest names and sites of hosts up to a moment, as they were known."""
    found: dict[str, Named] = {}
    then = (HostFact.system_from <= when.known_at, HostFact.system_to > when.known_at)
    for some in in_some(sorted(set(hosts))):
        mine = sa.select(HostFact.host, HostFact.hostname, HostFact.site).where(
            among(connection, HostFact.host, some), HostFact.valid_from_us <= when.as_of, *then
        )
        rows = connection.execute(mine.order_by(HostFact.valid_from_us))
        found |= {row.host: Named(row.hostname or row.host, row.site) for row in rows}
    return found
