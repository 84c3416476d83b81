"""Insert-or-update, alike on both databases."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from mdevreg_server.tables import Base, table_of

Rows = Sequence[dict[str, Any]]


def upsert(connection: sa.Connection, table: type[Base], rows: Rows) -> None:
    """Insert rows; where the primary key is there already, overwrite every other column that the rows name."""
    insert = _insert(connection, table)
    key = [column.name for column in table_of(table).primary_key]
    changed = {name: insert.excluded[name] for name in rows[0] if name not in key}
    connection.execute(insert.on_conflict_do_update(index_elements=key, set_=changed), list(rows))


def insert_new(connection: sa.Connection, table: type[Base], rows: Rows) -> None:
    """Insert rows; leave alone those whose primary key is there already."""
    connection.execute(_insert(connection, table).on_conflict_do_nothing(), list(rows))


def _insert(connection: sa.Connection, table: type[Base]) -> Any:
    build = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    return build(table_of(table))
