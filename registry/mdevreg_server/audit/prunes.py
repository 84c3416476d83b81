"""What pruning may have taken from the log, by its own entries, and whether a checkpoint vouches for those."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import sqlalchemy as sa

from mdevreg.audit.findings import Finding, Findings
from mdevreg.bases import kept_documents
from mdevreg.errors import DecodeError
from mdevreg.keeping import Prune, Pruned, decode_keeping
from mdevreg.times import micros
from mdevreg_server.audit.log_check import LOG
from mdevreg_server.frozen import frozen_digest
from mdevreg_server.intervals import current_rows, shapes
from mdevreg_server.keeping import MINE
from mdevreg_server.tables import HostBase, RecordLog

BASES = "host_base"
Begun = tuple[int, Prune]


class Pruning(msgspec.Struct, frozen=True):
    """What the log says of it.

    ``begun``: the newest prune and its position, ``vouched``: the newest one that a checkpoint vouches for;
    ``unvouched``: position of the newest entry about a prune, if none vouches for it, 0: one does; ``bases``: host → up
    to which position bodies of its records may be gone.
    """

    begun: Begun | None
    vouched: Begun | None
    unvouched: int
    bases: dict[str, int]


def pruning_of(connection: sa.Connection, size: int, findings: Findings) -> Pruning:
    """Read it. ``size``: up to which position a checkpoint is believed to vouch; 0: none does, and all count alike."""
    prunes: list[Begun] = []
    ended, last = 0, 0
    for position, change in _entries(connection):
        last = position
        if isinstance(change, Prune):
            prunes.append((position, change))
        else:
            ended = change.prune
    vouched = [each for each in prunes if not size or each[0] <= size]
    cut_off = bool(prunes) and ended != prunes[-1][0]
    there = connection.execute(sa.select(HostBase.host, HostBase.position)).all()
    # SQLite takes values of any type; a base that is none lets no body be gone, and its digest is another.
    bases = {str(host): position if isinstance(position, int) else 0 for host, position in there}
    if not prunes:
        for host in sorted(bases):
            text = f"host_base, host={host}: is not what the log says: nothing was ever pruned"
            findings.add(Finding("PROJECTION_INSERTED", text, BASES, key=f"host={host}"))
    begun = prunes[-1] if prunes else None
    return Pruning(
        begun=begun,
        vouched=vouched[-1] if vouched else None,
        unvouched=last if prunes and (cut_off or size < last) else 0,
        bases={host: min(position, begun[1].horizon) for host, position in bases.items()} if begun else {},
    )


def check_pruned(connection: sa.Connection, pruning: Pruning, findings: Findings) -> None:
    """What was frozen is what a vouched prune says, and no body is gone that a prune keeps."""
    if pruning.vouched is not None and pruning.vouched != pruning.begun:
        position, prune = pruning.vouched
        if frozen_digest(connection, prune.horizon) != prune.frozen:
            text = f"the projections as known at {prune.horizon} are not those of the prune at position {position}"
            findings.add(Finding("FROZEN_DAMAGED", text, LOG, position))
    if pruning.begun is not None:
        _check_kept(connection, pruning, micros(pruning.begun[1].before), findings)


def _check_kept(connection: sa.Connection, pruning: Pruning, before_us: int, findings: Findings) -> None:
    layout = shapes()
    for host, base in pruning.bases.items():
        rows = current_rows(connection, layout, [host], open_only=False)[host]
        for position in sorted(_gone(connection, host, base) & kept_documents(rows, before_us)):
            text = f"the body at position {position} is gone, and pruning keeps it"
            findings.add(Finding("BODY_CHANGED", text, LOG, position, column="body"))


def _gone(connection: sa.Connection, host: str, base: int) -> set[int]:
    mine = (RecordLog.host == host, RecordLog.position <= base, sa.func.length(RecordLog.body) == 0)
    return set(connection.scalars(sa.select(RecordLog.position).where(*mine)))


def _entries(connection: sa.Connection) -> Iterator[tuple[int, Prune | Pruned]]:
    """Entries that can be read; what can't is found as a row that differs, or as a log that can't be read."""
    wanted = sa.select(RecordLog.position, RecordLog.body).where(*MINE).order_by(RecordLog.position)
    for position, body in connection.execute(wanted):
        try:
            change = decode_keeping(body).change
        except (DecodeError, TypeError):  # SQLite takes values of any type
            continue
        if isinstance(change, (Prune, Pruned)):
            yield position, change
