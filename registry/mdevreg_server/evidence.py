"""How good the facts of hosts are, and finding hosts by name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import sqlalchemy as sa

from mdevreg.clocks import seconds
from mdevreg.errors import NotFoundError, UsageError
from mdevreg.facts import Evidence
from mdevreg.nearest import nearest
from mdevreg.state import missing_of
from mdevreg.times import moment_of
from mdevreg_server.asking import At
from mdevreg_server.tables import HostFact, HostPresence, HostState

_ranges = msgspec.json.Decoder(list[tuple[int, int]])


def columns_of(facts: type[HostFact]) -> tuple[Any, ...]:
    """What ``evidence_of`` needs of a host; to be joined with ``joined``."""
    return (
        HostState.host,
        HostState.valid_at_us,
        HostState.in_sync,
        HostState.settled,
        HostState.received,
        facts.hostname,
        facts.site,
        facts.valid_from_us,
        HostPresence.last_seen_us,
        HostPresence.leaving,
        HostPresence.conflict,
        HostPresence.skew_beyond_us,
    )


def joined(facts: type[HostFact], at: At) -> Any:
    """Every host that has reported by then, with its facts at a moment (``At.rows``) and its presence."""
    # Of the past only who had told its facts: later hosts, and those known by an id alone, are no part of it.
    source: Any = sa.join(HostState, facts, facts.host == HostState.host, isouter=not at.historical)
    return sa.join(source, HostPresence, HostPresence.host == HostState.host, isouter=True)


def evidence_of(row: Any, at: At) -> Evidence:
    """The evidence in a row of ``COLUMNS``."""
    if at.historical:
        changed, seen, skew = row.valid_from_us, None, None
    else:
        changed, seen, skew = row.valid_at_us, row.last_seen_us, row.skew_beyond_us
    return Evidence(
        host=row.host,
        hostname=row.hostname or row.host,
        site=row.site,
        changed_at=None if changed is None else moment_of(changed),
        last_seen=None if seen is None else moment_of(seen),
        leaving=bool(row.leaving) and not at.historical,
        in_sync=bool(row.in_sync) or at.historical,
        missing=0 if at.historical else missing_of(row.settled, _ranges.decode(row.received)),
        conflict=row.conflict is not None and not at.historical,
        historical=at.historical,
        clock_skew_s=None if skew is None else seconds(skew),
    )


def find_host(connection: sa.Connection, name: str, at: At) -> Evidence:
    """The host of that id or hostname at a moment. Raises ``NotFoundError``, or ``UsageError`` if ambiguous."""
    found = _named(connection, name, at)
    exact = [row for row in found if row.host == name] or found
    if len(exact) > 1:
        ids = ", ".join(sorted(row.host for row in exact))
        raise UsageError(f"{name!r} is the hostname of {len(exact)} hosts; name one by its id: {ids}", code="AMBIGUOUS")
    if not exact:
        what = "host known at that time" if at.historical else "host"
        raise NotFoundError(what, name, nearest(name, _names(connection, at)))
    return evidence_of(exact[0], at)


def _named(connection: sa.Connection, name: str, at: At) -> list[Any]:
    """The host of that id, and those of that hostname."""
    called = sa.select(HostFact.host).where(HostFact.hostname == name, at.holds(HostFact))
    hosts = {name, *connection.scalars(called)}
    found: list[Any] = []
    for host in sorted(hosts):
        facts = at.rows(HostFact, host=host)
        wanted = sa.select(*columns_of(facts)).select_from(joined(facts, at)).where(HostState.host == host)
        found += connection.execute(wanted)
    return found


def _names(connection: sa.Connection, at: At) -> Iterable[str]:
    return connection.scalars(sa.select(at.rows(HostFact).hostname))
