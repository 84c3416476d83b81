"""The weekend solution: indexed tables with interned profiles and a table of verdicts, in SQLite and PostgreSQL.

Written as its author would after a weekend's tuning: prepared statements, a partial index over free offers that
covers what is asked, statistics up to date. Neither waits for a disk: the clusters of this suite do not fsync, and
SQLite is told not to, so that both are a little better here than in earnest.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import psycopg
from fleets import Fleet, Host
from floor import Floor, Named

from support.postgres import Cluster

TABLES = (
    "CREATE TABLE profile (id INTEGER PRIMARY KEY, digest TEXT NOT NULL UNIQUE)",
    "CREATE TABLE verdict (source INTEGER, target INTEGER, compatible INTEGER, PRIMARY KEY (source, target))",
    "CREATE TABLE offer (host TEXT, type TEXT, profile INTEGER, free INTEGER, PRIMARY KEY (host, type))",
)
INDEX = "CREATE INDEX offer_free ON offer (profile, host, free) WHERE free > 0"
PAIR = (
    "SELECT v.compatible FROM offer s JOIN offer t ON t.type = s.type JOIN verdict v"
    " ON v.source = s.profile AND v.target = t.profile WHERE s.host = %s AND s.type = %s AND t.host = %s"
)
_ACCEPTING = (
    " FROM offer s JOIN verdict v ON v.source = s.profile AND v.compatible = 1 JOIN offer o"
    " ON o.profile = v.target AND o.free > 0 WHERE s.host = %s AND s.type = %s"
)
COUNT = "SELECT count(*)" + _ACCEPTING
NAMES = "SELECT o.host" + _ACCEPTING
FIRST = NAMES + " LIMIT 100"
UPDATE = (
    "INSERT INTO offer VALUES (%s, %s, %s, %s), (%s, %s, %s, %s), (%s, %s, %s, %s), (%s, %s, %s, %s)"
    " ON CONFLICT (host, type) DO UPDATE SET profile = excluded.profile, free = excluded.free"
)


class Weekend(Protocol):
    """One of the two."""

    name: str
    load_s: float

    def pair(self, asked: tuple[str, str, str]) -> object:
        """The verdict for a host's type and a target."""

    def count(self, source: Named) -> int:
        """How many hosts accept a type of a host."""

    def first(self, source: Named) -> list[Any]:
        """A hundred of them."""

    def names(self, source: Named) -> list[Any]:
        """All of them."""

    def update(self, host: Host) -> None:
        """Put the four offers of a host."""


def rows_of(fleet: Fleet, floor: Floor, hosts: Sequence[Host]) -> Iterator[tuple[str, str, int, int]]:
    """The rows of ``offer``."""
    for host in hosts:
        for kind, digest, free in zip(host.types, fleet.profile_digests(host), host.free, strict=True):
            yield host.hostname, kind, floor.numbers[digest], free


def verdict_rows(floor: Floor) -> list[tuple[int, int, int]]:
    """The rows of ``verdict``."""
    return [(source, target, int(yes)) for source, row in floor.verdicts.items() for target, yes in row.items()]


class Sqlite:
    """In this process, in a file."""

    name = "SQLite"

    def __init__(self, file: Path, fleet: Fleet, floor: Floor) -> None:
        self._fleet, self._floor = fleet, floor
        self._connection = sqlite3.connect(file, isolation_level=None)
        for statement in ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=OFF", "PRAGMA cache_size=-262144", *TABLES):
            self._connection.execute(statement)
        started = time.perf_counter()
        self._load()
        self.load_s = time.perf_counter() - started
        self._pair, self._count, self._first, self._names, self._update = (
            text.replace("%s", "?") for text in (PAIR, COUNT, FIRST, NAMES, UPDATE)
        )

    def _load(self) -> None:
        connection, floor = self._connection, self._floor
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO profile VALUES (?, ?)", [(n, d) for d, n in floor.numbers.items()])
        connection.executemany("INSERT INTO verdict VALUES (?, ?, ?)", verdict_rows(floor))
        rows = rows_of(self._fleet, floor, self._fleet.hosts)
        connection.executemany("INSERT INTO offer VALUES (?, ?, ?, ?)", rows)
        connection.execute(INDEX)
        connection.execute("COMMIT")
        connection.execute("ANALYZE")

    def pair(self, asked: tuple[str, str, str]) -> object:
        return self._connection.execute(self._pair, asked).fetchone()[0]

    def count(self, source: Named) -> int:
        found: int = self._connection.execute(self._count, source).fetchone()[0]
        return found

    def first(self, source: Named) -> list[Any]:
        return self._connection.execute(self._first, source).fetchall()

    def names(self, source: Named) -> list[Any]:
        return self._connection.execute(self._names, source).fetchall()

    def update(self, host: Host) -> None:
        rows = rows_of(self._fleet, self._floor, [host])
        self._connection.execute(self._update, [value for row in rows for value in row])

    def close(self) -> None:
        self._connection.close()


class PostgreSQL:
    """A server beside this process, asked over its socket."""

    name = "PostgreSQL"

    def __init__(self, cluster: Cluster, fleet: Fleet, floor: Floor) -> None:
        self._fleet, self._floor = fleet, floor
        self._connection: psycopg.Connection[Any] = cluster.connect()
        for statement in TABLES:
            self._ask(statement)
        started = time.perf_counter()
        self._load()
        self.load_s = time.perf_counter() - started

    def _load(self) -> None:
        floor = self._floor
        self._copy("profile", [(number, digest) for digest, number in floor.numbers.items()])
        self._copy("verdict", verdict_rows(floor))
        self._copy("offer", rows_of(self._fleet, floor, self._fleet.hosts))
        self._ask(INDEX)
        self._ask("VACUUM ANALYZE", prepare=False)

    def _copy(self, table: str, rows: Any) -> None:
        with self._connection.cursor() as cursor, cursor.copy(f"COPY {table} FROM STDIN".encode()) as copy:
            for row in rows:
                copy.write_row(row)

    def _ask(self, statement: str, values: Sequence[Any] | None = None, *, prepare: bool | None = None) -> Any:
        return self._connection.execute(statement.encode(), values, prepare=prepare)

    def pair(self, asked: tuple[str, str, str]) -> object:
        return self._ask(PAIR, asked, prepare=True).fetchone()[0]

    def count(self, source: Named) -> int:
        found: int = self._ask(COUNT, source, prepare=True).fetchone()[0]
        return found

    def first(self, source: Named) -> list[Any]:
        found: list[Any] = self._ask(FIRST, source, prepare=True).fetchall()
        return found

    def names(self, source: Named) -> list[Any]:
        found: list[Any] = self._ask(NAMES, source, prepare=True).fetchall()
        return found

    def update(self, host: Host) -> None:
        rows = rows_of(self._fleet, self._floor, [host])
        self._ask(UPDATE, [value for row in rows for value in row], prepare=True)

    def close(self) -> None:
        self._connection.close()
