"""A host's state as the registry publishes it, which is its agent's receipt. Pure."""

from __future__ import annotations

import msgspec

from mdevreg.published import FLEET_SCHEMA, HostState, index_of
from mdevreg.state import HostFold
from mdevreg.wire import encode
from mdevreg_server.messages import moment_of


class Publication(msgspec.Struct, frozen=True):
    """One host's state to be published, and the agent's receipt that it carries."""

    host: str
    epoch: str
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
