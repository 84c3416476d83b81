"""The registry's entries about what is kept, in the log: the policy, and what was pruned. Written by ``pruning``."""

from __future__ import annotations

from typing import TypeVar

import msgspec
import sqlalchemy as sa

from mdevreg.errors import DecodeError, StateError
from mdevreg.facts import Retention
from mdevreg.keeping import Keeping, Prune, Pruned, RetentionChange, decode_keeping, policy_of
from mdevreg_server.amendments import NOBODY
from mdevreg_server.tables import RecordLog

#: ``record_log.epoch`` of these entries; they have no host.
EPOCH = "keeping"
MINE = (RecordLog.host == NOBODY, RecordLog.epoch == EPOCH)

T = TypeVar("T", RetentionChange, Prune, Pruned)


class Entry(msgspec.Struct, frozen=True):
    """An entry, and where it stands in the log."""

    position: int
    keeping: Keeping


def entries(connection: sa.Connection) -> list[Entry]:
    """Every entry, oldest first. Raises ``StateError`` for one of a newer program."""
    wanted = sa.select(RecordLog.position, RecordLog.body).where(*MINE).order_by(RecordLog.seq)
    return [_entry(row.position, row.body) for row in connection.execute(wanted)]


def latest(connection: sa.Connection, kind: type[T]) -> tuple[int, T] | None:
    """The newest entry of a kind and its position."""
    tag = str(kind.__struct_config__.tag)
    wanted = sa.select(RecordLog.position, RecordLog.body).where(*MINE, RecordLog.kind == tag)
    row = connection.execute(wanted.order_by(RecordLog.seq.desc()).limit(1)).one_or_none()
    if row is None:
        return None
    change = _entry(row.position, row.body).keeping.change
    assert isinstance(change, kind)
    return row.position, change


def policy(connection: sa.Connection) -> int | None:
    """For how many days documents are kept; ``None``: for ever."""
    found = latest(connection, RetentionChange)
    return found[1].bodies_days if found else None


def unfinished(connection: sa.Connection) -> tuple[int, Prune] | None:
    """The newest prune, if it was begun and not ended."""
    begun, ended = latest(connection, Prune), latest(connection, Pruned)
    return begun if begun and (ended is None or ended[1].prune != begun[0]) else None


def retention(connection: sa.Connection) -> Retention | None:
    """What answers say of it; ``None``: all is kept for ever, and nothing was pruned."""
    days, begun = policy(connection), latest(connection, Prune)
    if days is None and begun is None:
        return None
    if begun is None:
        return Retention(policy_of(days))
    return Retention(policy_of(days), begun[1].before, begun[1].horizon)


def _entry(position: int, body: bytes) -> Entry:
    try:
        return Entry(position, decode_keeping(body))
    except DecodeError as error:
        text = f"position {position} of the log can't be read by this program: {error}; upgrade it"
        raise StateError(text, code="LOG_UNREADABLE") from error
