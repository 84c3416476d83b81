"""Backups as docs/operations.md has them: made while a registry writes, restored where none does."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import psycopg
import sqlalchemy as sa
from psycopg import sql

from support.postgres import find_binaries
from support.scene import Scene


def backed_up(scene: Scene) -> Callable[[], None]:
    """Back the scene's database up; the function that is returned restores it. Nobody may be connected then."""
    url = sa.make_url(scene.database)
    assert url.database is not None
    if url.get_backend_name() == "sqlite":
        return _file(scene, Path(url.database))
    return _dump(url, url.database, scene.folder / "registry.dump")


def _file(scene: Scene, file: Path) -> Callable[[], None]:
    copy = scene.folder / "backup.sqlite3"
    assert scene.server("db", "backup", str(copy)) == 0, scene.said

    def restore() -> None:
        for suffix in ("-wal", "-shm"):
            file.with_name(file.name + suffix).unlink(missing_ok=True)
        shutil.copyfile(copy, file)

    return restore


def _dump(url: sa.URL, name: str, file: Path) -> Callable[[], None]:
    _run("pg_dump", "--format=custom", f"--file={file}", f"--dbname={_plain(url)}")

    def restore() -> None:
        with psycopg.connect(_plain(url.set(database="postgres")), autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
            connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
        _run("pg_restore", "--exit-on-error", f"--dbname={_plain(url)}", str(file))

    return restore


def _plain(url: sa.URL) -> str:
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


def _run(*command: str) -> None:
    program, *arguments = command
    done = subprocess.run([find_binaries() / program, *arguments], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
