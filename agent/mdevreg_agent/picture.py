"""What one look at a host saw: its own facts and every parent. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from mdevreg import wire
from mdevreg.records import HostFacts, Parent, digest_of, state_digest


class Picture(msgspec.Struct, frozen=True):
    """The whole host, read at one moment. ``parents`` is ordered by path."""

    facts: HostFacts
    parents: tuple[Parent, ...] = ()


class Documents(msgspec.Struct, frozen=True):
    """A picture as the bytes that are sent: the host's facts, and each parent by path."""

    facts: bytes
    parents: Mapping[str, bytes]

    @property
    def digest(self) -> str:
        """``state_digest`` of the whole."""
        return state_digest(digest_of(self.facts), {path: digest_of(raw) for path, raw in self.parents.items()})


def documents_of(picture: Picture) -> Documents:
    """Encode a picture, each document once."""
    return Documents(
        facts=wire.encode(picture.facts),
        parents={parent.path: wire.encode(parent) for parent in picture.parents},
    )
