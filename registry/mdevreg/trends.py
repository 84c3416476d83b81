"""How many hosts ran which driver build, time after time. Pure: one pass over runs, whatever the number of times."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import accumulate, groupby

import msgspec

from mdevreg.errors import UsageError
from mdevreg.facts import NOW, Moment
from mdevreg.records import DriverBuild
from mdevreg.rules import FLEET, Scope
from mdevreg.runs import Run
from mdevreg.scopes import refuse_other_keys
from mdevreg.times import micros, moment_of

#: Most times of one answer.
MAX_STEPS = 1_000
#: Longest period, a century: nothing is looked for earlier.
MAX_OVER_S = 3_153_600_000
#: The keys of a scope that are told of a run.
KEYS = ("host", "site", "driver", "kernel_release", "version", "srcversion", "build_id")

_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400
#: Steps as people think of time, in seconds.
_ROUND_S = (
    *(1, 2, 5, 15, 30, _MINUTE, 2 * _MINUTE, 5 * _MINUTE, 15 * _MINUTE, 30 * _MINUTE),
    *(_HOUR, 2 * _HOUR, 6 * _HOUR, 12 * _HOUR),
    *(_DAY, 2 * _DAY, 4 * _DAY, 7 * _DAY, 14 * _DAY, 28 * _DAY, 91 * _DAY, 182 * _DAY, 365 * _DAY),
)
#: As many steps as there is room for in a table.
_FEW = 13


class TrendAsked(msgspec.Struct, frozen=True):
    """The period that ends with the moment's valid time, and how far its times are apart, in seconds.

    ``step_s`` ``None``: as far as gives about a dozen of them. ``where``: the keys of ``KEYS``, of hosts as they are
    at the end.
    """

    over_s: int
    step_s: int | None = None
    where: Scope = FLEET
    moment: Moment = NOW


class TrendRow(msgspec.Struct, frozen=True):
    """One build, and how many hosts ran it at each time."""

    build: DriverBuild
    hosts: tuple[int, ...]


class Trend(msgspec.Struct, frozen=True):
    """Hosts by driver build at each of ``times``, oldest first: by name, then most hosts at the end first."""

    position: int
    times: tuple[datetime, ...]
    drivers: tuple[TrendRow, ...]
    step_s: int
    snapshot: str = ""


def times_of(asked: TrendAsked, end: datetime) -> tuple[datetime, ...]:
    """The times, oldest first; the last is ``end``. Raises ``UsageError``."""
    if not 1 <= asked.over_s <= MAX_OVER_S:
        raise UsageError(f"over_s is {asked.over_s}; 1 to {MAX_OVER_S} seconds were expected")
    step_s = step_of(asked)
    if step_s < 1:
        raise UsageError(f"step_s is {step_s}; at least 1 second was expected")
    steps = asked.over_s // step_s
    if steps >= MAX_STEPS:
        raise UsageError(f"{steps + 1} steps of {step_s} s in {asked.over_s} s; at most {MAX_STEPS}: take longer ones")
    refuse_other_keys(asked.where, KEYS, "a driver's trend")
    end_us = micros(end)
    return tuple(moment_of(end_us - number * step_s * 1_000_000) for number in range(steps, -1, -1))


def step_of(asked: TrendAsked) -> int:
    """How far times are apart, in seconds."""
    if asked.step_s is not None:
        return asked.step_s
    return next((step for step in _ROUND_S if asked.over_s // step < _FEW), -(-asked.over_s // _FEW))


def trend_of(runs: Iterable[Run], times_us: Sequence[int]) -> tuple[TrendRow, ...]:
    """How many hosts ran each build at each time. Requires runs host by host, and times that are equally far apart.

    A host counts once for a build, however many of its parents run it. What ran at no time is left out.
    """
    found: dict[DriverBuild, list[int]] = {}
    for _, mine in groupby(runs, key=lambda run: run.host):
        spans: dict[DriverBuild, list[tuple[int, int]]] = {}
        for run in mine:
            first, last = _at_or_after(run.begin_us, times_us), _at_or_after(run.end_us, times_us)
            if first < last:
                spans.setdefault(run.build, []).append((first, last))
        for build, places in spans.items():
            turns = found.setdefault(build, [0] * (len(times_us) + 1))
            for first, last in _merged(places):
                turns[first] += 1
                turns[last] -= 1
    rows = [TrendRow(build, tuple(accumulate(turns[:-1]))) for build, turns in found.items()]
    return tuple(sorted(rows, key=lambda row: (row.build.name, -row.hosts[-1], repr(row.build))))


def _at_or_after(us: int, times_us: Sequence[int]) -> int:
    """The place of the first time that is not before ``us``."""
    if us <= times_us[0]:
        return 0
    if us > times_us[-1]:
        return len(times_us)
    return -(-(us - times_us[0]) // (times_us[1] - times_us[0]))


def _merged(places: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """The same places, none twice."""
    begin, end = -1, -1
    for first, last in sorted(places):
        if first > end:
            if end > begin:
                yield begin, end
            begin, end = first, last
        end = max(end, last)
    if end > begin:
        yield begin, end
