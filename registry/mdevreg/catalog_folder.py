"""Operators' catalog files: folders of TOML, read whole. What is faulty is told by file and line, the rest is used."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import msgspec

from mdevreg.catalog import Entry
from mdevreg.catalog_file import MAX_FILE_CHARS, read_catalog_file
from mdevreg.errors import CatalogError, StateError
from mdevreg.texts import printable

#: Most files in a folder.
MAX_FILES = 1_000
#: No text of ``MAX_FILE_CHARS`` has more bytes.
MAX_FILE_BYTES = 4 * MAX_FILE_CHARS


class Refused(msgspec.Struct, frozen=True):
    """A file that can't be used: its name, its beginning, and what is wrong with it."""

    file: str
    data: bytes
    error: CatalogError


class Reading(msgspec.Struct, frozen=True):
    """What was found. ``files``: how many were looked at."""

    entries: tuple[Entry, ...] = ()
    refused: tuple[Refused, ...] = ()
    files: int = 0


#: Name, size, times of change, inode of each file: what differs tells that the folder is to be read again.
Stamp = tuple[tuple[str, int, int, int, int], ...]


def files_of(place: Path) -> list[Path]:
    """The catalog files of a folder, by name; a file is itself. Raises ``StateError`` if it can't be read."""
    try:
        if not place.is_dir() and place.exists():
            return [place]
        found = sorted(file for file in place.iterdir() if file.suffix == ".toml" and not file.name.startswith("."))
    except OSError as error:
        expected = "a folder of *.toml files, or one of them"
        text = f"{printable(str(place))} can't be read: {error.strerror}; expected {expected}"
        raise StateError(text, code="CATALOG_FOLDER") from error
    if len(found) > MAX_FILES:
        raise StateError(f"{printable(str(place))} holds {len(found)} files; at most {MAX_FILES} are read")
    return found


def stamp_of(folder: Path) -> Stamp:
    """What a folder looks like from outside. Raises ``StateError``."""
    return tuple(_look(file) for file in files_of(folder))


def _look(file: Path) -> tuple[str, int, int, int, int]:
    try:
        found = file.stat()
    except OSError as error:  # a link that leads nowhere, or gone in this moment
        return file.name, -1, error.errno or 0, 0, 0
    # The time of the inode's change too: a file that may be read from now on has no other size or content.
    return file.name, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino


def read_files(places: Iterable[Path], named: Callable[[Path], str] = lambda file: file.name) -> Reading:
    """The entries of folders and files, taken as one. ``named``: what a file is called in faults.

    Raises ``StateError`` if there is no such place.
    """
    entries: dict[str, tuple[Entry, str]] = {}
    refused: list[Refused] = []
    files = list(dict.fromkeys(file for place in places for file in files_of(place)))
    for file in files:
        name, data = printable(named(file)), b""
        try:
            data = _head(file, name)
            text = _text(data, name)
            found = read_catalog_file(text, name)
            _check_new(name, text, found, entries)
        except FileNotFoundError:  # gone since the folder was read
            continue
        except CatalogError as error:
            refused.append(Refused(name, data, error))
        else:
            entries.update((entry.id, (entry, name)) for entry in found)
    return Reading(tuple(entry for entry, _ in entries.values()), tuple(refused), len(files))


def _head(file: Path, name: str) -> bytes:
    """A file, or so much of it as shows that it is too long. Raises ``CatalogError`` for what is no readable file."""
    try:
        file_number = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a named pipe would keep its reader
        try:
            if not stat.S_ISREG(os.fstat(file_number).st_mode):
                raise CatalogError([(name, 1, "no regular file; expected a TOML file")])
            with os.fdopen(file_number, "rb", closefd=False) as opened:
                return opened.read(MAX_FILE_BYTES + 1)
        finally:
            os.close(file_number)
    except OSError as error:
        if isinstance(error, FileNotFoundError) and not file.is_symlink():
            raise
        raise CatalogError([(name, 1, f"can't be read: {error.strerror}")]) from error


def _text(data: bytes, name: str) -> str:
    if len(data) > MAX_FILE_BYTES:
        raise CatalogError([(name, 1, f"the file has more than {MAX_FILE_BYTES} bytes; no longer one is read")])
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise CatalogError([(name, line, f"no UTF-8: byte {data[error.start]:#04x}")]) from error


def _check_new(name: str, text: str, found: tuple[Entry, ...], entries: dict[str, tuple[Entry, str]]) -> None:
    twice = [(entry.id, entries[entry.id][1]) for entry in found if entry.id in entries]
    if twice:
        raise CatalogError(
            [(name, _line_of(text, one), f"the id {one!r} is in {other} already") for one, other in twice]
        )


def _line_of(text: str, name: str) -> int:
    """The line that gives an entry this id; 1 where it is written in an unusual way."""
    stated = re.compile(rf"""\s*(?:id|"id")\s*=\s*["']{re.escape(name)}["']""")
    return next((number for number, line in enumerate(text.split("\n"), 1) if stated.match(line)), 1)


def faults(reading: Reading) -> Iterator[str]:
    """One line per fault: ``file:line: what is wrong``."""
    for refused in reading.refused:
        for file, line, text in refused.error.faults:
            yield f"{file}:{line}: {' '.join(text.split())}"


def read_catalogs(places: Iterable[Path]) -> tuple[Entry, ...]:
    """The entries of folders and files where nothing is faulty; files are called by their path.

    Raises ``CatalogError`` with every fault, or ``StateError`` for a place that holds no catalog file.
    """
    listed = list(places)
    reading = read_files(listed, named=str)
    if listed and not reading.files:
        text = f"{', '.join(printable(str(place)) for place in listed)} holds 0 *.toml files; at least one was expected"
        raise StateError(text, code="CATALOG_FOLDER")
    if reading.refused:
        raise CatalogError([fault for refused in reading.refused for fault in refused.error.faults])
    return reading.entries
