"""Cursors: where a list of hosts goes on, in text that callers hand back as it is. Pure."""

from __future__ import annotations

import base64

import msgspec

from mdevreg.errors import UsageError

#: A cursor has the last host's name in it, which may be long.
MAX_CURSOR_CHARS = 24_000
#: Where a host stands in its list: rank of the outcome, minus free instances, hostname, host.
Key = tuple[int, int, str, str]

_VERSION = 1


class _Cursor(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    version: int
    question: str
    after: Key


def cursor_after(key: Key, question: str) -> str:
    """The cursor of what comes after a key. ``question``: what must not change from page to page, in few letters.

    Its inside may change from version to version.
    """
    inside = msgspec.json.encode(_Cursor(_VERSION, question, key))
    return base64.urlsafe_b64encode(inside).decode().rstrip("=")


def key_in(cursor: str, question: str) -> Key:
    """The key that a page begins after. Raises ``UsageError`` (BAD_CURSOR) for a cursor of another question."""
    found = _read(cursor)
    if found is None or found.version != _VERSION:
        raise _bad("was not made by this registry")
    if found.question != question:
        raise _bad("is of another question: all but its limit must stay the same from page to page")
    return found.after


def _read(cursor: str) -> _Cursor | None:
    try:
        inside = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        return _decoder.decode(inside)
    except (ValueError, RecursionError):  # binascii's, Unicode's and msgspec's errors are ValueErrors
        return None


def _bad(why: str) -> UsageError:
    return UsageError(f"the cursor {why}; ask without one to begin with the first page", code="BAD_CURSOR")


_decoder = msgspec.json.Decoder(_Cursor)
