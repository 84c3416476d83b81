"""The hot statements: many rows into a table, and many system periods closed, as fast as each database takes them.

SQLAlchemy makes the SQL once; rows go to the driver as tuples in column order (COPY on PostgreSQL), because
binding a dictionary per row costs more than writing the row.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

Rows = Sequence[tuple[Any, ...]]

#: Our column types as PostgreSQL's binary COPY names them, the more special ones first.
_COPY_TYPES = ((sa.BigInteger, "int8"), (sa.Integer, "int4"), (sa.Text, "text"), (sa.LargeBinary, "bytea"))

_CLOSING: dict[str, sa.BindParameter[int]] = {
    name: sa.bindparam(f"new_{name}") for name in ("valid_to_us", "ended_at", "system_to", "reach")
}


class Bulk:
    """One table's bulk insert, and the closing of rows that are named by their ``key`` columns."""

    def __init__(self, table: sa.Table, key: Sequence[str] = ()) -> None:
        same = [table.c[name] == sa.bindparam(f"k_{name}") for name in key]
        self._table = table
        self._insert = sa.insert(table)
        self._close = sa.update(table).where(*same).values(**_CLOSING) if key else None
        self._texts: dict[tuple[str, str], str] = {}

    def insert(self, connection: sa.Connection, rows: Rows) -> None:
        """Insert rows: tuples in the table's column order."""
        if connection.dialect.name == "postgresql":
            self._copy(connection, rows)
        else:
            connection.exec_driver_sql(self._text("insert", self._insert, connection), list(rows))

    def close(self, connection: sa.Connection, rows: Rows) -> None:
        """Close periods: tuples of ``valid_to_us``, ``ended_at``, ``system_to``, ``reach``, then the key's values."""
        if self._close is None:
            raise RuntimeError(f"{self._table.name} has no key to close rows by")
        connection.exec_driver_sql(self._text("close", self._close, connection), list(rows))

    def _text(self, name: str, statement: sa.Insert | sa.Update, connection: sa.Connection) -> str:
        """The SQL with positional parameters, in the order in which the statement names them."""
        dialect = connection.dialect.name
        if (name, dialect) not in self._texts:
            options: dict[str, Any] = {"paramstyle": "format"} if dialect == "postgresql" else {}
            positional = type(connection.dialect)(**options)
            self._texts[name, dialect] = str(statement.compile(dialect=positional))
        return self._texts[name, dialect]

    def _copy(self, connection: sa.Connection, rows: Rows) -> None:
        raw = connection.connection.driver_connection
        assert raw is not None
        columns = ", ".join(column.name for column in self._table.columns)
        types = [_copy_type(column.type) for column in self._table.columns]
        with (
            raw.cursor() as cursor,
            cursor.copy(f"COPY {self._table.name} ({columns}) FROM STDIN (FORMAT BINARY)") as copy,
        ):
            copy.set_types(types)
            for row in rows:
                copy.write_row(row)


def _copy_type(kind: sa.types.TypeEngine[Any]) -> str:
    return next(name for base, name in _COPY_TYPES if isinstance(kind, base))
