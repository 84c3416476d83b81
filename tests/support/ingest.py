"""One host's records, taken in as the registry does it, and its timelines kept in memory.

Next: fold it. Late: replay all that was received. Duplicate: ignore. Of a left epoch: refuse.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mdevreg import wire
from mdevreg.objects import Key, Profiles, Value
from mdevreg.state import Arrival, Entry, Facts, HostFold, replay, valid_time
from mdevreg.timeline import OPEN, Row, Step, fold, reconcile, supersede
from support.publisher import EPOCH_START

#: When the records' host began, µs UTC.
_START = int(EPOCH_START.timestamp()) * 1_000_000


class Ingest:
    """A registry of one host. Positions count from 1; the record at ``n`` is received at ``delay_s + n`` seconds."""

    def __init__(self, host: str = "host-1", delay_s: int = 0) -> None:
        self.fold = HostFold(host)
        self.delay_s = delay_s
        self.profiles = Profiles()
        self.log: list[Entry] = []
        self.rows: dict[Key, list[Row[Value]]] = {}
        self.arrivals: list[Arrival] = []

    def receive(self, data: bytes) -> Arrival:
        """Take in one record."""
        decoded = wire.decode(data)
        record = decoded.record
        arrival = self.fold.arrival(record.epoch, record.seq)
        self.arrivals.append(arrival)
        if arrival in ("next", "late"):
            position = len(self.log) + 1
            observed = int(record.observed_at.timestamp() * 1_000_000)
            self.log.append(Entry(decoded, position, observed, _START + (self.delay_s + position) * 1_000_000))
            if arrival == "next":
                self._next(self.log[-1])
            else:
                self._late(position)
        return arrival

    def receive_all(self, records: Iterable[bytes]) -> Ingest:
        """Take them in, in this order."""
        for data in records:
            self.receive(data)
        return self

    def as_known(self, position: int) -> Facts:
        """The naive oracle: replay what was in the log by then."""
        return replay(self.fold.host, self.log[:position], self.profiles)[1]

    def _next(self, entry: Entry) -> None:
        at = valid_time(entry.observed_at, entry.received_at, self.fold.valid_at)
        effects = self.fold.apply(entry.decoded, position=entry.position, valid_at=at, profiles=self.profiles)
        for key, value in effects:
            rows = self.rows.setdefault(key, [])
            self._take(rows, supersede(_current(rows), value, at, entry.position), entry.position)

    def _late(self, position: int) -> None:
        self.fold, facts = replay(self.fold.host, self.log, self.profiles)
        for key in self.rows.keys() | facts.keys():
            rows = self.rows.setdefault(key, [])
            known = [row for row in rows if row.system_to == OPEN]
            self._take(rows, reconcile(known, fold(facts.get(key, ()), position), position), position)

    @staticmethod
    def _take(rows: list[Row[Value]], step: Step[Value], position: int) -> None:
        for row, valid_to in step.end:
            row.valid_to, row.ended_at = valid_to, position
        for row in step.withdraw:
            row.system_to = position
        rows += step.add


def essence(folded: HostFold) -> dict[str, Any]:
    """What must not depend on the order of arrival: everything but log positions and times."""
    return {
        "epoch": folded.epoch,
        "digest": folded.digest,
        "in_sync": folded.in_sync,
        "received": folded.received.ranges,
        "settled": folded.settled,
        "last_seq": folded.last_seq,
        "facts": folded.facts and folded.facts.raw,
        "parents": {path: document.raw for path, document in sorted(folded.parents.items())},
        "objects": {
            path: {key: _placeless(key, value) for key, value in sorted(objects.items())}
            for path, objects in sorted(folded.objects.items())
        },
    }


def _placeless(key: Key, value: Value) -> Value:
    """A value without its log position (``mdevreg.objects``: hosts end with theirs, parents have it second)."""
    match key[0]:
        case "host":
            return value[:-1]
        case "parent":
            return (value[0], *value[2:])
    return value


def _current(rows: list[Row[Value]]) -> Row[Value] | None:
    return next((row for row in rows if row.valid_to == row.system_to == OPEN), None)
