"""Hosts that may be in a scope, found before anything is worked out of them: a scope that fits few must cost little."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from mdevreg.rules import Scope
from mdevreg.scopes import fits
from mdevreg_server.asking import At
from mdevreg_server.tables import HostFact, Offer


def hosts_within(connection: sa.Connection, scope: Scope, when: At) -> set[str] | None:
    """At least the hosts that were ever in a scope up to a moment, by name, site and types; ``None``: of the fleet."""
    found = list(_parts(connection, scope, when))
    return set.intersection(*found) if found else None


def _parts(connection: sa.Connection, scope: Scope, when: At) -> Iterator[set[str]]:
    if scope.host or scope.site:
        named = Scope(host=scope.host, site=scope.site)
        wanted = sa.select(HostFact.host, HostFact.hostname, HostFact.site).where(*_known(HostFact, when)).distinct()
        rows = connection.execute(wanted)
        yield {row.host for row in rows if fits(named, {"host": (row.host, row.hostname), "site": (row.site,)})}
    if scope.type:
        types = connection.scalars(sa.select(Offer.type).distinct())
        meant = [kind for kind in types if fits(Scope(type=scope.type), {"type": (kind,)})]
        offered = sa.select(Offer.host).where(Offer.type.in_(meant), *_known(Offer, when)).distinct()
        yield set(connection.scalars(offered)) if meant else set()


def _known(table: Any, when: At) -> tuple[sa.ColumnElement[bool], ...]:
    return (table.system_from <= when.known_at, table.system_to > when.known_at)
