"""Pages of hosts and devices: a page begins after the last row before it. Pure. Targets: ``mdevreg.query.pages``."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec

from mdevreg.errors import UsageError
from mdevreg.query.cursors import Key, cursor_after, key_in
from mdevreg.query.requests import Ask

T = TypeVar("T")

DEFAULT_LIMIT = 1_000
#: A page may be the whole fleet: reading it is dearer than sending it.
MAX_LIMIT = 100_000


def page_of(rows: Sequence[T], key: Callable[[T], Key], ask: Ask) -> tuple[tuple[T, ...], str | None]:
    """The rows of one page, by key, and the cursor of the next. Raises ``UsageError`` (USAGE, BAD_CURSOR)."""
    limit = DEFAULT_LIMIT if ask.limit is None else ask.limit
    if not 1 <= limit <= MAX_LIMIT:
        raise UsageError(f"limit is {limit}; 1 to {MAX_LIMIT} rows make a page")
    question = _fingerprint(ask)
    ordered = sorted(rows, key=key)
    first = 0 if ask.cursor is None else bisect_right(ordered, key_in(ask.cursor, question), key=key)
    chosen = tuple(ordered[first : first + limit])
    more = first + len(chosen) < len(ordered)
    return chosen, cursor_after(key(chosen[-1]), question) if more else None


def _fingerprint(ask: Ask) -> str:
    """What must not change from page to page."""
    same = msgspec.structs.replace(ask, cursor=None, limit=None)
    return hashlib.sha256(msgspec.json.encode(same)).hexdigest()[:16]
