"""Hosts as they are now, read to be published and for nothing else: without the periods that a writer needs.

Publishing a whole fleet reads every host once; this takes about half the time of loading folds that can go on.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import msgspec
import sqlalchemy as sa

from mdevreg.records import digest_of
from mdevreg.state import Document, HostFold
from mdevreg_server.among import among
from mdevreg_server.hosts import restore
from mdevreg_server.intervals import Shape
from mdevreg_server.reach import OPEN_REACH
from mdevreg_server.tables import HostState, RecordLog

#: Log positions in one statement.
_SOME = 500


class _Body(msgspec.Struct):
    parent: msgspec.Raw = msgspec.Raw(b"")
    facts: msgspec.Raw = msgspec.Raw(b"")


class _Record(msgspec.Struct):
    body: _Body


_record = msgspec.json.Decoder(_Record)


def portraits(connection: sa.Connection, layout: Mapping[str, Shape], hosts: Collection[str]) -> list[HostFold]:
    """The folds of hosts, not to be folded on; an empty one for a host that nothing is known of."""
    folds = {host: HostFold(host) for host in hosts}
    states = sa.select(HostState.__table__).where(among(connection, HostState.host, list(hosts)))
    for row in connection.execute(states).mappings():
        restore(folds[row["host"]], row)
    documents: dict[int, tuple[HostFold, str]] = {}
    for kind, shape in layout.items():
        _objects(connection, kind, shape, folds, documents)
    positions = list(documents)
    for first in range(0, len(positions), _SOME):
        for position, body in _bodies(connection, positions[first : first + _SOME]):
            fold, path = documents[position]
            inner = _record.decode(body).body
            raw = bytes(inner.parent if path else inner.facts)
            fold.restore(path, Document(digest_of(raw), raw, position))
    return list(folds.values())


def _bodies(connection: sa.Connection, positions: list[int]) -> list[Any]:
    wanted = sa.select(RecordLog.position, RecordLog.body).where(among(connection, RecordLog.position, positions))
    return list(connection.execute(wanted).all())


def _objects(
    connection: sa.Connection,
    kind: str,
    shape: Shape,
    folds: Mapping[str, HostFold],
    documents: dict[int, tuple[HostFold, str]],
) -> None:
    """Read the objects of one kind, and note where their documents are: in the log, at the rows' positions."""
    table, keys = shape.table, len(shape.key)
    columns = [table.c[name] for name in (*shape.key, *shape.values)]
    at = shape.values.index("position") if "position" in shape.values else None
    holding = table.c.reach == OPEN_REACH
    statement = sa.select(*columns).where(among(connection, table.c.host, list(folds)), holding)
    rows: list[Any] = list(connection.execute(statement).all())
    for row in rows:
        found = tuple(row)
        path = found[1] if keys > 1 else ""
        fold, value = folds[found[0]], found[keys:]
        fold.objects.setdefault(path, {})[(kind, *found[1:keys])] = value
        if at is not None:
            documents[value[at]] = fold, path
