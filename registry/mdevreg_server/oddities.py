"""Rows of interval tables that this program never writes; where bodies were pruned, no derivation would show them."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from mdevreg.timeline import OPEN
from mdevreg_server.reach import LEVELS, OPEN_REACH
from mdevreg_server.tables import RecordLog


def half_ended(table: sa.Table) -> sa.Select[Any]:
    """The keys of rows that end without an entry that told it, or the other way round."""
    ends, told = table.c.valid_to_us != OPEN, table.c.ended_at != OPEN
    return sa.select(*table.primary_key).where(sa.or_(ends & ~told, told & ~ends))


def misplaced(table: sa.Table) -> sa.Select[Any]:
    """The keys of rows that questions about the past don't find, their ``reach`` being too short, or none."""
    columns = table.c
    holds = sa.and_(columns.valid_to_us == OPEN, columns.system_to == OPEN)
    told = sa.case((columns.ended_at != OPEN, columns.ended_at), else_=columns.system_to)
    joined = sa.outerjoin(table, RecordLog, RecordLog.position == told)
    told_us = sa.func.coalesce(RecordLog.committed_at_us, 0)
    until_us = sa.case((columns.valid_to_us.between(told_us, OPEN - 1), columns.valid_to_us), else_=told_us)
    spans = {level: 1 << level for level in LEVELS[:-1]}
    short = until_us - columns.valid_from_us > sa.case(spans, value=columns.reach, else_=OPEN)
    wrong = sa.or_(holds & (columns.reach != OPEN_REACH), ~holds & sa.or_(columns.reach.not_in(list(LEVELS)), short))
    return sa.select(*table.primary_key).select_from(joined).where(wrong)
