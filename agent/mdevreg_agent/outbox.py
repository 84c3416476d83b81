"""The outbox: the last picture and every record without a receipt, in one SQLite file.

Rules of this file:

1. Picture and records change in one transaction, so that a crash loses neither or both.
2. ``seq`` has no gaps inside an epoch; an epoch is one life of this file.
3. Only the registry's receipt, or a declared overflow, removes a record.
4. A file that is not a sound outbox of this host is moved aside and kept, never deleted.

SQLite: WAL, synchronous=FULL (a commit survives power loss), explicit transactions.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from mdevreg import wire
from mdevreg.errors import StateError
from mdevreg.records import EMPTY_DIGEST, SCHEMA, Cause, Record, digest_of, state_digest
from mdevreg_agent.diff import Change
from mdevreg_agent.picture import Documents
from mdevreg_agent.standing import Standing

OUTBOX_FILE = "outbox.sqlite3"
#: PRAGMA application_id: "mdev".
APPLICATION_ID = 0x6D646576
FORMAT = 1
#: Key of the host's own facts among the parents' paths, which are never empty.
_FACTS = ""
_NUMBERS = ("last_seq", "settled_seq", "receipted", "dropped")
_TABLES = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value NOT NULL)",
    "CREATE TABLE picture (path TEXT PRIMARY KEY, digest TEXT NOT NULL, raw BLOB NOT NULL)",
    "CREATE TABLE unsent (seq INTEGER PRIMARY KEY, size INTEGER NOT NULL, digest TEXT NOT NULL, record BLOB NOT NULL)",
)

Sealed = tuple[Record, bytes]


def open_outbox(
    folder: Path, *, host: str, new_epoch: Callable[[], str], busy_s: float = 5.0
) -> tuple[Outbox, str | None]:
    """The outbox of ``host`` in ``folder``, made if need be; and what was moved aside, in words, or ``None``.

    Raises ``StateError``: the file can't be opened or written, or another program keeps it locked for ``busy_s``.
    """
    path = folder / OUTBOX_FILE
    with _as_state_error(path):
        database, fault = _open_sound(path, host, busy_s)
        moved = None
        if database is None:
            moved = f"{fault}; kept as {_move_aside(path, new_epoch())}"
            database = _connect(path, busy_s)
        outbox = Outbox(database, path)
        outbox.prepare(host, new_epoch)
    return outbox, moved


class Outbox:
    """One host's outbox. Used by one thread at a time; every method raises ``StateError`` on a failing disk or lock."""

    def __init__(self, database: sqlite3.Connection, path: Path) -> None:
        self._database = database
        self._path = path

    def prepare(self, host: str, new_epoch: Callable[[], str]) -> None:
        """Make the tables and the first epoch in a new file; nothing in an old one."""
        if _pragma(self._database, "application_id") == APPLICATION_ID:
            return
        with self.transaction():
            for table in _TABLES:
                self._database.execute(table)
            meta = {"host": host, "epoch": new_epoch(), **dict.fromkeys(_NUMBERS, 0)}
            self._database.executemany("INSERT INTO meta VALUES (?, ?)", meta.items())
            self._database.execute(f"PRAGMA user_version = {FORMAT}")
            self._database.execute(f"PRAGMA application_id = {APPLICATION_ID}")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing. Raises ``StateError`` for what SQLite refused, with nothing changed."""
        with _as_state_error(self._path):
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._database.execute("COMMIT")
            finally:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")

    def standing(self) -> Standing:
        """Where the agent stands now."""
        with _as_state_error(self._path):
            meta = dict(self._database.execute("SELECT key, value FROM meta"))
            unsent, size = self._database.execute("SELECT count(*), coalesce(sum(size), 0) FROM unsent").fetchone()
            digests = dict(self._database.execute("SELECT path, digest FROM picture"))
        facts = digests.pop(_FACTS, None)
        return Standing(
            host=meta["host"],
            epoch=meta["epoch"],
            last_seq=meta["last_seq"],
            settled_seq=meta["settled_seq"],
            receipted=bool(meta["receipted"]),
            digest=state_digest(facts, digests) if facts else EMPTY_DIGEST,
            unsent=unsent,
            unsent_bytes=size,
            dropped=meta["dropped"],
        )

    def picture(self) -> Documents | None:
        """What the records so far describe; ``None`` before the first."""
        with _as_state_error(self._path):
            parents = dict(self._database.execute("SELECT path, raw FROM picture ORDER BY path"))
        facts = parents.pop(_FACTS, None)
        return None if facts is None else Documents(facts=facts, parents=parents)

    def seal(self, changes: Sequence[Change], *, cause: Cause, observed_at: datetime) -> list[Sealed]:
        """Changes as records with the next sequence numbers, each with its bytes. Stores nothing."""
        now = self.standing()
        records = [
            Record(
                schema=SCHEMA,
                host=now.host,
                epoch=now.epoch,
                seq=seq,
                digest=change.digest,
                observed_at=observed_at,
                cause=cause,
                body=change.body,
            )
            for seq, change in enumerate(changes, start=now.last_seq + 1)
        ]
        return [(record, wire.encode(record)) for record in records]

    def store(self, sealed: Sequence[Sealed], current: Documents) -> None:
        """Keep sealed records until their receipt, and ``current`` as the picture. Inside ``transaction``."""
        rows = [(record.seq, len(data), record.digest, data) for record, data in sealed]
        self._database.executemany("INSERT INTO unsent VALUES (?, ?, ?, ?)", rows)
        self._set(last_seq=sealed[-1][0].seq)
        documents = {_FACTS: current.facts, **current.parents}
        known = dict(self._database.execute("SELECT path, digest FROM picture"))
        new = [(path, digest_of(raw), raw) for path, raw in documents.items() if known.get(path) != digest_of(raw)]
        gone = [(path,) for path in known if path not in documents]
        self._database.executemany("INSERT OR REPLACE INTO picture VALUES (?, ?, ?)", new)
        self._database.executemany("DELETE FROM picture WHERE path = ?", gone)

    def drop_unsent(self) -> int:
        """Give up every record without a receipt; how many. Inside ``transaction``, by a snapshot that says so."""
        dropped = self._database.execute("DELETE FROM unsent").rowcount
        self._database.execute("UPDATE meta SET value = value + ? WHERE key = 'dropped'", (dropped,))
        return dropped

    def settle(self, seq: int) -> None:
        """The registry's receipt: everything up to ``seq`` is safe there. Inside ``transaction``."""
        self._database.execute("DELETE FROM unsent WHERE seq <= ?", (seq,))
        self._database.execute("UPDATE meta SET value = max(value, ?) WHERE key = 'settled_seq'", (seq,))
        self._set(receipted=1)

    def renew(self, epoch: str) -> None:
        """Start a new epoch: no records, ``seq`` from 1; the picture stays. Inside ``transaction``."""
        self.drop_unsent()
        self._set(epoch=epoch, last_seq=0, settled_seq=0, receipted=0)

    def unsent(self, *, after: int, limit: int = 64) -> list[tuple[int, bytes]]:
        """Records without a receipt and with a higher ``seq`` than ``after``, in order: seq and bytes."""
        query = "SELECT seq, record FROM unsent WHERE seq > ? ORDER BY seq LIMIT ?"
        with _as_state_error(self._path):
            return self._database.execute(query, (after, limit)).fetchall()

    def close(self) -> None:
        """Close the file; its write-ahead log is folded in."""
        self._database.close()

    def _set(self, **values: str | int) -> None:
        self._database.executemany("UPDATE meta SET value = ? WHERE key = ?", [(v, k) for k, v in values.items()])


