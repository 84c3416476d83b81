"""What a host's records add up to. Pure; the one place where order, gaps and snapshots are understood.

Rules of this file:

1. A record is state; the newest sequence number of an epoch wins, whatever the order of arrival.
2. Absence never deletes: only a tombstone, or a complete snapshot whose digests match, removes a parent.
3. *Settled* up to a sequence number means: received, kept in quarantine, or covered by a matching snapshot.
4. A record of an epoch that was already left is two agents with one id, unless it is a duplicate.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

from mdevreg.objects import Effect, Key, Profiles, Value, host_objects, parent_effects, parent_objects
from mdevreg.records import (
    CompleteBody,
    HostBody,
    Parent,
    ParentBody,
    TombstoneBody,
    digest_of,
    state_digest,
)
from mdevreg.wire import Decoded

Arrival = Literal["next", "late", "duplicate", "retired"]


class Document(msgspec.Struct, frozen=True):
    """One document as it was sent, and the log position of the record that brought it."""

    digest: str
    raw: bytes
    position: int


class Received:
    """A set of sequence numbers, as inclusive ranges in ascending order."""

    __slots__ = ("ranges",)

    def __init__(self, ranges: Iterable[tuple[int, int]] = ()) -> None:
        self.ranges: list[tuple[int, int]] = list(ranges)

    def __contains__(self, seq: int) -> bool:
        for first, last in reversed(self.ranges):
            if seq >= first:
                return seq <= last
        return False

    def add(self, seq: int) -> None:
        """Add one number."""
        if self.ranges and self.ranges[-1][1] == seq - 1:  # in order: by far the most frequent
            self.ranges[-1] = (self.ranges[-1][0], seq)
        elif seq not in self:
            self._merge(seq)

    def end_of_run(self, seq: int) -> int:
        """The last number of the unbroken run that goes on after ``seq``; ``seq`` itself if none does."""
        for first, last in self.ranges:
            if first <= seq + 1 <= last:
                return last
        return seq

    def _merge(self, seq: int) -> None:
        merged: list[tuple[int, int]] = []
        for first, last in sorted([*self.ranges, (seq, seq)]):
            if merged and first <= merged[-1][1] + 1:
                merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
            else:
                merged.append((first, last))
        self.ranges = merged


def missing_of(settled: int, ranges: Iterable[tuple[int, int]]) -> int:
    """How many numbers up to ``settled`` are in none of the received ranges."""
    return settled - sum(last - first + 1 for first, last in ranges if last <= settled)


class HostFold:
    """One host, folded record by record. ``position`` is that of its newest record; times are µs UTC."""

    def __init__(self, host: str) -> None:
        self.host = host
        self.epoch = ""
        self.retired: set[str] = set()
        self.received = Received()
        self.settled = 0
        self.last_seq = 0
        self.position = 0
        self.valid_at = 0
        self.received_at = 0
        self.in_sync = True
        self.facts: Document | None = None
        self.parents: dict[str, Document] = {}
        self.objects: dict[str, dict[Key, Value]] = {}  # by parent path; the host's own row under ""
        self._digest: str | None = None  # of the whole state, until the state changes
        self._seen: dict[str, Parent] = {}  # parents as decoded, of those folded since this was loaded

    @property
    def digest(self) -> str:
        """The digest of the whole state, as the agent computes it."""
        if self._digest is None:
            facts = self.facts.digest if self.facts else None
            self._digest = state_digest(facts, {path: document.digest for path, document in self.parents.items()})
        return self._digest

    @property
    def missing(self) -> int:
        """How many numbers up to ``settled`` never arrived: a complete snapshot took their place."""
        return missing_of(self.settled, self.received.ranges)

    def restore(self, path: str, document: Document) -> None:
        """Put back a document that was folded before: a parent's by its path, the host's own under ``""``."""
        self._digest = None
        if path:
            self.parents[path] = document
        else:
            self.facts = document

    def arrival(self, epoch: str, seq: int) -> Arrival:
        """How a record of that epoch and number stands to what was folded before."""
        if epoch == self.epoch:
            if seq > self.last_seq and seq not in self.received:
                return "next"
            return "duplicate" if seq in self.received else "late"
        return "retired" if epoch in self.retired else "next"

    def settle(self, epoch: str, seq: int) -> None:
        """Count a number as received although nothing of it was applied: its record is in quarantine.

        A number of an epoch that was left concerns nobody any more.
        """
        if epoch in self.retired:
            return
        self._enter(epoch)
        self.received.add(seq)
        self.settled = self.received.end_of_run(self.settled)

    def apply(self, decoded: Decoded, *, position: int, valid_at: int, profiles: Profiles) -> list[Effect]:
        """Fold the next record in. Returns what changed. Requires ``arrival(...) == "next"``."""
        record = decoded.record
        self._enter(record.epoch)
        self.received.add(record.seq)
        self.last_seq = record.seq
        self.position, self.valid_at = position, valid_at
        self._digest = None
        effects = self._body(decoded, position, profiles)
        self.settled = self.received.end_of_run(self.settled)
        self.in_sync = self.digest == record.digest
        return effects

    def _enter(self, epoch: str) -> None:
        if epoch == self.epoch:
            return
        if self.epoch:
            self.retired.add(self.epoch)
        self.epoch, self.received, self.settled, self.last_seq = epoch, Received(), 0, 0

    def _body(self, decoded: Decoded, position: int, profiles: Profiles) -> list[Effect]:
        match decoded.record.body:
            case ParentBody(path=path, parent=raw) if decoded.parent is not None:
                return self._parent(decoded, path, Document(digest_of(raw), bytes(raw), position), profiles)
            case HostBody(facts=raw) if decoded.facts is not None:
                return self._facts(decoded, Document(digest_of(raw), bytes(raw), position))
            case TombstoneBody(path=path):
                return self._remove(path)
            case CompleteBody() as body:
                return self._complete(body, decoded.record.digest, decoded.record.seq)
        raise RuntimeError(f"a decoded {type(decoded.record.body).__name__} came without its document")

    def _parent(self, decoded: Decoded, path: str, document: Document, profiles: Profiles) -> list[Effect]:
        known = self.parents.get(path)
        if known is not None and known.digest == document.digest:
            return []
        now = decoded.parent
        assert now is not None
        self.parents[path] = document
        before, self._seen[path] = self._seen.get(path), now
        if before is not None:
            effects = parent_effects(before, now, self.objects[path], document.position, profiles)
            if effects is not None:
                return effects
        return self._replace(path, parent_objects(now, document.position, profiles))

    def _facts(self, decoded: Decoded, document: Document) -> list[Effect]:
        if self.facts is not None and self.facts.digest == document.digest:
            return []
        assert decoded.facts is not None
        self.facts = document
        return self._replace("", host_objects(decoded.facts, document.position))

    def _remove(self, path: str) -> list[Effect]:
        self.parents.pop(path, None)
        self._seen.pop(path, None)
        return self._replace(path, {})

    def _complete(self, body: CompleteBody, digest: str, seq: int) -> list[Effect]:
        """Rule 2: everything listed must be here, byte for byte, or nothing is removed."""
        listed = {path: known.digest for path, known in self.parents.items() if path in body.parents}
        facts = self.facts.digest if self.facts else None
        if facts != body.facts or listed != body.parents or state_digest(facts, listed) != digest:
            return []
        self.settled = max(self.settled, seq)
        gone = [path for path in self.parents if path not in listed]
        return [effect for path in gone for effect in self._remove(path)]

    def _replace(self, path: str, new: dict[Key, Value]) -> list[Effect]:
        old = self.objects.get(path, {})
        effects: list[Effect] = [(key, None) for key in old if key not in new]
        effects += [(key, value) for key, value in new.items() if old.get(key) != value]
        if new:
            self.objects[path] = new
        else:
            self.objects.pop(path, None)
        return effects


class Facts(dict[Key, list[tuple[int, Value | None]]]):
    """What was said of each object, as (valid time in µs, value), in the order of truth."""


class Entry(msgspec.Struct, frozen=True):
    """One record of the log, for a replay. ``observed_at`` and ``received_at`` in µs UTC."""

    decoded: Decoded
    position: int
    observed_at: int
    received_at: int


def valid_time(observed_at: int, received_at: int, after: int) -> int:
    """When a record became true, all in µs UTC.

    As observed, but not later than it was received (a clock that is ahead), and not before what the host said
    earlier (a clock that was set back).
    """
    return max(min(observed_at, received_at), after)


def in_order(entries: Iterable[Entry], entered: str = "") -> list[Entry]:
    """The order of truth: epochs by their first appearance in the log, then sequence numbers.

    ``entered``: the epoch that the host was in before these; it comes first.
    """
    listed = sorted(entries, key=lambda entry: entry.position)
    epochs = dict.fromkeys([entered, *(entry.decoded.record.epoch for entry in listed)])
    order = {epoch: index for index, epoch in enumerate(epochs)}
    return sorted(listed, key=lambda entry: (order[entry.decoded.record.epoch], entry.decoded.record.seq))


def replay(
    host: str, entries: Iterable[Entry], profiles: Profiles, base: HostFold | None = None
) -> tuple[HostFold, Facts]:
    """Fold a host's log in the order of truth. Returns the fold, and the facts that the entries told of each object.

    ``base``: what everything before these entries added up to, which is folded on; without it they are the whole log.
    Requires that no entry belongs before the base (``mdevreg.bases``), and that none was received before it.
    """
    fold, facts = base or HostFold(host), Facts()
    ordered = in_order(entries, fold.epoch)
    newest = max((entry.position for entry in ordered), default=fold.position)
    for entry, bound in zip(ordered, _bounds(ordered), strict=True):
        at = valid_time(entry.observed_at, bound, fold.valid_at)
        for key, value in fold.apply(entry.decoded, position=entry.position, valid_at=at, profiles=profiles):
            facts.setdefault(key, []).append((at, value))
        fold.received_at = max(fold.received_at, entry.received_at)
    fold.position = newest
    return fold, facts


def _bounds(ordered: list[Entry]) -> list[int]:
    """A record is true no later than itself *or any later one* was received: the running minimum from the end."""
    bounds, low = [], 2**63 - 1
    for entry in reversed(ordered):
        low = min(low, entry.received_at)
        bounds.append(low)
    return bounds[::-1]
