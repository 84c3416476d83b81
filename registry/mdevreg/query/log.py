"""The whole log and the whole timelines of a registry, asked of any door page by page."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import structs

from mdevreg.errors import RemoteError
from mdevreg.logged import LogAsked, LogEntry, LogPage, TimelineAsked, TimelinePage, bytes_in, text_of
from mdevreg.query.door import Door


def log_pages(door: Door, asked: LogAsked) -> Iterator[LogPage]:
    """Every page, at least one. All end where the first says, whatever is written meanwhile."""
    while True:
        page = door.entries(asked)
        yield page
        if page.next is None:
            return
        asked = structs.replace(asked, after=page.next, upto=page.last, since=None, until=None, offset=page.next_offset)


def whole_entries(pages: Iterator[LogPage]) -> Iterator[LogEntry]:
    """The entries of pages, each with its whole body. One is in memory at a time, beside its page."""
    parts: list[bytes] = []
    for page in pages:
        for entry in page.entries:
            if entry.offset != sum(map(len, parts)):
                raise RemoteError(f"the registry left out a part of the entry at position {entry.position}")
            parts.append(bytes_in(entry))
            if sum(map(len, parts)) == entry.bytes:
                yield entry if len(parts) == 1 else _joined(entry, b"".join(parts))
                parts.clear()


def timeline_pages(door: Door, asked: TimelineAsked) -> Iterator[TimelinePage]:
    """Every page of one table, at least one."""
    while True:
        page = door.timelines(asked)
        yield page
        if page.next is None:
            return
        asked = structs.replace(asked, cursor=page.next)


def _joined(entry: LogEntry, body: bytes) -> LogEntry:
    text, encoding = text_of(body, whole=True)
    return structs.replace(entry, body=text, encoding=encoding, offset=0)
