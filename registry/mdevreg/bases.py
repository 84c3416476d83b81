"""Where the log of a host may be cut, and how its history goes on from there. Pure.

A *base* is what a host's records up to a log position add up to: its fold, and its rows as they were known there. What
comes later is replayed on top of it, so that the records before it are needed no more (ADR 15). That holds only where
nothing later belongs before anything up to the cut: system time is the order of arrival, and late records are late.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate

import msgspec
from msgspec import structs

from mdevreg.objects import DOCUMENT_AT, Key, Value
from mdevreg.timeline import OPEN, Row


class Place(msgspec.Struct, frozen=True):
    """Where a record stands: its log position, and its number in an epoch."""

    position: int
    epoch: str
    seq: int


def cuts(places: Sequence[Place], entered: str = "") -> list[int]:
    """The positions after which a host's log may be cut, ascending.

    ``places``: of one host, in log order. ``entered``: the epoch of the base that they come after.
    """
    epochs = dict.fromkeys([entered, *(place.epoch for place in places)])
    order = {epoch: index for index, epoch in enumerate(epochs)}
    ranks = [(order[place.epoch], place.seq) for place in places]
    last_so_far = accumulate(ranks, max)
    first_to_come = [*accumulate(reversed(ranks), min, initial=(len(order), 0))][-2::-1]  # after each
    return [
        place.position for place, last, first in zip(places, last_so_far, first_to_come, strict=True) if last < first
    ]


def as_known(rows: Iterable[Row[Value]], position: int) -> Iterator[Row[Value]]:
    """The rows of an object as they were known at a position: what was told later of them is taken back."""
    for row in rows:
        if row.system_from <= position < row.system_to:
            ended = row.ended_at <= position
            valid_to, ended_at = (row.valid_to, row.ended_at) if ended else (OPEN, OPEN)
            yield structs.replace(row, valid_to=valid_to, ended_at=ended_at, system_to=OPEN)


def facts_of(rows: Iterable[Row[Value]]) -> list[tuple[int, Value | None]]:
    """What a timeline says, as facts in the order of truth: folded, they are that timeline again."""
    facts: list[tuple[int, Value | None]] = []
    for row in sorted(rows, key=lambda row: row.valid_from):
        facts.append((row.valid_from, row.value))
        if row.valid_to != OPEN:
            facts.append((row.valid_to, None))
    return facts


def kept_documents(rows: Mapping[Key, Sequence[Row[Value]]], before_us: int) -> set[int]:
    """The positions of the records whose documents are kept, of a host.

    ``rows``: by valid time, as now known. Kept is what holds at ``before_us`` (µs UTC) or later, and of every object
    the documents with which its first and its last row begin.
    """
    kept: set[int] = set()
    for key, known in rows.items():
        if key[0] in DOCUMENT_AT:
            kept |= {row.value[DOCUMENT_AT[key[0]]] for row in known if row.valid_to > before_us}
        whole: Key = ("host",) if key[0] == "host" else ("parent", key[1])
        documents = rows.get(whole, ())
        for row in (known[0], known[-1]) if known else ():
            kept |= {each.value[DOCUMENT_AT[whole[0]]] for each in _holding(documents, row.valid_from)}
    return kept


def _holding(rows: Sequence[Row[Value]], at: int) -> Iterator[Row[Value]]:
    """The row that holds at a time, if one does."""
    index = bisect_right(rows, at, key=lambda row: row.valid_from) - 1
    if index >= 0 and at < rows[index].valid_to:
        yield rows[index]
