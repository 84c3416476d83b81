"""Copies a registry's SQLite database while it is used: a file that is whole, as of one commit."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import sqlalchemy as sa

from mdevreg.errors import StateError, UsageError
from mdevreg_server.engine import converted

#: Pages that are copied before somebody who waits may write (4 KiB each).
PAGES = 4_096


def back_up(engine: sa.Engine, target: Path, told: Callable[[int, int], None] = lambda _done, _all: None) -> int:
    """Copy the database of an engine to a new file; its size in bytes.

    The copy appears under its name when it is complete and on the disk, with nobody's permissions but the owner's.
    ``told``: pages done, of all. Raises ``UsageError`` for another database than SQLite's, ``StateError``.
    """
    if engine.dialect.name != "sqlite":
        text = "db backup copies SQLite files; PostgreSQL has pg_dump and pg_basebackup: docs/operations.md"
        raise UsageError(text)
    if target.exists():
        raise StateError(f"{target} is there already; name another file, a copy is never written over")
    part = target.with_name(f".{target.name}.part")
    try:
        with converted(engine), engine.connect() as connection:
            source = connection.connection.driver_connection
            assert isinstance(source, sqlite3.Connection)
            _copy(source, part, told)
        part.rename(target)
        _sync(target.parent)
    except (OSError, sqlite3.Error) as error:
        raise StateError(f"{target} can't be written: {error}; nothing was left of it") from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
    return target.stat().st_size


def _copy(source: sqlite3.Connection, part: Path, told: Callable[[int, int], None]) -> None:
    os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
    with closing(sqlite3.connect(part)) as copy:
        source.backup(copy, pages=PAGES, progress=lambda _, left, pages: told(pages - left, pages))
        copy.execute("PRAGMA journal_mode=DELETE")  # one file, nothing beside it
    _sync(part)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
