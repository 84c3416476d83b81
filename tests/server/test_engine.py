"""What a database says becomes one of our errors, by its code: words in a message may be a record's own."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa

from mdevreg.errors import AuthError, MdevregError, StateError, UnreachableError, UsageError
from mdevreg_server.engine import REFUSED, converted, open_engine
from support.registry import migrated


def _fails(url: str, statement: str, *, writer: bool = True, timeout_s: float = 0.3) -> MdevregError:
    engine = open_engine(url, writer=writer, create=True, timeout_s=timeout_s)
    try:
        with pytest.raises(MdevregError) as caught, converted(engine), engine.begin() as connection:
            connection.exec_driver_sql(statement)
    finally:
        engine.dispose()
    return caught.value


def test_tables_that_are_not_there_name_the_command_to_run(database_url: str) -> None:
    """A database without a registry in it."""
    error = _fails(database_url, "SELECT * FROM record_log")
    assert isinstance(error, StateError)
    assert "mdevreg-server db upgrade" in error.message
    assert "***" in error.message or database_url.startswith("sqlite")


@pytest.mark.parametrize("word", ["disk full", "locked", "permission denied", "no such table: x", "readonly"])
def test_the_words_of_a_record_decide_nothing(engine: sa.Engine, word: str) -> None:
    """A refused statement quotes what was to be stored."""
    url = engine.url.render_as_string(hide_password=False)
    key = f"INSERT INTO profile (digest, body) VALUES ('{word}', '')"
    error = _fails(url, f"{key}, ('{word}', '')")
    assert error.code == REFUSED


def test_a_lock_is_told_as_such(engine: sa.Engine) -> None:
    """Waited for, up to a bound, then told."""
    url = engine.url.render_as_string(hide_password=False)
    with engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM profile")
        if engine.dialect.name == "sqlite":
            assert _fails(url, "SELECT 1").code == "DATABASE_LOCKED"
        else:
            connection.exec_driver_sql("LOCK TABLE profile")
            assert _fails(url, "LOCK TABLE profile NOWAIT").code == "DATABASE_LOCKED"


def test_a_readers_statement_that_takes_too_long_is_ended(postgresql_database_url: str) -> None:
    """A question is bounded in time."""
    error = _fails(postgresql_database_url, "SELECT pg_sleep(5)", writer=False)
    assert isinstance(error, UnreachableError)


def test_wrong_credentials_are_told_as_such(postgresql_database_url: str) -> None:
    """Exit code 4."""
    wrong = sa.make_url(postgresql_database_url).set(username="nobody_of_that_name", password="wrong")
    error = _fails(wrong.render_as_string(hide_password=False), "SELECT 1")
    assert isinstance(error, AuthError)
    assert "wrong" not in error.message


def test_a_file_that_is_no_database_is_told_as_such(tmp_path: Path) -> None:
    """Restoring a copy is the way out, not waiting."""
    (tmp_path / "x").write_bytes(b"this is no database, and it is longer than a header of one hundred bytes" * 9)
    assert _fails(f"sqlite:///{tmp_path / 'x'}", "SELECT 1").code == "DATABASE_DAMAGED"


def test_a_file_that_can_not_be_written_is_told_as_such(tmp_path: Path) -> None:
    """Here: a folder where the file should be."""
    (tmp_path / "x").mkdir()
    assert "can't be opened" in _fails(f"sqlite:///{tmp_path / 'x'}", "SELECT 1").message


def test_a_full_disk_is_told_as_such_and_takes_nothing_along(sqlite_database_url: str) -> None:
    """SQLite's own bound on the file's size is the same code as a disk without room."""
    with migrated(sqlite_database_url) as engine:
        _bound_pages(engine)
        with pytest.raises(StateError) as caught, converted(engine), engine.begin() as connection:
            connection.exec_driver_sql("INSERT INTO profile VALUES ('x', zeroblob(1000000))")
        assert caught.value.code == "DISK_FULL"
        with engine.connect() as connection:
            assert connection.scalar(sa.text("SELECT count(*) FROM profile")) == 0


def _bound_pages(engine: sa.Engine) -> None:
    engine.dispose()

    @sa.event.listens_for(engine, "connect")
    def bound(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute("PRAGMA max_page_count=1")  # SQLite takes at least what there is


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("nonsense", UsageError),
        ("mysql://x/y", UsageError),
        ("sqlite://", UsageError),
        ("sqlite:////nowhere/at/all/x.sqlite", StateError),
    ],
)
def test_a_url_that_can_not_be_meant_is_refused_at_once(url: str, kind: type[MdevregError]) -> None:
    """Said: what was found, what was expected."""
    with pytest.raises(kind, match=r"sqlite:///|there is no folder"):
        open_engine(url, writer=True, create=True)