@contextmanager
def _as_state_error(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise StateError(
            f"the outbox {path} failed: {error}; see to the disk, its space and its permissions"
        ) from error


def _connect(path: Path, busy_s: float) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=busy_s, isolation_level=None)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.execute("PRAGMA journal_size_limit = 4194304")
    except sqlite3.Error:
        database.close()
        raise
    return database


def _open_sound(path: Path, host: str, busy_s: float) -> tuple[sqlite3.Connection | None, str]:
    """The open database if it is new or a sound outbox of ``host``; else ``None`` and what is wrong with it."""
    try:
        database = _connect(path, busy_s)
    except sqlite3.OperationalError:
        raise  # the place is at fault, not the file: locked, full, read-only
    except sqlite3.DatabaseError as error:
        return None, f"{path} is damaged ({error})"
    try:
        fault = _fault(database, host)
    except sqlite3.OperationalError:
        database.close()
        raise
    except sqlite3.DatabaseError as error:
        fault = f"damaged ({error})"
    if fault is None:
        return database, ""
    database.close()
    return None, f"{path} is {fault}"


def _fault(database: sqlite3.Connection, host: str) -> str | None:
    if database.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,):
        return None
    if _pragma(database, "application_id") != APPLICATION_ID:
        return "no outbox"
    if _pragma(database, "user_version") != FORMAT:
        return f"an outbox of format {_pragma(database, 'user_version')}, not {FORMAT}"
    checked = database.execute("PRAGMA quick_check(1)").fetchone()[0]
    if checked != "ok":
        return f"damaged ({checked})"
    owner = database.execute("SELECT value FROM meta WHERE key = 'host'").fetchone()[0]
    return None if owner == host else f"the outbox of host {owner}"


def _pragma(database: sqlite3.Connection, name: str) -> int:
    value: int = database.execute(f"PRAGMA {name}").fetchone()[0]
    return value


def _move_aside(path: Path, token: str) -> Path:
    kept = path.with_name(f"{path.name}.aside-{token}")
    for suffix in ("-wal", "-shm", ""):  # the log first: alone it would be taken for the new file's
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.replace(kept.with_name(kept.name + suffix))
    return kept
