"""Many keys in one question: an array on PostgreSQL, whose driver reads a long list of parameters again each time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql


def among(connection: sa.Connection, column: Any, values: Sequence[Any]) -> sa.ColumnElement[bool]:
    """Whether a column is one of these values."""
    if connection.dialect.name == "postgresql":
        return sa.type_coerce(column, column.type) == sa.any_(sa.literal(list(values), postgresql.ARRAY(column.type)))
    wanted: sa.ColumnElement[bool] = column.in_(values)
    return wanted
