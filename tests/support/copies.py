"""An older copy of a registry's database, as a backup is, and its return. Nobody may be connected meanwhile."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psycopg
import sqlalchemy as sa
from psycopg import sql


def copied(url: str) -> Callable[[], None]:
    """Copy the database as it is now; the function that is returned puts the copy in its place, once."""
    parsed = sa.make_url(url)
    assert parsed.database is not None
    if parsed.get_backend_name() == "sqlite":
        return _copied_file(Path(parsed.database))
    return _copied_database(parsed, parsed.database)


def _copied_file(file: Path) -> Callable[[], None]:
    copy = file.with_name(f"{file.name}.copy")
    with closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)

    def restore() -> None:
        for suffix in ("-wal", "-shm"):
            file.with_name(file.name + suffix).unlink(missing_ok=True)
        copy.replace(file)

    return restore


def _copied_database(url: sa.URL, name: str) -> Callable[[], None]:
    original, copy = sql.Identifier(name), sql.Identifier(f"{name}_copy")
    _run(url, sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(copy, original))

    def restore() -> None:
        _run(url, sql.SQL("DROP DATABASE {} WITH (FORCE)").format(original))
        _run(url, sql.SQL("ALTER DATABASE {} RENAME TO {}").format(copy, original))

    return restore


def _run(url: sa.URL, statement: sql.Composed) -> None:
    conninfo = url.set(drivername="postgresql", database="postgres").render_as_string(hide_password=False)
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute(statement)
