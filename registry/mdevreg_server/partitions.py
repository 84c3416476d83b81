"""Partitions: which hosts' records a writer consumes, and under which names its positions are kept. Pure.

The broker deals hosts into 64 slots; a partition is every N-th of them, so that N may change while what is stored
stays where it is. Positions of any former N stay true: what was consumed was consumed.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from mdevreg import subjects

#: As many as there are slots.
MAX_PARTITIONS = subjects.SLOTS
_EVERY_SLOT = frozenset(range(subjects.SLOTS))
_BEFORE = "before"


class Part(msgspec.Struct, frozen=True):
    """What one writer consumes. ``label`` names its positions; ``filters``: its subjects, none = all of the stream."""

    label: str
    durable: str
    filters: tuple[str, ...]
    slots: frozenset[int]

    def holds(self, host: str) -> bool:
        """Whether a host's records come here."""
        return len(self.slots) == subjects.SLOTS or subjects.slot_of(host) in self.slots

    def key(self, stream: str) -> str:
        """``stream_position.stream`` of its position in a stream."""
        return f"{stream}/{self.label}" if self.label else stream


#: Everything: the one writer of a registry that shares nothing.
WHOLE = Part("", subjects.DURABLE, (), _EVERY_SLOT)
#: What was stored before the broker dealt records into slots.
BEFORE = Part(_BEFORE, subjects.DURABLE, (subjects.RECORDS_SUBJECTS,), _EVERY_SLOT)


def partition(index: int, of: int) -> Part:
    """Partition ``index`` (from 0) of ``of`` (2 to 64)."""
    slots = range(index, subjects.SLOTS, of)
    label = f"{index}-of-{of}"
    return Part(label, f"{subjects.DURABLE}-{label}", tuple(map(subjects.slot, slots)), frozenset(slots))


def covered(rows: Iterable[tuple[str, int]], stream: str, slots: Iterable[int]) -> int:
    """Up to where every one of the slots was dealt with; 0 if one never was.

    ``rows``: (``stream_position.stream``, position) in one life of the stream, of any number of partitions.
    """
    known = [(_slots_of(key, stream), reached) for key, reached in rows]
    return min(max((reached for dealt, reached in known if slot in dealt), default=0) for slot in slots)


def _slots_of(key: str, stream: str) -> frozenset[int]:
    if key in (stream, f"{stream}/{_BEFORE}"):
        return _EVERY_SLOT
    index, _, of = key.removeprefix(f"{stream}/").partition("-of-")
    return partition(int(index), int(of)).slots if index.isdecimal() and of.isdecimal() else frozenset()
