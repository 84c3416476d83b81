"""Who was heard when, by bucket, as the database has it; kept in memory, so that no table is read to tell it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from mdevreg.published import BUCKETS, FLEET_SCHEMA, Presence, bucket_of
from mdevreg_server.bulletins import Bulletin, presence_bulletin
from mdevreg_server.presence import Heard

#: Buckets that are encoded at once.
LOT = 32


class Seen(msgspec.Struct, frozen=True):
    """A host's presence. ``at_us``: last sign of life by the registry's clock, µs UTC; ``disputed``: in conflict.

    ``skew_us``: of its clock, if that is beyond the bound.
    """

    host: str
    at_us: int
    leaving: bool
    disputed: bool
    skew_us: int | None = None


class _Bucket(msgspec.Struct):
    seen_us: dict[str, int] = {}
    leaving: set[str] = set()
    conflicts: set[str] = set()
    skew_us: dict[str, int] = {}

    def note(self, host: str, at_us: int, *, leaving: bool) -> bool:
        """Returns whether that is new."""
        same = self.seen_us.get(host) == at_us and (host in self.leaving) == leaving
        self.seen_us[host] = at_us
        (self.leaving.add if leaving else self.leaving.discard)(host)
        return not same

    def measured(self, host: str, skew_us: int | None) -> bool:
        """A host's clock was measured; ``None``: it is not beyond the bound. Returns whether that is new."""
        before = self.skew_us.pop(host, None)
        if skew_us is not None:
            self.skew_us[host] = skew_us
        return before != skew_us


class Roll:
    """Everybody's presence, and which buckets changed since they were published (``due``)."""

    def __init__(self) -> None:
        self._buckets = [_Bucket() for _ in range(BUCKETS)]
        self.due: set[int] = set()

    def call(self, everybody: Iterable[Seen]) -> None:
        """Begin anew with what the database has; every bucket that has or had hosts is due."""
        self.due = {at for at, bucket in enumerate(self._buckets) if bucket.seen_us}
        self._buckets = [_Bucket() for _ in range(BUCKETS)]
        for seen in everybody:
            self._note(seen)

    def heard(self, signs: Mapping[str, Heard]) -> None:
        """These signs of life were written."""
        for host, sign in signs.items():
            at = bucket_of(host)
            changed = self._buckets[at].note(host, sign.at_us, leaving=sign.leaving)
            if sign.clock is not None:
                changed |= self._buckets[at].measured(host, sign.clock.beyond_us)
            if changed:
                self.due.add(at)

    def disputed(self, rows: Iterable[Seen]) -> set[str]:
        """All that are in conflict, and others whose rows were read again. Returns whose conflict began or ended."""
        before = {host for bucket in self._buckets for host in bucket.conflicts}
        found = list(rows)
        for seen in found:
            self._note(seen)
        now = {seen.host for seen in found if seen.disputed}
        for host in before - now:
            self._settled(host)
        return before ^ now

    def lots(self) -> list[set[int]]:
        """The buckets that are due, a few at a time: encoding all of a large fleet keeps others waiting."""
        due = sorted(self.due)
        return [set(due[first : first + LOT]) for first in range(0, len(due), LOT)]

    def bulletins(self, buckets: Iterable[int]) -> list[Bulletin]:
        """What these buckets are now."""
        return [presence_bulletin(at, self._presence(self._buckets[at])) for at in sorted(buckets)]

    def _note(self, seen: Seen) -> None:
        at = bucket_of(seen.host)
        bucket = self._buckets[at]
        changed = bucket.note(seen.host, seen.at_us, leaving=seen.leaving)
        changed |= bucket.measured(seen.host, seen.skew_us)
        if changed or (seen.host in bucket.conflicts) != seen.disputed:
            self.due.add(at)
        if seen.disputed:
            bucket.conflicts.add(seen.host)
        else:
            self._settled(seen.host)

    def _settled(self, host: str) -> None:
        at = bucket_of(host)
        if host in self._buckets[at].conflicts:
            self._buckets[at].conflicts.discard(host)
            self.due.add(at)

    @staticmethod
    def _presence(bucket: _Bucket) -> Presence:
        return Presence(
            schema=FLEET_SCHEMA,
            seen_us=bucket.seen_us,
            leaving=tuple(sorted(bucket.leaving)),
            conflicts=tuple(sorted(bucket.conflicts)),
            skew_us=bucket.skew_us,
        )
