"""Plans over fleets of three sizes: what-if answers beside one pass over what is counted together, and orders of waves.

The floor of a forecast, and of a map, is one pass over the cohorts that sums up hosts, capacities and devices; that of
an order, and of cohorts, one pass over all hosts.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from fleets import AT_US
from fleets import Fleet as Generated
from msgspec import structs
from rounds import FLOOR, OURS, Cell, Table

from mdevreg.fleet import Fleet, FleetView
from mdevreg.fleet.entries import DeviceRef, HostEntry
from mdevreg.planning.cohorts import Cohorts
from mdevreg.planning.foresee import foresee
from mdevreg.planning.goals import goal_in
from mdevreg.planning.islands import islands_of
from mdevreg.planning.waves.limits import Limits
from mdevreg.planning.waves.planned import plan_waves
from mdevreg.rules import scope_in

GOAL = goal_in(driver="nvidia 570.124.03")
WHERE, SITE, NAMED = scope_in("driver=nvidia"), scope_in("driver=nvidia site=ams"), scope_in("host=hv-ams-*")
#: Waves of an order, about.
WAVES = 60
#: Devices per host, on average, of the smallest size: with more of them an order costs far more.
DEVICES = (0.5, 4.0, 8.0)


def report(folder: Path, *, rounds: int, sizes: Sequence[int]) -> list[Table]:
    """Print what it takes, size by size."""
    cells: list[Cell] = []
    table = Table("Plans")
    for size in sizes:
        view = _view(size)
        cells += _cells(f"{size:,} hosts", view, table)
        if size == sizes[0]:
            for devices in DEVICES:
                cells += _ordered(f"{size:,} hosts with {devices:g} devices each", _populated(view, devices), table)
    table.measure(cells, rounds)
    table.show()
    return [table]


def _cells(size: str, view: FleetView, table: Table) -> list[Cell]:
    cohorts = Cohorts(view)
    changed = _touched(view)
    lines = (f"{size}: what if all are upgraded", f"{size}: what if those of a site", f"{size}: islands")
    return [
        Cell(lines, FLOOR, lambda: [_s(lambda: _pass(cohorts))] * len(lines)),
        Cell(lines[:1], OURS, lambda: _s(lambda: foresee(view, cohorts, WHERE, GOAL, now_us=AT_US))),
        Cell(lines[1:2], OURS, lambda: _s(lambda: foresee(view, cohorts, SITE, GOAL, now_us=AT_US))),
        Cell(lines[2:], OURS, lambda: _s(lambda: islands_of(view, cohorts, WHERE, now_us=AT_US))),
        Cell((f"{size}: what if those of a name",), FLOOR, lambda: _s(lambda: _look(view))),
        Cell((f"{size}: what if those of a name",), OURS, lambda: _s(lambda: _named(view, cohorts))),
        Cell((f"{size}: cohorts",), FLOOR, lambda: _s(lambda: _look(view))),
        Cell((f"{size}: cohorts",), OURS, lambda: _s(lambda: Cohorts(view))),
        Cell((f"{size}: cohorts after a change",), OURS, lambda: _s(lambda: Cohorts(changed, cohorts))),
        *_ordered(size, view, table),
    ]


def _ordered(size: str, view: FleetView, table: Table) -> list[Cell]:
    cohorts = Cohorts(view)
    limits = Limits(at_once=max(1, len(list(view.directory.entries())) // 3 // WAVES))
    plan = plan_waves(view, cohorts, WHERE, GOAL, limits, now_us=AT_US)
    assert not plan.faults, plan.faults
    hosts = plan.hosts - plan.upgraded
    told = f"{len(cohorts.by_key)} cohorts; {hosts:,} hosts to upgrade, {plan.migrations:,} migrations"
    left = f", {len(plan.left)} hosts left" if plan.left else ""
    table.notes.append(f"{size}: {told} in {len(plan.waves)} waves{left}.")
    line = (f"{size}: an order, replayed",)
    return [
        Cell(line, FLOOR, lambda: _s(lambda: _look(view))),
        Cell(line, OURS, lambda: _s(lambda: plan_waves(view, cohorts, WHERE, GOAL, limits, now_us=AT_US)), most=3),
    ]


def _named(view: FleetView, cohorts: Cohorts) -> object:
    return foresee(view, cohorts, NAMED, GOAL, now_us=AT_US)


def _pass(cohorts: Cohorts) -> int:
    """The least that any answer about the fleet takes."""
    return sum(cohort.hosts + sum(cohort.free) + sum(cohort.devices.values()) for cohort in cohorts.by_key.values())


def _look(view: FleetView) -> int:
    """One look at each host."""
    return sum(len(entry.devices) + len(entry.free) for entry in view.directory.entries())


def _touched(view: FleetView) -> FleetView:
    """The same fleet after one of its parts was replaced."""
    entry = next(view.directory.entries())
    return _with(view, [entry])


def _populated(view: FleetView, devices: float) -> FleetView:
    """The same fleet with so many devices on each host, on average, of the types that it offers."""
    chance = random.Random(7)
    changed: list[HostEntry] = []
    for entry in sorted(view.directory.entries(), key=lambda entry: entry.name):
        count = int(chance.uniform(0, 2 * devices + 1)) if devices >= 1 else int(chance.random() < devices)
        slots = [chance.choice(entry.layout.slots) for _ in range(count)]
        refs = [
            DeviceRef(f"{entry.host}/{number}", entry.host, entry.pulse, parent.name, kind)
            for number, (parent, kind) in enumerate(slots)
        ]
        changed.append(structs.replace(entry, devices=tuple(refs)))
    return _with(view, changed)


def _with(view: FleetView, entries: Sequence[HostEntry]) -> FleetView:
    """The fleet with these hosts put anew."""
    edit = view.directory.names.edited()
    for entry in entries:
        edit.set(entry.host, entry)
        edit.set(entry.hostname, entry)
    changed = object.__new__(FleetView)
    for slot in ("types", "heard", "knowledge", "position", "table", "stale_after_us", "sound_until_us"):
        setattr(changed, slot, getattr(view, slot))
    changed.directory = type(view.directory)(edit.done(), view.directory.devices)
    return changed


def _view(size: int) -> FleetView:
    fleet = Fleet()
    fleet.apply(Generated(size).messages(), now_us=AT_US)
    return fleet.view


def _s(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun
