"""`db check`: where the schema of a database is not the one that its revision has, by name, and the way out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy.schema import CreateIndex, CreateTable

from mdevreg_server.engine import converted
from mdevreg_server.tables import Base

_REVISION = "alembic_version"
_COPY = "restore a copy of the database"
_TRIGGERS = {
    "sqlite": "SELECT tbl_name, name FROM sqlite_master WHERE type = 'trigger' ORDER BY 1, 2",
    "postgresql": (
        "SELECT DISTINCT event_object_table, trigger_name FROM information_schema.triggers "
        "WHERE trigger_schema = current_schema() ORDER BY 1, 2"
    ),
}


def schema_faults(engine: sa.Engine) -> list[str]:
    """One sentence per difference; empty where tables, columns, keys, constraints and indexes are the program's."""
    with converted(engine), engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        found = [_sentence(each, connection) for each in _flat(compare_metadata(context, Base.metadata))]
        found += _unnamed(sa.inspect(connection))
        rows = connection.exec_driver_sql(_TRIGGERS[connection.dialect.name])
        found += [f"trigger {name} of table {table} is not the program's; drop it" for table, name in rows]
    return found


def _flat(differences: Iterable[Any]) -> Iterator[tuple[Any, ...]]:
    """Alembic gathers what is modified of one column in a list."""
    for each in differences:
        yield from each if isinstance(each, list) else [each]


def _sentence(difference: tuple[Any, ...], connection: sa.Connection) -> str:
    dialect = connection.dialect
    match difference:
        case ("add_table", sa.Table() as table):
            return f"table {table.name} is missing; {_COPY}, or: {_sql(CreateTable(table), dialect)}"
        case ("remove_table", sa.Table() as table):
            return f"table {table.name} is not the program's; drop it, or move it to another schema"
        case ("add_column", _, table, column):
            return f"column {table}.{column.name} is missing; {_COPY}"
        case ("remove_column", _, table, column):
            return f"column {table}.{column.name} is not the program's; drop it"
        case ("add_index", sa.Index() as index):
            return f"index {index.name} is missing; {_sql(CreateIndex(index), dialect)}"
        case ("remove_index", sa.Index() as index):
            return f"index {index.name} is not the program's; drop it"
        case (("add_constraint" | "remove_constraint") as what, constraint):
            wrong = f"is missing; {_COPY}" if what == "add_constraint" else "is not the program's; drop it"
            return f"constraint {constraint.name} of table {constraint.table.name} {wrong}"
    what, _, table, column, _, found, expected = difference
    return f"column {table}.{column}: {what.removeprefix('modify_')} is {found!r}, not {expected!r}; {_COPY}"


def _unnamed(inspector: sa.Inspector) -> list[str]:
    """What Alembic does not compare: checks, and primary keys."""
    there, found = set(inspector.get_table_names()) - {_REVISION}, []
    for table in Base.metadata.sorted_tables:
        if table.name not in there:
            continue
        checks = {str(each["name"]): _plain(each["sqltext"]) for each in inspector.get_check_constraints(table.name)}
        ours = {str(each.name): each for each in table.constraints if isinstance(each, sa.CheckConstraint)}
        found += [
            f"constraint {name} of table {table.name} is missing; {_COPY}" for name in sorted(ours.keys() - checks)
        ]
        found += [
            f"constraint {name} of table {table.name} is not the program's; drop it"
            for name in sorted(checks.keys() - ours)
        ]
        key = inspector.get_pk_constraint(table.name)
        expected = [column.name for column in table.primary_key]
        if (key["name"], key["constrained_columns"]) != (table.primary_key.name, expected):
            found.append(
                f"the primary key of table {table.name} is {key['constrained_columns']}, not {expected}; {_COPY}"
            )
    return found


def _plain(text: str) -> str:
    return " ".join(text.split())


def _sql(statement: Any, dialect: sa.Dialect) -> str:
    return _plain(str(statement.compile(dialect=dialect))) + ";"
