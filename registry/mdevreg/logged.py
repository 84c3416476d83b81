"""The log as it stands, entry by entry, and the rows of timelines, as doors hand them out. Pure."""

from __future__ import annotations

import base64
from datetime import datetime
from typing import Any, Literal, get_args

import msgspec

#: Entries or rows of one page, unless said otherwise, and at most.
DEFAULT_LIMIT, MAX_LIMIT = 1_000, 10_000
#: Bytes of bodies in one page, unless said otherwise: half of what brokers allow, for quotes count twice in JSON.
DEFAULT_BYTES, MIN_BYTES, MAX_BYTES = 400_000, 1_000, 16_000_000

Encoding = Literal["utf-8", "base64"]
#: The tables of timelines, and the profiles that their rows refer to.
TimelineName = Literal["host", "parent", "offer", "device", "driver", "profile"]
TIMELINES: tuple[TimelineName, ...] = get_args(TimelineName)
Cell = str | int | None


class LogEntry(msgspec.Struct, frozen=True):
    """One entry of the log: all of its columns. The registry's own have no ``host``.

    ``body``: as it was received; a part of it, from byte ``offset`` on, if it has more ``bytes`` than a page.
    ``sha256``: of the whole body.
    """

    position: int
    host: str
    epoch: str
    seq: int
    kind: str
    sha256: str
    observed_at: datetime
    received_at: datetime
    committed_at: datetime
    bytes: int
    body: str
    encoding: Encoding = "utf-8"
    offset: int = 0


class LogPage(msgspec.Struct, frozen=True):
    """Some entries, in order. ``position``: the newest of the log; ``first`` to ``last``: what was asked for.

    ``next``: ``after`` of the page after this one, ``None`` on the last; ``next_offset``: where in the body of the
    entry after that one it begins. ``checkpoint``: the first signed note of the audit that covers ``last``.
    """

    position: int
    first: int
    last: int
    entries: tuple[LogEntry, ...]
    next: int | None = None
    next_offset: int = 0
    checkpoint: str | None = None


class LogAsked(msgspec.Struct, frozen=True):
    """Which entries: after a position, up to one, committed in ``[since, until)``; ``None``: without an end.

    ``offset``: so many bytes of the first entry's body are had. ``max_bytes``: of bodies in one page.
    """

    after: int = 0
    upto: int | None = None
    since: datetime | None = None
    until: datetime | None = None
    limit: int = DEFAULT_LIMIT
    offset: int = 0
    max_bytes: int = DEFAULT_BYTES


class TimelinePage(msgspec.Struct, frozen=True):
    """Some rows of a table of timelines, by their key.

    Times in µs since 1970-01-01 UTC (``…_us``), system times as log positions; ``None``: until further notice.
    """

    position: int
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    next: str | None = None


class TimelineAsked(msgspec.Struct, frozen=True):
    """Which rows: of a table, true at some time in ``[since, until)``, known at a position in ``[after, known_at]``.

    What is known later of the rows is left out. ``None``: without an end. ``known_at`` may be a time, too.
    """

    table: TimelineName
    since: datetime | None = None
    until: datetime | None = None
    after: int = 0
    known_at: int | datetime | None = None
    limit: int = DEFAULT_LIMIT
    cursor: str | None = None


def text_of(body: bytes, *, whole: bool) -> tuple[str, Encoding]:
    """A body as text: as it is if it is UTF-8, else, and if it is a part of one, in base64."""
    if whole:
        try:
            return body.decode(), "utf-8"
        except UnicodeDecodeError:
            return base64.b64encode(body).decode(), "base64"
    return base64.b64encode(body).decode(), "base64"


def bytes_in(entry: LogEntry) -> bytes:
    """The bytes of an entry's body, or of its part."""
    return entry.body.encode() if entry.encoding == "utf-8" else base64.b64decode(entry.body)


def fields_of(asked: LogAsked | TimelineAsked) -> dict[str, Any]:
    """What is asked, as the fields of a request."""
    return {name: getattr(asked, name) for name in asked.__struct_fields__}
