"""Files that commands are handed, ``-`` for stdin: read in bounds, every failure told with the way out."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import msgspec

from mdevreg.errors import StateError

STDIN = "-"
#: So much of stdin is counted, in bytes: more than a card's memory. What is longer is of unknown size.
MAX_COUNTED_BYTES = 1 << 38
_CHUNK_BYTES = 1 << 20


class Beginning(msgspec.Struct, frozen=True):
    """The first bytes of a file. ``size``: the whole file's, ``None`` if it was not counted to its end."""

    data: bytes
    size: int | None


def read_beginning(name: str, limit: int) -> Beginning:
    """The first ``limit`` bytes; of stdin the rest is counted and dropped, so that memory stays bounded."""
    with _told(name), _opened(name) as file:
        data = file.read(limit)
        size = _counted(file, len(data)) if name == STDIN else os.fstat(file.fileno()).st_size
    return Beginning(data, size)


def read_whole(name: str, limit: int, *, now: datetime) -> tuple[bytes, datetime]:
    """A whole file and when it was written, ``now`` for stdin. Raises ``StateError`` if it has more than ``limit``."""
    with _told(name), _opened(name) as file:
        data = file.read(limit + 1)
        written = now if name == STDIN else datetime.fromtimestamp(os.fstat(file.fileno()).st_mtime, UTC)
    if len(data) > limit:
        raise StateError(f"{_shown(name)} has more than {limit} bytes; expected a smaller file", code="FILE")
    return data, written


@contextmanager
def _told(name: str) -> Iterator[None]:
    """What the system says, with the way out."""
    way_out = "expected a file, or - for stdin"
    try:
        yield
    except OSError as error:
        raise StateError(f"{_shown(name)} can't be read: {error.strerror}; {way_out}", code="FILE") from error
    except ValueError as error:  # a NUL in the name
        raise StateError(f"{name!r} names no file: {error}; {way_out}", code="FILE") from error


@contextmanager
def _opened(name: str) -> Iterator[BinaryIO]:
    """Looked at before it is opened: opening a FIFO waits, opening a device may do things."""
    if name == STDIN:
        if sys.stdin is None:
            raise StateError("stdin is closed; there is nothing to read", code="FILE")
        yield sys.stdin.buffer
        return
    mode = Path(name).stat().st_mode
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "no regular file"
        raise StateError(f"{name} is {kind}; expected a file, or - for stdin", code="FILE")
    with Path(name).open("rb") as file:
        yield file


def _shown(name: str) -> str:
    return "stdin" if name == STDIN else name


def _counted(stdin: BinaryIO, already: int) -> int | None:
    total = already
    while chunk := stdin.read(_CHUNK_BYTES):
        total += len(chunk)
        if total > MAX_COUNTED_BYTES:
            return None
    return total
