"""What a prune does to one host: its base moves on, and bodies that no answer needs any more are emptied (ADR 15).

Rules of this file:

1. Nothing is emptied that could not be derived again: the base is folded from the log, and must be what the rows say.
2. A base moves only to where nothing later belongs before it (``mdevreg.bases``), whatever the horizon is.
3. Only bodies are emptied: rows of the log, with their digests and times, and all rows of timelines stay.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from mdevreg.bases import Place, cuts, kept_documents
from mdevreg.errors import StateError
from mdevreg.keeping import Prune
from mdevreg.objects import Key, Profiles, Value
from mdevreg.state import HostFold, replay
from mdevreg.timeline import OPEN
from mdevreg.times import micros
from mdevreg_server.among import among
from mdevreg_server.bases import Timelines, base_of, rows_known
from mdevreg_server.hosts import state_columns
from mdevreg_server.intervals import Shape, current_rows
from mdevreg_server.late import entries_of
from mdevreg_server.tables import HostBase, HostState, RecordLog
from mdevreg_server.upsert import upsert

#: Records that a base moves over at once, and positions in one statement.
MOST = 2_000
_SOME = 500


class Freed(msgspec.Struct, frozen=True):
    """What was emptied. ``more``: there is more of the last host."""

    hosts: int = 0
    bodies: int = 0
    bytes: int = 0
    more: bool = False

    def __add__(self, other: Freed) -> Freed:
        return Freed(self.hosts + other.hosts, self.bodies + other.bodies, self.bytes + other.bytes)


def hosts_of(connection: sa.Connection) -> list[str]:
    """Every host with a record, by id."""
    return sorted(connection.scalars(sa.select(HostState.host)))


def prune_host(
    connection: sa.Connection, layout: Mapping[str, Shape], host: str, prune: Prune, *, write: bool = True
) -> Freed:
    """Prune one host up to the horizon, or some of it. ``write`` False: only say what would go, all of it.

    Requires that nobody else writes meanwhile. Raises ``StateError`` where rows and log differ.
    """
    base = base_of(connection, layout, host)
    fold = base.fold if base else HostFold(host)
    cut, more = _cut(connection, fold, prune.horizon, MOST if write else None)
    if cut == 0:
        return Freed()
    if cut > fold.position:
        fold, _ = replay(host, entries_of(connection, host, fold.position, cut), Profiles(), fold)
        _check(fold, rows_known(connection, layout, host, cut))
    rows = current_rows(connection, layout, [host], open_only=False)[host]
    going = _going(connection, host, cut, kept_documents(rows, micros(prune.before)) | _documents(fold))
    if write:
        upsert(connection, HostBase, [state_columns(fold)])
        _empty(connection, [position for position, _ in going])
    return Freed(int(bool(going)), len(going), sum(size for _, size in going), more)


def _cut(connection: sa.Connection, fold: HostFold, horizon: int, most: int | None) -> tuple[int, bool]:
    """How far the base may move, and whether it could move on from there. 0: nowhere, and there is none."""
    columns = (RecordLog.position, RecordLog.epoch, RecordLog.seq)
    later = sa.select(*columns).where(RecordLog.host == fold.host, RecordLog.position > fold.position)
    places = [Place(*row) for row in connection.execute(later.order_by(RecordLog.position))]
    possible = [cut for cut in cuts(places, fold.epoch) if cut <= horizon]
    if not possible:
        return fold.position, False
    if most is None or len(places) <= most:
        return possible[-1], False
    near = [cut for cut in possible if cut <= places[most - 1].position]
    cut = near[-1] if near else possible[0]
    return cut, cut != possible[-1]


def _check(fold: HostFold, rows: Timelines) -> None:
    """Rule 1."""
    held = {key: found[-1].value for key, found in rows.items() if found[-1].valid_to == OPEN}
    folded: dict[Key, Value] = {key: value for objects in fold.objects.values() for key, value in objects.items()}
    if held != folded:
        text = f"the rows of host {fold.host} as known at {fold.position} are not what its log says"
        raise StateError(f"{text}; nothing of it was pruned: run mdevreg-server rebuild", code="PROJECTIONS_DIFFER")


def _documents(fold: HostFold) -> set[int]:
    """The positions of the documents that a fold goes on from."""
    documents = [*fold.parents.values(), *([fold.facts] if fold.facts else [])]
    return {document.position for document in documents}


def _going(connection: sa.Connection, host: str, cut: int, kept: set[int]) -> list[tuple[int, int]]:
    """Position and size of the bodies up to the cut that are there and not kept."""
    size = sa.func.length(RecordLog.body)
    mine = sa.select(RecordLog.position, size).where(RecordLog.host == host, RecordLog.position <= cut, size > 0)
    return [(position, bytes_) for position, bytes_ in connection.execute(mine) if position not in kept]


def _empty(connection: sa.Connection, positions: Sequence[int]) -> None:
    for first in range(0, len(positions), _SOME):
        some: Any = among(connection, RecordLog.position, positions[first : first + _SOME])
        connection.execute(sa.update(RecordLog).where(some).values(body=b""))
