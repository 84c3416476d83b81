"""Histories that happen to registries: hosts cut off for days, clocks set, lost and doubled records, in any order."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TypeVar

import msgspec
from hypothesis import strategies as st

from mdevreg.records import Parent
from support.hosts import look, mtty
from support.publisher import EPOCH_START, Look, Publisher

T = TypeVar("T")

_SECOND, _HOUR, _DAY = 1, 3_600, 86_400
#: Between two looks; two records of one look have the same time.
_PAUSES_S = st.sampled_from([0, _SECOND, 10 * _SECOND, _HOUR, 2 * _DAY])
#: What happens to a host's clock before a look: mostly nothing.
_JUMPS_S = st.sampled_from([0, 0, 0, 0, _SECOND, -_SECOND, -_HOUR, 3 * _DAY, -3 * _DAY, 400 * _DAY])
#: Between two batches: mostly nothing; an outage; the broker's clock is set back.
_GAPS_S = st.sampled_from([0, 0, 0, 1, 60, 3 * _DAY, -1_800])
_WARDROBE = [
    mtty(name, version=version, free=free, devices=devices)
    for name in ("mtty", "mtty2")
    for version, free, devices in (("1", 3, ()), ("2", 2, (1,)), ("2", 1, (1, 2)))
]


class Story(msgspec.Struct, frozen=True):
    """Batches of records in the order in which they arrive, each so many seconds after the one before."""

    batches: list[tuple[int, list[bytes]]]


class ClockedPublisher(Publisher):
    """One whose clock is set by the test."""

    clock = EPOCH_START

    @property
    def now(self) -> datetime:
        return self.clock


@st.composite
def stories(draw: st.DrawFn) -> Story:
    """One to three hosts, of one or two epochs each."""
    hosts = [_host(draw, f"host-{number}") for number in range(draw(st.integers(1, 3)))]
    waiting = [(number, record) for number, records in enumerate(hosts) for record in records]
    order = draw(st.permutations([number for number, _ in waiting])) if len(hosts) > 1 else [0] * len(waiting)
    queues = [iter(records) for records in hosts]
    batches: list[tuple[int, list[bytes]]] = []
    for number in order:
        if not batches or draw(st.integers(0, 2)) == 0:
            batches.append((draw(_GAPS_S), []))
        batches[-1][1].append(next(queues[number]))
    return Story(batches)


def _host(draw: st.DrawFn, host: str) -> list[bytes]:
    """A host's records as they arrive: any order within an epoch, some never, some twice."""
    clock = EPOCH_START + timedelta(seconds=draw(st.sampled_from([0, -20 * _DAY, -20 * _DAY, 10 * _DAY])))
    arriving: list[bytes] = []
    for epoch in range(draw(st.integers(1, 2))):
        records, clock = _epoch(draw, ClockedPublisher(host, f"epoch-{epoch}"), clock)
        kept = _some(draw, records, at_least=len(records) - 2)
        arriving += kept if draw(st.booleans()) else draw(st.permutations(kept))
    again = _some(draw, arriving, at_least=0) if draw(st.integers(0, 3)) == 0 else []
    return [*arriving, *again]


def _epoch(draw: st.DrawFn, publisher: ClockedPublisher, clock: datetime) -> tuple[list[bytes], datetime]:
    """A complete snapshot, then changes and further snapshots, while time passes and the clock is set."""
    tell: Callable[[Look], list[bytes]] = publisher.snapshot
    records: list[bytes] = []
    for _ in range(draw(st.integers(1, 4))):
        publisher.clock = clock = clock + timedelta(seconds=draw(_PAUSES_S) + draw(_JUMPS_S))
        records += tell(_look(draw))
        tell = publisher.snapshot if draw(st.integers(0, 3)) == 0 else publisher.changes
    return records, clock


def _look(draw: st.DrawFn) -> Look:
    worn: list[Parent] = draw(st.lists(st.sampled_from(_WARDROBE), max_size=3))
    return look(*worn, kernel=draw(st.sampled_from(["6.1", "6.12"])))


def _some(draw: st.DrawFn, items: list[T], *, at_least: int) -> list[T]:
    left_out = draw(st.sets(st.integers(0, max(0, len(items) - 1)), max_size=max(0, len(items) - max(1, at_least))))
    return [item for place, item in enumerate(items) if place not in left_out]
