"""Takes the projections back to where the log can be replayed from: nothing, or the bases of what was pruned."""

from __future__ import annotations

from collections.abc import Mapping

import sqlalchemy as sa

from mdevreg.errors import StateError
from mdevreg.timeline import OPEN
from mdevreg_server import quarantine
from mdevreg_server.frozen_check import frozen_faults
from mdevreg_server.hosts import Hosts, state_columns
from mdevreg_server.tables import INTERVALS, Device, HostBase, HostState, Offer, Profile, Quarantine, table_of
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
    for told, values in back:
        later = (table.c[told] != OPEN, table.c[told] > base)
        connection.execute(sa.update(table).where(*later).values(**values))


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
