"""What a late record does: the past as now known changes, the past as then known stays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import sqlalchemy as sa

from mdevreg import wire
from mdevreg.bases import facts_of
from mdevreg.objects import Key, Profiles, Value
from mdevreg.state import Entry, replay
from mdevreg.timeline import OPEN, Step, fold, reconcile
from mdevreg_server.bases import base_of
from mdevreg_server.hosts import Known
from mdevreg_server.intervals import Shape, current_rows
from mdevreg_server.tables import RecordLog


def rebuild_host(
    connection: sa.Connection, layout: Mapping[str, Shape], late: Entry, profiles: Profiles
) -> tuple[Known, dict[Key, Step[Value]]]:
    """Derive a host's timeline from its log up to and with the late record; say what rows that changes.

    Requires that everything before ``late.position`` is flushed, and that it does not belong before the host's base.
    Cost: the host's whole log from its base on; late records are rare.
    """
    host = late.decoded.record.host
    base = base_of(connection, layout, host)
    after = base.fold.position if base else 0
    entries = [*entries_of(connection, host, after, late.position - 1), late]
    state, facts = replay(host, entries, profiles, base.fold if base else None)
    for key, rows in base.rows.items() if base else ():
        facts[key] = [*facts_of(rows), *facts.get(key, [])]
    current = current_rows(connection, layout, [host], open_only=False)[host]
    known, steps = Known(state, {}), dict[Key, Step[Value]]()
    for key in {**current, **facts}:
        rows = current.get(key, [])
        steps[key] = reconcile(rows, fold(facts.get(key, []), late.position), late.position)
        closed = {id(row) for row in (*steps[key].withdraw, *(row for row, _ in steps[key].end))}
        held = [row for row in (*rows, *steps[key].add) if id(row) not in closed and row.valid_to == OPEN]
        if held:
            known.rows[key] = held[0]
    return known, steps


def entries_of(connection: sa.Connection, host: str, after: int, upto: int) -> Iterator[Entry]:
    """A host's records between two log positions, the second included, in log order."""
    columns = (RecordLog.body, RecordLog.position, RecordLog.observed_at_us, RecordLog.received_at_us)
    wanted = sa.select(*columns).where(RecordLog.host == host, RecordLog.position > after, RecordLog.position <= upto)
    for body, position, observed, received in connection.execute(wanted.order_by(RecordLog.position)):
        yield Entry(wire.decode(body), position, observed, received)
