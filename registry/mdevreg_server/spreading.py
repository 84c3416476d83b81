"""How driver builds are spread over the fleet at a moment, from SQL: one pass over the rows that hold then."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import sqlalchemy as sa

from mdevreg.distribution import DistributionAsked, DriverShare, Fitted, Standing, shares_of
from mdevreg.profiles import Profile
from mdevreg.records import DriverBuild
from mdevreg.support import Support
from mdevreg_server import tables
from mdevreg_server.asking import At
from mdevreg_server.runs import AT_ONCE, runs_at
from mdevreg_server.sides import Interned

#: host and path of a parent
_Place = tuple[str, str]


def shares_at(
    connection: sa.Connection, asked: DistributionAsked, when: At, interned: Interned
) -> tuple[DriverShare, ...]:
    """The builds of the fleet, counted."""
    bodies = {row.digest: row.body for row in connection.execute(sa.select(tables.Profile.digest, tables.Profile.body))}

    def understand(digest: str) -> tuple[Profile, Support]:
        return interned.get(digest, bodies[digest])

    return shares_of(_standings(connection, asked, when), asked, understand)


def _standings(connection: sa.Connection, asked: DistributionAsked, when: At) -> Iterator[Standing]:
    """Hosts that are alike, counted: there are few ways to stand."""
    builds: dict[str, dict[str, list[DriverBuild]]] = {}
    for run in runs_at(connection, when):
        builds.setdefault(run.host, {}).setdefault(run.path, []).append(run.build)
    offered, names = _offered(connection, when), _names(connection, asked, when)
    facts = when.rows(tables.HostFact)
    hosts = connection.execute(sa.select(facts.host, facts.hostname, facts.site))
    named = {row.host: (row.site, (row.host, row.hostname) if asked.where.host else ()) for row in hosts}
    alike: Counter[Standing] = Counter()
    for host, parents in builds.items():
        fitted = (
            Fitted(names.get((host, path), ""), tuple(sorted(mine, key=repr)), offered.get((host, path), ()))
            for path, mine in sorted(parents.items())
        )
        site, called = named.get(host, (None, (host,) if asked.where.host else ()))
        alike[Standing(site, tuple(fitted), called)] += 1
    for standing, count in alike.items():
        yield Standing(standing.site, standing.parents, standing.names, count)


def _offered(connection: sa.Connection, when: At) -> dict[_Place, tuple[str, ...]]:
    """The profiles that parents offer types with; the same tuples for all that are alike."""
    there = when.rows(tables.Offer)
    wanted = sa.select(there.host, there.path, there.profile).execution_options(yield_per=AT_ONCE)
    digests: dict[str, str] = {}
    found: dict[_Place, set[str]] = {}
    for row in connection.execute(wanted):
        found.setdefault((row.host, row.path), set()).add(digests.setdefault(row.profile, row.profile))
    return {place: tuple(sorted(profiles)) for place, profiles in found.items()}


def _names(connection: sa.Connection, asked: DistributionAsked, when: At) -> dict[_Place, str]:
    """The names of parents, where they are asked for."""
    if not asked.where.parent:
        return {}
    there = when.rows(tables.Parent)
    rows = connection.execute(sa.select(there.host, there.path, there.name).execution_options(yield_per=AT_ONCE))
    return {(row.host, row.path): row.name for row in rows}
