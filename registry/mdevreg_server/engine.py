"""Engines for SQLite and PostgreSQL: pragmas, isolation, foreign exceptions turned into ours."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, NoSuchModuleError

from mdevreg.errors import AuthError, MdevregError, MissingExtraError, StateError, UnreachableError, UsageError

#: Code of what a database refuses to store: the statement's fault, not the disk's or the network's.
REFUSED = "DATABASE"
#: SQLite's result codes (sqlite.org/rescode.html), by their beginning.
_SQLITE = (
    ("SQLITE_BUSY", "locked"),
    ("SQLITE_LOCKED", "locked"),
    ("SQLITE_FULL", "full"),
    ("SQLITE_IOERR", "full"),
    ("SQLITE_READONLY", "read_only"),
    ("SQLITE_CANTOPEN", "read_only"),
    ("SQLITE_PERM", "read_only"),
    ("SQLITE_TOOBIG", "refused"),
    ("SQLITE_CONSTRAINT", "refused"),
    ("SQLITE_CORRUPT", "damaged"),
    ("SQLITE_NOTADB", "damaged"),
)
#: PostgreSQL's error codes (its manual, appendix A), by class or code.
_POSTGRESQL = (
    ("28", "auth"),
    ("42501", "auth"),
    ("42P01", "no_table"),
    ("55P03", "locked"),
    ("53100", "full"),
    ("25006", "read_only"),
    ("22", "refused"),
    ("23", "refused"),
    ("54", "refused"),
    ("XX", "damaged"),
)
#: What the kinds of faults are to us: code and sentence.
_STATES = {
    "no_table": ("STATE", "{where} has no registry in it ({text}); run: mdevreg-server db upgrade --database {where}"),
    "locked": ("DATABASE_LOCKED", "{where} is locked by another process: {text}"),
    "full": ("DISK_FULL", "the disk of {where} is full or fails ({text}); free space, nothing is lost"),
    "read_only": ("STATE", "{where} can't be opened for writing ({text}); check the owner of file and folder"),
    "damaged": ("DATABASE_DAMAGED", "{where} is damaged or no database ({text}); restore a copy"),
    "refused": (REFUSED, "{where} refused: {text}"),
}
#: SQLite moves its log into the database after so many pages of 4 KiB: rarely, since pages are written again and again.
CHECKPOINT_PAGES = 8_192
#: SQLite's page cache per connection: a batch's dirty pages should fit, or they are written twice.
CACHE_KIB = 32 * 1024
#: How long a writer waits for another one's lock.
BUSY_TIMEOUT_MS = 5_000


def open_engine(
    url: str, *, writer: bool, create: bool = False, timeout_s: float = BUSY_TIMEOUT_MS / 1000
) -> sa.Engine:
    """An engine for ``sqlite:///FILE`` or ``postgresql+psycopg://…``.

    ``create``: a SQLite file may be made, which only ``db upgrade`` and ``up`` do. ``writer``: transactions take the
    write lock at once (SQLite) and are serialised by the caller; otherwise each transaction reads one snapshot.
    ``timeout_s``: for a lock, a connection, and each statement of a reader. Raises ``UsageError``,
    ``MissingExtraError``, ``StateError``.
    """
    try:
        parsed = sa.make_url(url)
        dialect = parsed.get_backend_name()
    except sa.exc.ArgumentError as error:
        raise UsageError(f"{url!r} is no database URL; expected sqlite:///FILE or postgresql+psycopg://…") from error
    if dialect == "sqlite":
        return _sqlite(parsed, writer=writer, create=create, timeout_s=timeout_s)
    if dialect == "postgresql":
        return _postgresql(parsed, writer=writer, timeout_s=timeout_s)
    raise UsageError(f"{dialect} is not supported; expected sqlite:///FILE or postgresql+psycopg://…")


@contextmanager
def converted(engine: sa.Engine) -> Iterator[None]:
    """Turn the driver's exceptions into ours: unreachable, refused, locked, full, read-only."""
    try:
        yield
    except DBAPIError as error:
        raise _converted(error.orig or error, engine, lost=error.connection_invalidated) from error
    except engine.dialect.loaded_dbapi.Error as error:  # of a COPY, which SQLAlchemy does not see
        raise _converted(error, engine, lost=False) from error


def _sqlite(url: sa.URL, *, writer: bool, create: bool, timeout_s: float) -> sa.Engine:
    if url.database in (None, "", ":memory:"):
        raise UsageError("a SQLite registry needs a file: sqlite:////var/lib/mdevreg/registry.sqlite3")
    folder = Path(str(url.database)).resolve().parent
    if not folder.is_dir():
        raise StateError(f"there is no folder {folder} for the database; create it, or name another file")
    if not create and not Path(str(url.database)).exists():
        raise StateError(
            f"there is no database {url.database}; make it with: mdevreg-server db upgrade --database {url}"
        )
    engine = sa.create_engine(url, connect_args={"timeout": timeout_s}, pool_pre_ping=False)

    @sa.event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # explicit BEGIN below: a migration that fails rolls back whole
        # FULL: in WAL mode NORMAL may lose the last commits at power loss, which were acked to the broker.
        for pragma in (
            "journal_mode=WAL",
            f"wal_autocheckpoint={CHECKPOINT_PAGES}",
            f"cache_size=-{CACHE_KIB}",
            "synchronous=FULL",
            f"busy_timeout={int(timeout_s * 1000)}",
            "foreign_keys=ON",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writer else "BEGIN")

    return engine


def _postgresql(url: sa.URL, *, writer: bool, timeout_s: float) -> sa.Engine:
    durable = "-c synchronous_commit=on"  # a crash must not take back what agents were receipted for
    limit = f"-c statement_timeout={int(timeout_s * 1000)}"
    try:
        return sa.create_engine(
            url.set(drivername="postgresql+psycopg"),
            isolation_level="READ COMMITTED" if writer else "REPEATABLE READ",
            connect_args={"connect_timeout": max(2, int(timeout_s)), "options": durable if writer else limit},
            pool_pre_ping=True,
        )
    except (ModuleNotFoundError, NoSuchModuleError) as error:
        raise MissingExtraError("a PostgreSQL database", "postgresql") from error


def _converted(error: BaseException, engine: sa.Engine, *, lost: bool) -> MdevregError:
    text, where = str(error).strip(), engine.url.render_as_string(hide_password=True)
    kind = _kind(error)
    if kind == "auth":
        return AuthError(f"{where} refused the credentials: {text}")
    if kind in _STATES:
        code, sentence = _STATES[kind]
        return StateError(sentence.format(where=where, text=text), code=code)
    if lost or isinstance(error, engine.dialect.loaded_dbapi.OperationalError):
        return UnreachableError(f"{where} did not answer: {text}")
    return StateError(f"{where} refused: {text}", code=REFUSED)


def _kind(error: BaseException) -> str | None:
    """What went wrong, by the database's own code; ``None`` where it gave none that we know."""
    name = getattr(error, "sqlite_errorname", None)
    if name is not None:
        no_table = "no such table" in str(error)  # SQLite says no more than SQLITE_ERROR
        return "no_table" if no_table else next((kind for start, kind in _SQLITE if name.startswith(start)), None)
    state = getattr(error, "sqlstate", None)
    if state is None:  # libpq refused before a session began: there is only its text
        return "auth" if "authentication failed" in str(error) else None
    return next((kind for start, kind in _POSTGRESQL if state.startswith(start)), None)
