"""Turns what a host looks like into records, as an agent does: only what changed, in order, with digests."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import msgspec

from mdevreg import wire
from mdevreg.records import (
    SCHEMA,
    Body,
    Cause,
    CompleteBody,
    HostBody,
    HostFacts,
    Parent,
    ParentBody,
    Record,
    TombstoneBody,
    digest_of,
    state_digest,
)

EPOCH_START = datetime(2026, 11, 24, tzinfo=UTC)


class Look(msgspec.Struct, frozen=True):
    """What one look at the host saw."""

    facts: HostFacts
    parents: Mapping[str, Parent]

    @property
    def documents(self) -> dict[str, bytes]:
        """Each parent's document, by path."""
        return {path: wire.encode(self.parents[path]) for path in sorted(self.parents)}


class Publisher:
    """One life of an agent's outbox. Record ``seq`` is observed ``seq`` seconds after the start."""

    def __init__(self, host: str = "host-1", epoch: str = "epoch-1") -> None:
        self.host, self.epoch = host, epoch
        self.seq = 0
        self.facts: bytes | None = None
        self.parents: dict[str, bytes] = {}

    @property
    def digest(self) -> str:
        """The digest of what was published so far."""
        facts = None if self.facts is None else digest_of(self.facts)
        return state_digest(facts, {path: digest_of(raw) for path, raw in self.parents.items()})

    @property
    def now(self) -> datetime:
        """What the host's clock says."""
        return EPOCH_START + timedelta(seconds=self.seq)

    def changes(self, look: Look) -> list[bytes]:
        """The records of what differs from what was published before."""
        facts, documents = wire.encode(look.facts), look.documents
        records = [] if facts == self.facts else [self._host(facts)]
        records += [self._gone(path) for path in sorted(self.parents.keys() - documents.keys())]
        records += [self._parent(path, raw) for path, raw in documents.items() if raw != self.parents.get(path)]
        return records

    def snapshot(self, look: Look) -> list[bytes]:
        """The records of everything there is, and the list that ends them. What is gone gets no tombstone."""
        self.facts, self.parents = wire.encode(look.facts), {}
        records = [self._host(self.facts)]
        records += [self._parent(path, raw) for path, raw in look.documents.items()]
        listed = {path: digest_of(raw) for path, raw in self.parents.items()}
        return [*records, self.record(CompleteBody(facts=digest_of(self.facts), parents=listed))]

    def record(self, body: Body, digest: str | None = None) -> bytes:
        """The next record, whatever its body says."""
        self.seq += 1
        return wire.encode(
            Record(
                schema=SCHEMA,
                host=self.host,
                epoch=self.epoch,
                seq=self.seq,
                digest=digest or self.digest,
                observed_at=self.now,
                cause=Cause(kind="rescan"),
                body=body,
            )
        )

    def _host(self, raw: bytes) -> bytes:
        self.facts = raw
        return self.record(HostBody(facts=msgspec.Raw(raw)))

    def _parent(self, path: str, raw: bytes) -> bytes:
        self.parents[path] = raw
        return self.record(ParentBody(path=path, parent=msgspec.Raw(raw)))

    def _gone(self, path: str) -> bytes:
        del self.parents[path]
        return self.record(TombstoneBody(path=path))
