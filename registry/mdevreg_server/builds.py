"""The driver builds of a fleet at a moment, and how many hosts run each."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from mdevreg.facts import DriverSpread
from mdevreg.records import DriverBuild
from mdevreg_server import tables
from mdevreg_server.asking import At


def spread_of(connection: sa.Connection, when: At) -> tuple[DriverSpread, ...]:
    """By name, then most hosts first."""
    table = when.rows(tables.DriverBuild)
    build = (table.name, table.module, table.kernel_release, table.version, table.srcversion, table.build_id)
    many = (sa.func.count(table.host.distinct()).label("hosts"), sa.func.count().label("parents"))
    rows = list(connection.execute(sa.select(*build, *many).group_by(*build)))
    return tuple(sorted((_spread(row) for row in rows), key=_by_name))


def _spread(row: Any) -> DriverSpread:
    build = DriverBuild(
        name=row.name,
        module=row.module,
        kernel_release=row.kernel_release,
        version=row.version,
        srcversion=row.srcversion,
        build_id=row.build_id,
    )
    return DriverSpread(build, row.hosts, row.parents)


def _by_name(spread: DriverSpread) -> tuple[str, int, str]:
    return (spread.build.name, -spread.hosts, repr(spread.build))
