"""Which processes share a registry, and which of them holds what: advisory locks of one PostgreSQL session each.

The database itself counts the living and gives the seats of the dead free: a session ends with its process, and the
database ends one that was silent for ``SILENT_S`` (a process that is stopped, a machine that lost its power).
"""

from __future__ import annotations

import sqlalchemy as sa

from mdevreg.errors import StateError, UsageError
from mdevreg_server.claim import ADVISORY_KEY, taken, within_patience
from mdevreg_server.engine import converted
from mdevreg_server.partitions import MAX_PARTITIONS

#: A session that says nothing for so long is ended by the database. One that lives speaks every 2 s.
SILENT_S = 20
#: A transaction in which nothing is said for so long is ended too: it may hold the log's position.
STUCK_S = 30
#: How soon the database finds that a machine is gone: s, s, times.
_KEEPALIVES = {"tcp_keepalives_idle": 10, "tcp_keepalives_interval": 5, "tcp_keepalives_count": 3}
#: Seats beyond the partitions.
DRAINING = MAX_PARTITIONS
LEADING = MAX_PARTITIONS + 1

#: Classes of two-key advisory locks: "mdm" + number.
_MEMBERS, _SEATS, _AGREEING = 0x6D646D01, 0x6D646D02, 0x6D646D03
#: idle_session_timeout is as old as this.
_OLDEST = (14,)
_LOCKS = sa.table(
    "pg_locks", *map(sa.column, ("locktype", "database", "classid", "objid", "objsubid", "granted", "pid"))
)
_HERE = sa.text("database = (SELECT oid FROM pg_database WHERE datname = current_database())")


class Member:
    """One process among those that share a database. Used by one thread at a time. ``of``: partitions."""

    def __init__(self, engine: sa.Engine, of: int) -> None:
        self._engine, self._of = engine, of
        self._session: sa.Connection | None = None
        self._seats: set[int] = set()  # one lock each: the database counts how often it was taken

    def look(self) -> int:
        """How many processes share the registry, this one included; joins them first, where it has not yet.

        Raises ``StateError`` (code SECOND_WRITER: a registry that does not share; code PARTITIONS: another number of
        partitions), ``UnreachableError``; then nothing is held any more.
        """
        try:
            with converted(self._engine):
                session = self._session or self._joined()
                return session.scalar(sa.select(sa.func.count()).where(*_held(_MEMBERS, self._of))) or 0
        except BaseException:
            self.leave()
            raise

    @property
    def joined(self) -> bool:
        """Whether it was one of them the last time that it looked."""
        return self._session is not None

    def hold(self, seat: int) -> bool:
        """Take a seat, if it is free. Returns whether we have it."""
        if seat not in self._seats and self._in_session(sa.func.pg_try_advisory_lock(_SEATS, seat)):
            self._seats.add(seat)
        return seat in self._seats

    def let_go(self, seat: int) -> None:
        """Give a seat back, if we have it."""
        if seat in self._seats:
            self._seats.discard(seat)
            self._in_session(sa.func.pg_advisory_unlock(_SEATS, seat))

    def leave(self) -> None:
        """Give everything back."""
        if self._session is not None:
            self._session.invalidate()  # its end is the locks'; the pool must not keep it
            self._session.close()
        self._session = None
        self._seats.clear()

    def _in_session(self, call: sa.sql.functions.Function[bool]) -> bool | None:
        if self._session is None:
            raise StateError("the session that held the seats is gone", code="MEMBERSHIP_LOST")
        with converted(self._engine):
            return self._session.scalar(sa.select(call))

    def _joined(self) -> sa.Connection:
        session = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        self._session = session
        found = session.dialect.server_version_info or _OLDEST
        if found < _OLDEST:
            raise UsageError(f"partitions need PostgreSQL 14 or newer; this is {'.'.join(map(str, found))}")
        session.exec_driver_sql(f"SET idle_session_timeout = '{SILENT_S}s'")
        shared = sa.select(sa.func.pg_try_advisory_lock_shared(ADVISORY_KEY))
        if not within_patience(lambda: bool(session.scalar(shared))):
            raise taken(self._engine)
        self._agree(session)
        return session

    def _agree(self, session: sa.Connection) -> None:
        """On the number of partitions; one after the other."""
        session.execute(sa.select(sa.func.pg_advisory_lock(_AGREEING, 0)))
        others = (*_held(_MEMBERS), _LOCKS.c.objid != self._of)
        other = session.scalar(sa.select(_LOCKS.c.objid).where(*others).limit(1))
        if other is not None:
            where = self._engine.url.render_as_string(hide_password=True)
            text = f"the registries on {where} share it in {other} partitions, this one was started with {self._of}; "
            raise StateError(f"{text}stop them all first, or start it with --partitions {other}", code="PARTITIONS")
        session.execute(sa.select(sa.func.pg_advisory_lock_shared(_MEMBERS, self._of)))
        session.execute(sa.select(sa.func.pg_advisory_unlock(_AGREEING, 0)))


def check_shareable(engine: sa.Engine) -> None:
    """Make an engine fit for a database that is shared. Raises ``UsageError`` for one that can't be.

    From now on the database ends a transaction of this engine in which nothing is said for ``STUCK_S``.
    """
    if engine.dialect.name != "postgresql":
        text = "only a PostgreSQL registry can be shared; leave --partitions out, SQLite has one writer"
        raise UsageError(text)

    @sa.event.listens_for(engine, "connect")
    def bound(connection: sa.engine.interfaces.DBAPIConnection, _record: object) -> None:
        cursor = connection.cursor()
        cursor.execute(f"SET idle_in_transaction_session_timeout = '{STUCK_S}s'")
        for name, value in _KEEPALIVES.items():  # the only limit to a COPY whose sender's machine is gone
            cursor.execute(f"SET {name} = {value}")
        cursor.close()
        connection.commit()


def _held(kind: int, key: int | None = None) -> tuple[sa.ColumnElement[bool] | sa.TextClause, ...]:
    """The granted two-key locks of a class, in this database."""
    two_keys = (_LOCKS.c.locktype == "advisory", _LOCKS.c.objsubid == 2, _LOCKS.c.granted, _HERE)  # noqa: PLR2004
    mine = sa.cast(_LOCKS.c.classid, sa.BigInteger) == kind
    return (*two_keys, mine) if key is None else (*two_keys, mine, sa.cast(_LOCKS.c.objid, sa.BigInteger) == key)
