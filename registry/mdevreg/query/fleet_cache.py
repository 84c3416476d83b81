"""What a replica knows, on disk: so that a restarted control plane answers at once, with broker and registry away.

A SQLite file of the fleet stream's messages by subject, hosts without their documents, and how far it has got; both
are written in one transaction. It is a cache: a file that can't be read is set aside and made anew.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from mdevreg.errors import DecodeError, StateError
from mdevreg.published import FLEET_SCHEMA, decode_head
from mdevreg.query.following import Kept
from mdevreg.subjects import FLEET

_LOT = 2_000
_encoder = msgspec.json.Encoder()
#: The order in which kinds of messages are taken in: what others refer to comes first.
_KINDS = ("profile", "amendment", "host", "presence")
_SCHEMA = """
CREATE TABLE IF NOT EXISTS message (
    subject TEXT PRIMARY KEY, kind TEXT NOT NULL, place TEXT NOT NULL, data BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS mark (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""


#: SQLite's ``application_id`` of a cache, at its place in the file's header (sqlite.org/fileformat.html): "mdev".
APPLICATION_ID = 0x6D646576
_HEADER = (b"SQLite format 3\x00", slice(68, 72))


class FleetCache:
    """One file, of one user. Used by one thread at a time.

    Raises ``StateError`` if another has it, or if what is there is no cache of ours: nothing of others is touched.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        _check_ours(file)
        self._lock = _locked(file)
        self.set_aside: Path | None = None  # a cache that could not be read
        try:
            self._connection = _opened(file)
        except sqlite3.DatabaseError:
            self.set_aside = file.with_name(file.name + ".broken")
            file.replace(self.set_aside)
            self._connection = _opened(file)

    @property
    def kept(self) -> Kept | None:
        """How far it has got; ``None``: it holds no whole fleet, or that of another program's format."""
        marks = dict(self._connection.execute("SELECT name, value FROM mark"))
        if marks.get("format") != FLEET_SCHEMA or marks.get("complete") != "yes":
            return None
        return Kept(marks["life"], int(marks["stream_seq"]), int(marks["at_us"]))

    def lots(self) -> Iterator[Sequence[tuple[str, bytes]]]:
        """Its messages, in lots, in an order in which they can be taken in."""
        for kind in _KINDS:
            rows = self._connection.execute("SELECT subject, data FROM message WHERE kind = ? ORDER BY place", (kind,))
            while lot := rows.fetchmany(_LOT):
                yield lot

    def keep(self, lot: Sequence[tuple[str, bytes]], kept: Kept, *, complete: bool, anew: bool) -> None:
        """Keep a lot of messages, and how far that is. ``anew``: what was kept before is of another life."""
        with self._connection:
            if anew:
                self._connection.execute("DELETE FROM message")
            gone = [(subject,) for subject, data in lot if not data]
            self._connection.executemany("DELETE FROM message WHERE subject = ?", gone)
            rows = [_row(subject, data) for subject, data in lot if data]
            self._connection.executemany("INSERT OR REPLACE INTO message VALUES (?, ?, ?, ?)", rows)
            marks = {"format": FLEET_SCHEMA, "life": kept.life, "stream_seq": str(kept.stream_seq)}
            marks |= {"complete": "yes" if complete else "no", "at_us": str(time.time_ns() // 1_000)}
            self._connection.executemany("INSERT OR REPLACE INTO mark VALUES (?, ?)", list(marks.items()))

    def close(self) -> None:
        """Let go of the file. Closing twice is allowed."""
        self._connection.close()
        if self._lock is not None:
            os.close(self._lock)
        self._lock = None


def _opened(file: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(file, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")  # a cache may lose its last second, not its wholeness
        connection.executescript(_SCHEMA)
        connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
        connection.execute("SELECT count(*) FROM mark").fetchone()
    except sqlite3.DatabaseError:
        connection.close()
        raise
    return connection


def _check_ours(file: Path) -> None:
    """Whether a cache may be kept there: nothing is there yet, or one of ours."""
    if not file.exists():
        return
    try:
        head = b"" if file.is_dir() else _head_of(file)
    except OSError as error:
        raise StateError(f"the cache {file} can't be read: {error.strerror}", code="CACHE_FOLDER") from error
    magic, where = _HEADER
    if file.is_dir() or not head.startswith(magic) or int.from_bytes(head[where]) != APPLICATION_ID:
        what = "a folder" if file.is_dir() else "a file that is no cache of mdevreg"
        raise StateError(f"{file} is {what}; name a file of its own for the cache", code="CACHE_FOREIGN")


def _head_of(file: Path) -> bytes:
    with file.open("rb") as opened:
        return opened.read(100)


def _locked(file: Path) -> int | None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(file.with_name(file.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    except OSError as error:
        text = f"can't keep a cache at {file}: {error.strerror}; make its folder writable, or name another file"
        raise StateError(text, code="CACHE_FOLDER") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(lock)
        text = f"another replica keeps its cache at {file}; give each a file of its own"
        raise StateError(text, code="CACHE_IN_USE") from error
    return lock


def _row(subject: str, data: bytes) -> tuple[str, str, str, bytes]:
    kind, _, token = subject[len(FLEET) + 1 :].partition(".")
    place = token
    if kind == "amendment":
        position, _, part = token.partition("-")
        place = f"{int(position):020}-{int(part or 0):06}"
    elif kind == "host":
        with suppress(DecodeError):  # kept as it is; taking it in will tell
            head = decode_head(data)
            data = data if head.index is None else _encoder.encode(head)
    return subject, kind, place, data
