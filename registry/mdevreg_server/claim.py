"""One registry per database: a claim that ends with the process, or the connection, that holds it.

Registries that share one (``membership``) hold the advisory lock shared, so that they and the sole one exclude each
other.

SQLite: flock(2) on a file beside the database. PostgreSQL: a session's advisory lock (through a pooler, sessions
must be kept). The ledger's fence stays what protects the history; the claim protects the registry that was
there first from one that is started by mistake.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import sqlalchemy as sa

from mdevreg.errors import StateError
from mdevreg_server.engine import converted

#: Key of pg_try_advisory_lock, whose locks are per database: "mdevreg".
ADVISORY_KEY = 0x6D646576726567
#: A process that was killed a moment ago may still be holding it.
PATIENCE_S = 2.0


class Claim(Protocol):
    """The right to write to a database. Used by one thread at a time."""

    def take(self) -> None:
        """Take it, again where it was lost; nothing if it is held. Raises ``StateError`` (code SECOND_WRITER)."""
        ...

    def release(self) -> None:
        """Let it go, if it is held."""
        ...


def claim_of(engine: sa.Engine) -> Claim:
    """The claim on an engine's database, not taken yet."""
    if engine.dialect.name == "sqlite":
        return _FileClaim(engine)
    return _AdvisoryClaim(engine)


class _FileClaim:
    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._path = Path(f"{engine.url.database}.writer")
        self._file: int | None = None

    def take(self) -> None:
        if self._file is not None:
            return
        try:
            file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        except OSError as error:
            raise StateError(f"{self._path} can't be written: {error.strerror}; make its folder writable") from error
        if not within_patience(lambda: _locked(file)):
            os.close(file)
            raise taken(self._engine)
        self._file = file

    def release(self) -> None:
        if self._file is not None:
            os.close(self._file)
        self._file = None


class _AdvisoryClaim:
    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._session: sa.Connection | None = None

    def take(self) -> None:
        if self._holds():
            return
        with converted(self._engine):
            session = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            lock = sa.select(sa.func.pg_try_advisory_lock(ADVISORY_KEY))
            if not within_patience(lambda: bool(session.scalar(lock))):
                session.close()
                raise taken(self._engine)
        self._session = session

    def release(self) -> None:
        if self._session is not None:
            self._session.invalidate()  # its end is the lock's; the pool must not keep it
            self._session.close()
        self._session = None

    def _holds(self) -> bool:
        """Whether the session lives: its lock lives as long."""
        if self._session is None:
            return False
        with suppress(sa.exc.DBAPIError):
            self._session.scalar(sa.select(1))
            return True
        self.release()
        return False


def _locked(file: int) -> bool:
    with suppress(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def within_patience(attempt: Callable[[], bool]) -> bool:
    """Whether an attempt succeeded within ``PATIENCE_S``."""
    deadline = time.monotonic() + PATIENCE_S
    while not attempt():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def taken(engine: sa.Engine) -> StateError:
    """The error of a database that is another registry's."""
    where = engine.url.render_as_string(hide_password=True)
    return StateError(
        f"another registry writes to {where}; stop it first, or give this one a database of its own",
        code="SECOND_WRITER",
    )
