"""Looks for the rows of some windows (``mdevreg_server.reach``): SQL that neither database plans otherwise.

The windows are a table of a few rows, joined to the interval table: for each, one search in an index that has the
reach. SQLite does just that. PostgreSQL, which takes a hash join for as cheap and then reads every row that begins
before, is kept to it by a lateral subquery that it may not dissolve (``OFFSET 0``); SQLite has none.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa

from mdevreg_server.reach import Window


def within(
    table: sa.Table, looked_in: Iterable[Window], *mine: sa.ColumnElement[bool], name: str, laterally: bool
) -> sa.Select[Any]:
    """The rows of a table that begin in these windows. ``mine``: conditions on it; ``name``: of this selection."""
    near = _table(f"{name}_near", looked_in)
    columns = table.c
    began = sa.and_(columns.valid_from_us > near.c.after_us, columns.valid_from_us <= near.c.until_us)
    there = sa.and_(columns.reach == near.c.reach, began)
    if not laterally:
        return sa.select(*columns).select_from(sa.join(near, table, there)).where(*mine)
    each = sa.select(*columns).where(there, *mine).offset(0).correlate(near).lateral(f"{name}_each")
    return sa.select(*each.c).select_from(sa.join(near, each, sa.true()))


def _table(name: str, looked_in: Iterable[Window]) -> sa.CTE:
    rows = [
        sa.select(
            sa.literal(each.reach, sa.Integer).label("reach"),
            sa.literal(each.after_us, sa.BigInteger).label("after_us"),
            sa.literal(each.until_us, sa.BigInteger).label("until_us"),
        )
        for each in looked_in
    ]
    return sa.union_all(*rows).cte(name)
