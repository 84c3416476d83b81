"""Writes the rows of one table into a file, hashing what it writes."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Literal, Protocol

import msgspec

from mdevreg.export.columns import Row, Table
from mdevreg.export.manifest import FileMade

Format = Literal["jsonl", "parquet"]
_AT_ONCE = 1024 * 1024


class TableFile(Protocol):
    """A file that is being written."""

    def add(self, row: Row) -> None:
        """One more row."""
        ...

    def close(self) -> FileMade:
        """Finish it; it is on the disk when this returns."""
        ...

    def drop(self) -> None:
        """Let go of it unfinished."""
        ...


class JsonLines:
    """A line per row: an object with all columns, times in RFC 3339."""

    def __init__(self, folder: Path, table: Table) -> None:
        self._path = folder / f"{table.name}.jsonl"
        self._table = table
        self._file = self._path.open("xb")
        self._encoder = msgspec.json.Encoder()
        self._rows = 0

    def add(self, row: Row) -> None:
        """One more row."""
        names = (column.name for column in self._table.columns)
        self._file.write(self._encoder.encode(dict(zip(names, row, strict=True))) + b"\n")
        self._rows += 1

    def close(self) -> FileMade:
        """Finish it."""
        self._file.close()
        return made(self._path, self._table, "jsonl", self._rows)

    def drop(self) -> None:
        """Let go of it unfinished."""
        self._file.close()


def made(path: Path, table: Table, form: Format, rows: int) -> FileMade:
    """What the manifest says of a finished file."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
    size, sha256 = measured(path)
    return FileMade(path.name, table.name, form, rows, size, sha256)


def measured(path: Path) -> tuple[int, str]:
    """Size in bytes, and SHA-256 in hex. Raises ``OSError``."""
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while part := file.read(_AT_ONCE):
            digest.update(part)
            size += len(part)
    return size, digest.hexdigest()
