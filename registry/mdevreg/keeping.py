"""How long the documents of records are kept, and what was pruned: entries of the log like amendments. Pure.

They are the registry's own (no host, epoch ``keeping``), so that who decided it, and what a prune took, is history too.
"""

from __future__ import annotations

import re
from typing import Annotated

import msgspec
from msgspec import Meta

from mdevreg.errors import DecodeError, UsageError
from mdevreg.shapes import Count, Digest, Line, Seq, Strict, Time

#: A century: longer is ``forever``.
MAX_DAYS = 36_500
FOREVER = "forever"
_DAYS = re.compile(r"([1-9][0-9]{0,4})d\Z", re.ASCII)


class RetentionChange(Strict, frozen=True, tag_field="kind", tag="retention"):
    """The policy from now on: documents are kept for so many days after they were committed; ``None``: for ever."""

    bodies_days: Annotated[int, Meta(ge=1, le=MAX_DAYS)] | None = None


class Prune(Strict, frozen=True, tag_field="kind", tag="prune"):
    """A prune begins: bodies of records up to ``horizon``, committed before ``before``, may be gone from here on.

    ``frozen``: digest of the projections as they were known at the horizon, which can't all be derived any more.
    """

    before: Time
    horizon: Seq
    frozen: Digest


class Pruned(Strict, frozen=True, tag_field="kind", tag="pruned"):
    """A prune has ended. ``prune``: position of its beginning; ``bases``: digest of all bases as they are now."""

    prune: Seq
    hosts: Count
    bodies: Count
    bytes: Count
    bases: Digest


class Keeping(Strict, frozen=True):
    """One entry. ``at``: the registry's clock; ``author``: who asked for it."""

    schema: Line
    at: Time
    author: Line
    change: RetentionChange | Prune | Pruned


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Keeping)


def encode_keeping(entry: Keeping) -> bytes:
    """Canonical JSON, as it is logged."""
    return _encoder.encode(entry)


def decode_keeping(data: bytes) -> Keeping:
    """Read a logged entry. Raises ``DecodeError``."""
    try:
        return _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise DecodeError(f"no entry about what is kept: {error}", code="KEEPING") from error


def days_of(text: str) -> int | None:
    """``400d`` as days; ``forever``: ``None``. Raises ``UsageError``."""
    if text == FOREVER:
        return None
    found = _DAYS.match(text)
    if found is None or int(found[1]) > MAX_DAYS:
        raise UsageError(f"{text[:80]!r} is no retention; expected days, 1d to {MAX_DAYS}d, or {FOREVER}")
    return int(found[1])


def policy_of(days: int | None) -> str:
    """Days as people write them: ``400d``, ``forever``."""
    return FOREVER if days is None else f"{days}d"
