"""How the spread of driver builds changed, from SQL: one pass over their timelines."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import sqlalchemy as sa

from mdevreg.moments import moment_in
from mdevreg.rules import FLEET, Scope
from mdevreg.runs import Run
from mdevreg.scopes import fits, told_of
from mdevreg.times import micros
from mdevreg.trends import Trend, TrendAsked, step_of, times_of, trend_of
from mdevreg_server import tables
from mdevreg_server.asking import At
from mdevreg_server.runs import Named, runs_upto
from mdevreg_server.tables import table_of

_COLUMNS = table_of(tables.DriverBuild).c


def trend_at(connection: sa.Connection, asked: TrendAsked, when: At) -> Trend:
    """The trend that ends with a moment: where that is now, with the time in its token. Raises ``UsageError``."""
    end = moment_in(when.snapshot).as_of
    assert end is not None, "a token has both times"
    times = times_of(asked, end)
    times_us = [micros(time) for time in times]
    going = sa.or_(_COLUMNS.valid_to_us > times_us[0], _COLUMNS.ended_at > when.known_at)
    runs = runs_upto(connection, when, going, _COLUMNS.valid_from_us <= times_us[-1])
    meant = runs if asked.where == FLEET else filter(_in_scope(connection, asked.where, when), runs)
    return Trend(when.position, times, trend_of(meant, times_us), step_of(asked), when.snapshot)


def _in_scope(connection: sa.Connection, scope: Scope, when: At) -> Callable[[Run], bool]:
    named = dict(_hosts(connection, when))

    def holds(run: Run) -> bool:
        host = named.get(run.host, Named(run.host))
        told = {"host": (run.host, host.hostname), "site": (host.site,)}
        return fits(scope, told | told_of(run.build))

    return holds


def _hosts(connection: sa.Connection, when: At) -> Iterator[tuple[str, Named]]:
    facts = when.rows(tables.HostFact)
    for row in connection.execute(sa.select(facts.host, facts.hostname, facts.site)):
        yield row.host, Named(row.hostname, row.site)
