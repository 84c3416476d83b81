"""Folds of hosts between batches: a bounded cache over the projections."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
import sqlalchemy as sa

from mdevreg import wire
from mdevreg.objects import DOCUMENT_AT, Key
from mdevreg.records import HostBody, ParentBody, digest_of
from mdevreg.state import Document, HostFold, Received
from mdevreg_server.among import among
from mdevreg_server.intervals import OpenRow, Shape, current_rows
from mdevreg_server.tables import HostState, RecordLog

#: Hosts kept in memory between batches, of ``USUAL_BYTES`` of documents or less; one of ten times that counts as ten.
DEFAULT_CACHED_HOSTS = 20_000
#: A host takes about six times the bytes of its documents: 25 kB, and all together half a GB.
USUAL_BYTES = 4_096


class Known(msgspec.Struct):
    """A host's fold, and its rows that hold until further notice."""

    fold: HostFold
    rows: dict[Key, OpenRow]


class Hosts:
    """Loads and keeps folds. One writer only."""

    def __init__(self, layout: Mapping[str, Shape], capacity: int = DEFAULT_CACHED_HOSTS) -> None:
        self._layout = layout
        self._capacity = capacity
        self._known: OrderedDict[str, Known] = OrderedDict()
        self._weights: dict[str, int] = {}  # in usual hosts
        self._weight = 0
        self._used: set[str] = set()  # since they were weighed

    def __contains__(self, host: str) -> bool:
        return host in self._known

    def load(self, connection: sa.Connection, hosts: Iterable[str]) -> dict[str, Known]:
        """The folds of these hosts, read from the database where they are not in memory."""
        wanted = dict.fromkeys(hosts)
        missing = [host for host in wanted if host not in self._known]
        for first in range(0, len(missing), 500):  # bounded IN lists
            self._known.update(_load(connection, self._layout, missing[first : first + 500]))
        for host in wanted:
            self._known.move_to_end(host)
        self._used.update(wanted)
        return {host: self._known[host] for host in wanted}

    def replace(self, known: Known) -> None:
        """Take over a fold that was built anew."""
        self._known[known.fold.host] = known

    def trim(self) -> None:
        """Forget the longest unused beyond the capacity. Call between batches."""
        for host in self._used:
            weight = _weight(self._known[host].fold)
            self._weight += weight - self._weights.get(host, 0)
            self._weights[host] = weight
        self._used.clear()
        while self._weight > self._capacity and self._known:
            host, _ = self._known.popitem(last=False)
            self._weight -= self._weights.pop(host)

    def forget(self) -> None:
        """Forget every fold: a failed transaction may have touched any."""
        self._known.clear()
        self._weights.clear()
        self._weight = 0
        self._used.clear()


def state_columns(fold: HostFold) -> dict[str, Any]:
    """The ``host_state`` row of a fold."""
    return {
        "host": fold.host,
        "epoch": fold.epoch,
        "retired": msgspec.json.encode(sorted(fold.retired)).decode(),
        "received": msgspec.json.encode(fold.received.ranges).decode(),
        "settled": fold.settled,
        "last_seq": fold.last_seq,
        "position": fold.position,
        "valid_at_us": fold.valid_at,
        "received_at_us": fold.received_at,
        "in_sync": int(fold.in_sync),
        "digest": fold.digest,
    }


def _weight(fold: HostFold) -> int:
    documents = sum(len(document.raw) for document in fold.parents.values())
    return 1 + documents // USUAL_BYTES


def _load(connection: sa.Connection, layout: Mapping[str, Shape], hosts: list[str]) -> dict[str, Known]:
    found = {host: Known(HostFold(host), {}) for host in hosts}
    for state in connection.execute(
        sa.select(HostState.__table__).where(among(connection, HostState.host, hosts))
    ).mappings():
        restore(found[state["host"]].fold, state)
    for host, objects in current_rows(connection, layout, hosts, open_only=True).items():
        put_back(found[host], {key: row for key, (row, *_) in objects.items()})
    load_documents(connection, [known for known in found.values() if known.rows])
    return found


def put_back(known: Known, rows: Mapping[Key, OpenRow]) -> None:
    """Put back what the rows that hold until further notice say of a host."""
    for key, row in rows.items():
        known.rows[key] = row
        path = key[1] if len(key) > 1 else ""
        known.fold.objects.setdefault(path, {})[key] = row.value


def restore(fold: HostFold, row: Any) -> None:
    """Put back what the ``host_state`` row of a fold has."""
    fold.epoch, fold.settled, fold.last_seq = row["epoch"], row["settled"], row["last_seq"]
    fold.retired = set(msgspec.json.decode(row["retired"], type=list[str]))
    fold.received = Received(msgspec.json.decode(row["received"], type=list[tuple[int, int]]))
    fold.position, fold.in_sync = row["position"], bool(row["in_sync"])
    fold.valid_at, fold.received_at = row["valid_at_us"], row["received_at_us"]


def load_documents(connection: sa.Connection, known: Iterable[Known]) -> None:
    """The documents themselves are not stored twice: they are in the log, at the positions that held rows name."""
    named = [
        (host, key, row.value[DOCUMENT_AT[key[0]]])
        for host in known
        for key, row in host.rows.items()
        if key[0] in DOCUMENT_AT
    ]
    positions = {position for _, _, position in named}
    bodies: dict[int, bytes] = {}
    listed = sorted(positions)
    for first in range(0, len(listed), 500):
        statement = sa.select(RecordLog.position, RecordLog.body)
        wanted = among(connection, RecordLog.position, listed[first : first + 500])
        bodies.update((position, body) for position, body in connection.execute(statement.where(wanted)))
    for host, key, position in named:
        host.fold.restore("" if key[0] == "host" else key[1], document_in(bodies[position], position))


def document_in(record: bytes, position: int) -> Document:
    """The document of a logged record, as its agent sent it."""
    body = wire.decode(record).record.body
    match body:
        case ParentBody(parent=raw) | HostBody(facts=raw):
            return Document(digest_of(raw), bytes(raw), position)
    raise RuntimeError(f"position {position} holds a {type(body).__name__}, which has no document")
