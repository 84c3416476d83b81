"""A host's state as the registry publishes it, which is its agent's receipt. Pure.

A host that nothing is known of has a state too, with an empty ``epoch``: its agent sends everything when it gets that
receipt, and readers forget the host. No host's subject ever carries an empty message.
"""

from __future__ import annotations

import msgspec
from msgspec import structs

from mdevreg.published import FLEET_SCHEMA, HostState, decode_state, index_of
from mdevreg.state import HostFold
from mdevreg.times import moment_of
from mdevreg.wire import encode


class Publication(msgspec.Struct, frozen=True):
    """One host's state to be published, and the agent's receipt that it carries."""

    host: str
    epoch: str  # empty: nothing is known of it
    settled: int
    digest: str
    position: int
    data: bytes
    profiles: tuple[str, ...] = ()  # digests that it refers to


def publication_of(fold: HostFold, *, disputed: bool) -> Publication:
    """A host's state as it is now."""
    index = index_of(fold.objects)
    state = HostState(
        schema=FLEET_SCHEMA,
        host=fold.host,
        epoch=fold.epoch,
        seq=fold.settled,
        digest=fold.digest,
        position=fold.position,
        observed_at=moment_of(fold.valid_at) if fold.position else None,
        received_at=moment_of(fold.received_at) if fold.position else None,
        in_sync=fold.in_sync,
        conflict=disputed,
        missing=fold.missing,
        index=index,
        facts=msgspec.Raw(fold.facts.raw if fold.facts else b"null"),
        parents={path: msgspec.Raw(document.raw) for path, document in fold.parents.items()},
    )
    return Publication(fold.host, fold.epoch, fold.settled, state.digest, fold.position, encode(state), index.profiles)


def shortened(item: Publication, limit: int) -> bytes:
    """A host's state in at most ``limit`` bytes, if that can be.

    Without its documents readers still have the index; without the index as well, its agent still has its receipt.
    """
    if len(item.data) <= limit:
        return item.data
    brief = structs.replace(decode_state(item.data), facts=msgspec.Raw(b"null"), parents={})
    data = encode(brief)
    return data if len(data) <= limit else encode(structs.replace(brief, index=None))
