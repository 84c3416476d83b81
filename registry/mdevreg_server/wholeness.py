"""`db check`: what a whole database can't show."""

from __future__ import annotations

import sqlalchemy as sa

from mdevreg.timeline import OPEN
from mdevreg_server import intents, minutes
from mdevreg_server.amendments import MINE, NOBODY, unreadable
from mdevreg_server.engine import converted
from mdevreg_server.frozen_check import frozen_faults
from mdevreg_server.intervals import Shape, shapes
from mdevreg_server.oddities import half_ended, misplaced
from mdevreg_server.tables import HostBase, HostState, RecordLog, StreamPosition


def faults_of(engine: sa.Engine) -> list[str]:
    """One sentence per fault; empty where all is well."""
    with converted(engine), engine.connect() as connection:
        found = [*_log(connection), *_amendments(connection), *minutes.faults(connection), *intents.faults(connection)]
        found += [*_states(connection), *_pruned(connection)]
        for shape in shapes().values():
            found += [*_overlaps(connection, shape), *_odd(connection, shape.table)]
    return found


def _log(connection: sa.Connection) -> list[str]:
    count, newest = connection.execute(sa.select(sa.func.count(), sa.func.max(RecordLog.position))).one()
    faults = [f"record_log has {count} rows but ends at position {newest}"] if count != (newest or 0) else []
    ahead: object = connection.scalar(sa.select(sa.func.max(StreamPosition.position))) or 0
    if not isinstance(ahead, int) or ahead > (newest or 0):  # SQLite takes values of any type
        faults.append(f"stream_position is at {ahead}, record_log ends at {newest or 0}")
    return faults


def _amendments(connection: sa.Connection) -> list[str]:
    counted = sa.select(sa.func.count(), sa.func.max(RecordLog.seq)).where(*MINE)
    count, newest = connection.execute(counted).one()
    faults = [f"record_log has {count} amendments but they end at {newest}"] if count != (newest or 0) else []
    return [*faults, *unreadable(connection)]


def _states(connection: sa.Connection) -> list[str]:
    logged = sa.select(RecordLog.host).where(RecordLog.host != NOBODY).distinct()
    missing = connection.scalar(
        sa.select(sa.func.count()).select_from(logged.except_(sa.select(HostState.host)).subquery())
    )
    return [f"{missing} hosts of record_log have no host_state"] if missing else []


def _pruned(connection: sa.Connection) -> list[str]:
    """Bodies that are gone although nothing was pruned there, and what is frozen and is not what it was."""
    past = sa.outerjoin(RecordLog, HostBase, HostBase.host == RecordLog.host)
    unpruned = RecordLog.position > sa.func.coalesce(HostBase.position, 0)
    gone = sa.select(sa.func.count()).select_from(past).where(sa.func.length(RecordLog.body) == 0, unpruned)
    count = connection.scalar(gone)
    return [
        *([f"{count} bodies of record_log are gone that were not pruned"] if count else []),
        *frozen_faults(connection),
    ]


def _overlaps(connection: sa.Connection, shape: Shape) -> list[str]:
    """Two rows of one object that hold until further notice, as now known."""
    columns = [shape.table.c[name] for name in shape.key]
    current = (shape.table.c.system_to == OPEN, shape.table.c.valid_to_us == OPEN)
    twice = sa.select(*columns).where(*current).group_by(*columns).having(sa.func.count() > 1)
    count = connection.scalar(sa.select(sa.func.count()).select_from(twice.subquery()))
    return [f"{count} objects of {shape.table.name} hold two values at once"] if count else []


def _odd(connection: sa.Connection, table: sa.Table) -> list[str]:
    """Rows that this program never writes."""
    said = (
        (half_ended, "end without being told to, or the other way round"),
        (misplaced, "have a reach that is wrong"),
    )
    counts = [
        (connection.scalar(sa.select(sa.func.count()).select_from(odd(table).subquery())), text) for odd, text in said
    ]
    return [f"{count} rows of {table.name} {text}" for count, text in counts if count]
