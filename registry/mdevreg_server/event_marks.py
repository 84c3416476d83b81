"""How far events were told: the one row of ``event_mark``."""

from __future__ import annotations

import uuid

import msgspec
import sqlalchemy as sa

from mdevreg_server.tables import EventMark, RecordLog, table_of
from mdevreg_server.upsert import insert_new, upsert

_ONLY = 1


class Mark(msgspec.Struct, frozen=True):
    """Everything up to ``position``, and what the clock turned up to ``at_us``, is published.

    ``source``: the registry's, in every event. ``created``, ``stream_seq``: in which life of the stream, up to where.
    """

    source: str
    position: int
    at_us: int
    created: str = ""
    stream_seq: int = 0


def begun(connection: sa.Connection, now_us: int) -> Mark:
    """The mark; made at the first start, where the log then ends: what was before is no event."""
    position = connection.scalar(sa.select(sa.func.max(RecordLog.position))) or 0
    first = Mark(f"urn:uuid:{uuid.uuid4()}", position, now_us)
    insert_new(connection, EventMark, [{"id": _ONLY, **msgspec.structs.asdict(first)}])
    row = connection.execute(sa.select(table_of(EventMark)).where(EventMark.id == _ONLY)).mappings().one()
    return Mark(**{name: row[name] for name in Mark.__struct_fields__})


def keep(connection: sa.Connection, mark: Mark) -> None:
    """Remember a mark."""
    upsert(connection, EventMark, [{"id": _ONLY, **msgspec.structs.asdict(mark)}])
