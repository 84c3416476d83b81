"""Reading whole tables in one snapshot: in order, in bounded memory, whatever somebody put into them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from mdevreg_server.engine import converted

#: Rows that are fetched at once.
FETCHED = 512


@contextmanager
def snapshot(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A reader's transaction without a limit of time; text that is no UTF-8 is read all the same."""
    with converted(engine), engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
            yield connection
            return
        raw = connection.connection.driver_connection
        assert raw is not None
        raw.text_factory = _text
        try:
            yield connection
        finally:
            raw.text_factory = str


def streamed(connection: sa.Connection, statement: sa.Select[Any]) -> Iterator[Any]:
    """The rows of a statement, fetched as they are needed."""
    options = {"stream_results": True, "max_row_buffer": FETCHED, "yield_per": FETCHED}
    return iter(connection.execute(statement, execution_options=options))


def binary(connection: sa.Connection, column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """A column to order by, in the order of its bytes on either database."""
    if connection.dialect.name == "postgresql" and isinstance(column.type, sa.Text):
        return column.collate("C")
    return column


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
