"""Prunes of a desk's database, as the command and the running registry do them."""

from __future__ import annotations

import sqlalchemy as sa

from mdevreg_server import pruner
from mdevreg_server.engine import open_engine
from mdevreg_server.pruner import Begun
from mdevreg_server.pruning import Freed
from mdevreg_server.tables import RecordLog
from support.registry import Desk


def prune_up_to(desk: Desk, position: int) -> Freed:
    """Prune what was committed up to a log position, if anything is to be."""
    begun = begin_up_to(desk, position)
    if begun is None:
        return Freed()
    freed = sum(pruner.prune_all(desk.ledger, begun), Freed())
    pruner.end(desk.ledger, begun, freed, author="tests", now_us=desk.now_us)
    return freed


def begin_up_to(desk: Desk, position: int) -> Begun | None:
    """The entry that begins it."""
    with desk.engine.connect() as connection:
        wanted = sa.select(RecordLog.committed_at_us).where(RecordLog.position == position)
        committed = connection.scalar(wanted) or 0
    reader = open_engine(desk.engine.url.render_as_string(hide_password=False), writer=False)
    try:
        proposed = pruner.proposed(reader, committed + 1, desk.now_us + 1)
    finally:
        reader.dispose()
    if proposed is None:
        return None
    at, prune = proposed
    return proposed if at else pruner.begin(desk.ledger, prune, author="tests", now_us=desk.now_us)


def emptied(engine: sa.Engine) -> set[int]:
    """The positions whose bodies are gone."""
    with engine.connect() as connection:
        return set(connection.scalars(sa.select(RecordLog.position).where(sa.func.length(RecordLog.body) == 0)))
