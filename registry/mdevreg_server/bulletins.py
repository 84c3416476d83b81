"""What is said on MDEVREG_FLEET beside hosts: profiles, amendments, who was heard, digests. Pure.

What a subject said before is taken back with an empty message. Hosts are an exception (``publication``): a host that
nothing is known of has a state that says so, which is the receipt that makes its agent send everything.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from msgspec import structs

from mdevreg import subjects
from mdevreg.knowledge import Amendment, CatalogChange, decode_amendment, encode_amendment
from mdevreg.published import FleetDigest, Presence
from mdevreg.wire import encode

#: Bytes of a message that are left to its headers.
HEADERS_ROOM = 1_024
#: What names, brackets and commas of ``put`` and ``remove`` add to an amendment that has neither.
_LISTS_ROOM = 64


class Bulletin(msgspec.Struct, frozen=True):
    """One message. ``position``: the log position that it tells of, for its header. ``once``: unless it is there."""

    subject: str
    data: bytes
    position: int | None = None
    once: bool = False


def profile_bulletin(digest: str, body: bytes) -> Bulletin:
    """A profile. ``body``: its canonical JSON.

    It never changes; said again, it would come after hosts that have it, for who reads the stream from its start.
    """
    return Bulletin(subjects.fleet_profile(digest), body, once=True)


def amendment_bulletins(position: int, body: bytes, max_payload: int) -> list[Bulletin]:
    """An amendment as it is logged; one that is larger than the broker's ``max_payload`` in parts, to be read in order.

    A single entry larger than that stays whole: no broker would take it (``Fleet`` says so).
    """
    limit = max_payload - HEADERS_ROOM
    parts = [body] if len(body) <= limit else [encode_amendment(part) for part in _parts(decode_amendment(body), limit)]
    return [Bulletin(subjects.fleet_amendment(position, number), part, position) for number, part in enumerate(parts)]


def presence_bulletin(bucket: int, presence: Presence) -> Bulletin:
    """Who was heard when, of a bucket; a bucket without hosts is taken back."""
    return Bulletin(subjects.fleet_presence(bucket), encode(presence) if presence.seen_us else b"")


def digest_bulletin(partition: int, digest: FleetDigest) -> Bulletin:
    """What was published of a partition so far."""
    return Bulletin(subjects.fleet_digest(partition), encode(digest))


def _parts(amendment: Amendment, limit: int) -> Iterator[Amendment]:
    """Removals come before what is put, as ``Knowledge`` reads them."""
    change = amendment.change
    if not isinstance(change, CatalogChange):
        yield amendment
        return
    empty = structs.replace(amendment, change=structs.replace(change, put=(), remove=()))
    changes = [("remove", name) for name in change.remove] + [("put", entry) for entry in change.put]
    for some in _packed(changes, limit - len(encode_amendment(empty)) - _LISTS_ROOM):
        fields = {name: tuple(value for kind, value in some if kind == name) for name in ("remove", "put")}
        yield structs.replace(amendment, change=structs.replace(change, **fields))


def _packed(changes: Iterable[tuple[str, Any]], room: int) -> Iterator[list[tuple[str, Any]]]:
    """As many after another as fit into ``room`` bytes; at least one each."""
    some: list[tuple[str, Any]] = []
    left = room
    for change in changes:
        size = len(encode(change[1])) + 1
        if some and size > left:
            yield some
            some, left = [], room
        some.append(change)
        left -= size
    if some:
        yield some
