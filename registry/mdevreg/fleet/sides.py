"""Entries of the index as the facts that every door hands out. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from mdevreg.clocks import seconds
from mdevreg.facts import Evidence, Side
from mdevreg.fleet.entries import DeviceRef, HostEntry
from mdevreg.fleet.heard import Heard
from mdevreg.fleet.kinds import Kind
from mdevreg.knowledge import Knowledge
from mdevreg.times import moment_of


class Sides:
    """Makes sides and evidence of entries, for one question: equal ones are made once."""

    def __init__(self, heard: list[Heard], knowledge: Knowledge) -> None:
        self._heard, self._knowledge = heard, knowledge
        self._evidence: dict[str, Evidence] = {}

    def evidence(self, entry: HostEntry) -> Evidence:
        """How good the facts of a host are."""
        found = self._evidence.get(entry.host)
        if found is None:
            found = self._evidence[entry.host] = self._made(entry)
        return found

    def offers(self, entry: HostEntry, kind_of_device: str | None = None) -> Iterator[Side]:
        """What a host offers, of one type or of all, by parent and type."""
        named = [(parent.name, slot) for slot, (parent, _) in enumerate(entry.layout.slots)]
        for parent, slot in sorted(named, key=lambda each: (each[0], entry.layout.slots[each[1]][1].type or "")):
            kind = entry.layout.slots[slot][1]
            if kind_of_device in (None, kind.type):
                yield self._side(entry, parent, kind, free=entry.free[slot])

    def offer(self, entry: HostEntry, slot: int) -> Side:
        """One offer of a host."""
        parent, kind = entry.layout.slots[slot]
        return self._side(entry, parent.name, kind, free=entry.free[slot])

    def device(self, entry: HostEntry, ref: DeviceRef) -> Side:
        """An existing device of a host."""
        return self._side(entry, ref.parent, ref.kind, device=ref.name)

    def _side(
        self, entry: HostEntry, parent: str, kind: Kind, *, device: str | None = None, free: int | None = None
    ) -> Side:
        support = self._knowledge.support(kind.digest, kind.profile)
        return Side(self.evidence(entry), parent, kind.profile, support, device, free, kind.digest)

    def _made(self, entry: HostEntry) -> Evidence:
        heard = self._heard[entry.bucket]
        seen, skew = heard.last_seen_us(entry.host), heard.skew_us(entry.host)
        return Evidence(
            host=entry.host,
            hostname=entry.hostname,
            site=entry.site,
            changed_at=entry.changed_at,
            last_seen=None if seen is None else moment_of(seen),
            leaving=heard.leaving(entry.host),
            in_sync=entry.in_sync,
            missing=entry.missing,
            conflict=heard.conflict(entry.host),
            clock_skew_s=None if skew is None else seconds(skew),
        )
