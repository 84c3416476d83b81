"""Takes the projections back to where the log can be replayed from: nothing, or the bases of what was pruned."""

from __future__ import annotations

from collections.abc import Mapping

import sqlalchemy as sa

from mdevreg.errors import StateError
from mdevreg.timeline import OPEN
from mdevreg_server import quarantine
from mdevreg_server.frozen_check import frozen_faults
from mdevreg_server.hosts import Hosts, state_columns
from mdevreg_server.reach import OPEN_REACH, reach_of
from mdevreg_server.tables import (
    INTERVALS,
    Device,
    HostBase,
    HostState,
    Offer,
    Profile,
    Quarantine,
    RecordLog,
    table_of,
)
from mdevreg_server.upsert import upsert


def rewind(connection: sa.Connection, hosts: Hosts) -> None:
    """Leave of every projection what was known at the hosts' bases. ``hosts``: must know nothing yet.

    Raises ``StateError`` (FROZEN_DAMAGED) if that part is not what it was when it was pruned.
    """
    for fault in frozen_faults(connection):
        text = f"{fault}; nothing was changed, since it can't be derived from the log: restore a copy of the database"
        raise StateError(text, code="FROZEN_DAMAGED")
    for model in INTERVALS.values():
        _rewind_table(connection, table_of(model))
    used = sa.union(sa.select(Offer.profile), sa.select(Device.profile))
    connection.execute(sa.delete(Profile).where(Profile.digest.not_in(used)))
    state, base = table_of(HostState), table_of(HostBase)
    connection.execute(sa.delete(state))
    names = [column.name for column in state.columns]
    connection.execute(sa.insert(state).from_select(names, sa.select(*(base.c[name] for name in names))))
    _settle(connection, hosts)


def _rewind_table(connection: sa.Connection, table: sa.Table) -> None:
    """Rows that were told later go, ends that were told later are taken back."""
    base = _base_of(table)
    connection.execute(sa.delete(table).where(table.c.system_from > base))
    back: tuple[tuple[str, Mapping[str, int]], ...] = (
        ("ended_at", {"valid_to_us": OPEN, "ended_at": OPEN}),
        ("system_to", {"system_to": OPEN}),
    )
    moved = [column.name for column in table.primary_key]
    later = sa.or_(*(sa.and_(table.c[told] != OPEN, table.c[told] > base) for told, _ in back))
    rows = list(connection.execute(sa.select(*(table.c[name] for name in moved)).where(later)).all())
    for told, values in back:
        connection.execute(sa.update(table).where(table.c[told] != OPEN, table.c[told] > base).values(**values))
    for row in rows:
        same = (table.c[name] == value for name, value in zip(moved, row, strict=True))
        _reach_again(connection, table, sa.and_(*same))


def _reach_again(connection: sa.Connection, table: sa.Table, mine: sa.ColumnElement[bool]) -> None:
    """Where a row whose end or withdrawal was taken back is looked for."""
    row = connection.execute(sa.select(table.c.valid_from_us, table.c.valid_to_us, table.c.ended_at).where(mine)).one()
    reach = OPEN_REACH
    if row.valid_to_us != OPEN:
        told = sa.select(sa.func.max(RecordLog.committed_at_us)).where(RecordLog.position <= row.ended_at)
        reach = reach_of(row.valid_from_us, row.valid_to_us, connection.scalar(told) or 0)
    connection.execute(sa.update(table).where(mine).values(reach=reach))


def _base_of(table: sa.Table) -> sa.ColumnElement[int]:
    mine = sa.select(HostBase.position).where(HostBase.host == table.c.host).scalar_subquery()
    return sa.func.coalesce(mine, 0)


def _settle(connection: sa.Connection, hosts: Hosts) -> None:
    """What is in quarantine of the epochs that bases are in counts as received, as it does when an epoch is entered."""
    there = sa.and_(Quarantine.host == HostBase.host, Quarantine.epoch == HostBase.epoch)
    refused = sa.select(HostBase.host).select_from(sa.join(HostBase, Quarantine, there)).distinct()
    for known in hosts.load(connection, list(connection.scalars(refused))).values():
        for seq in sorted(quarantine.numbers(connection, known.fold.host, known.fold.epoch)):
            known.fold.settle(known.fold.epoch, seq)
        upsert(connection, HostState, [state_columns(known.fold)])
