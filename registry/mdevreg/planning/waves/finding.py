"""Finds an order of waves: fast where it is easy, exhaustive where the fleet is small. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from mdevreg.planning.waves.grounds import Grounds
from mdevreg.planning.waves.limits import Limits
from mdevreg.planning.waves.ordering import Progress, Wave, order
from mdevreg.planning.waves.packing import packed
from mdevreg.planning.waves.plan import Migration, WavePlan
from mdevreg.planning.waves.searching import HOSTS, Search
from mdevreg.planning.waves.yard import Yard


class Found(NamedTuple):
    """What planning came to. ``left``: hosts that were not reached; ``proven``: nothing else was possible."""

    waves: list[Wave]
    left: list[str]
    proven: bool
    states: int
    yard: Yard


def find(grounds: Grounds, limits: Limits, progress: Progress = lambda _done, _of: None) -> Found:
    """An order of waves. Where none is found that reaches all, a small fleet is searched exhaustively."""
    yard = grounds.yard(limits)
    found = order(yard, progress)
    left = [node.name for node in found.left]
    if not left or len(grounds.entries) > HOSTS:
        return Found(found.waves, left, not left, 0, yard)
    search = Search(grounds.yard(limits))
    waves = search.order()
    if waves is not None:
        return Found(packed(waves, grounds.yard(limits)), [], True, search.states, yard)
    return Found(found.waves, left, search.complete, search.states, yard)


def find_on(yard: Yard) -> list[str]:
    """The hosts that a first try does not reach, on a fleet that is already being planned on."""
    return [node.name for node in order(yard).left]


def told(waves: Iterable[Wave]) -> tuple[WavePlan, ...]:
    """Waves in names."""
    return tuple(
        WavePlan(
            number=number,
            hosts=tuple(node.name for node in wave.hosts),
            migrations=tuple(Migration(**move._asdict()) for move in wave.moves),
        )
        for number, wave in enumerate(waves, 1)
    )
