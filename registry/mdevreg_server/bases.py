"""Bases in SQL: where the pruned part of a host's history ended, and how a host goes on from there."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import sqlalchemy as sa

from mdevreg.bases import as_known
from mdevreg.objects import Key, Value
from mdevreg.records import Record
from mdevreg.state import HostFold
from mdevreg.timeline import OPEN, Row
from mdevreg_server.hosts import Known, load_documents, put_back, restore
from mdevreg_server.intervals import Shape, all_rows
from mdevreg_server.tables import HostBase

Timelines = dict[Key, list[Row[Value]]]


class Base(msgspec.Struct, frozen=True):
    """What a host's records up to ``fold.position`` add up to. ``rows``: its timelines as they were known there."""

    fold: HostFold
    rows: Timelines


def position_of(connection: sa.Connection, host: str) -> int:
    """Up to which log position a host's history has a base; 0: none."""
    return connection.scalar(sa.select(HostBase.position).where(HostBase.host == host)) or 0


def base_of(connection: sa.Connection, layout: Mapping[str, Shape], host: str) -> Base | None:
    """A host's base, to be folded on; ``None``: nothing of the host was pruned."""
    row = connection.execute(sa.select(HostBase.__table__).where(HostBase.host == host)).mappings().one_or_none()
    if row is None:
        return None
    known = Known(HostFold(host), {})
    restore(known.fold, row)
    rows = rows_known(connection, layout, host, known.fold.position)
    put_back(known, {key: found[-1] for key, found in rows.items() if found[-1].valid_to == OPEN})
    load_documents(connection, [known])
    return Base(known.fold, rows)


def rows_known(connection: sa.Connection, layout: Mapping[str, Shape], host: str, position: int) -> Timelines:
    """A host's timelines as they were known at a log position, each by valid time."""
    found = {key: list(as_known(rows, position)) for key, rows in all_rows(connection, layout, host, position).items()}
    return {key: rows for key, rows in found.items() if rows}


def precedes(connection: sa.Connection, record: Record) -> bool:
    """Whether a late record belongs before its host's base, where nothing can be placed any more."""
    columns = (HostBase.epoch, HostBase.retired, HostBase.last_seq)
    row = connection.execute(sa.select(*columns).where(HostBase.host == record.host)).one_or_none()
    if row is None:
        return False
    if record.epoch == row.epoch:
        return bool(record.seq <= row.last_seq)
    retired: list[str] = msgspec.json.decode(row.retired, type=list[str])
    return record.epoch in retired
