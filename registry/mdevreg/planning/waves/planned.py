"""Plans an upgrade in waves, has the plan checked, and tells why there is none where there is none. Pure."""

from __future__ import annotations

from mdevreg.fleet.view import FleetView
from mdevreg.planning.cohorts import Cohorts
from mdevreg.planning.goals import Goal
from mdevreg.planning.overlay import Overlay
from mdevreg.planning.selecting import select
from mdevreg.planning.waves.checking import faults
from mdevreg.planning.waves.finding import Found, find, told
from mdevreg.planning.waves.grounds import Grounds
from mdevreg.planning.waves.limits import Limits
from mdevreg.planning.waves.ordering import Progress
from mdevreg.planning.waves.plan import Blocked, Relaxation, UpgradeWaves, WavePlan
from mdevreg.planning.waves.proving import blocked
from mdevreg.planning.waves.relaxing import relaxations
from mdevreg.rules import Scope
from mdevreg.times import moment_of
from mdevreg.verdict import Outcome


def plan_waves(
    view: FleetView,
    cohorts: Cohorts,
    where: Scope,
    goal: Goal,
    limits: Limits,
    *,
    now_us: int,
    progress: Progress = lambda _done, _of: None,
) -> UpgradeWaves:
    """An order of upgrades in waves under limits, or why there is none. ``cohorts``: of the same view.

    Raises ``NotFoundError``, ``UsageError``, ``VersionError``, and ``MissingExtraError`` ([plan]).
    """
    overlay = Overlay(view, goal, now_us=now_us)
    selection = select(view, cohorts, where)
    chosen = frozenset(entry.host for entry in selection.hosts_of(view))
    grounds = Grounds(tuple(sorted(view.directory.entries(), key=lambda entry: entry.name)), chosen, overlay)
    found = find(grounds, limits, progress)
    waves = told(found.waves)
    wrong = _wrong(grounds, limits, waves, found)
    why = blocked(grounds, found.yard, found.left)
    return UpgradeWaves(
        outcome=_outcome(found, why, wrong),
        goal=str(goal),
        where=str(where) or "all hosts",
        limits=limits,
        hosts=selection.hosts,
        upgraded=sum(entry.host in chosen and grounds.stage(entry) == "fixed" for entry in grounds.entries),
        waves=waves,
        migrations=sum(len(wave.migrations) for wave in waves),
        left=tuple(found.left),
        faults=tuple(wrong),
        blocked=why,
        relaxations=_relaxations(grounds, limits, why),
        position=view.position,
        answered_at=moment_of(now_us),
        searched=found.states,
    )


def _wrong(grounds: Grounds, limits: Limits, waves: tuple[WavePlan, ...], found: Found) -> list[str]:
    """What the replay finds wrong; that hosts are left is told otherwise."""
    left = {f"{name} was to be upgraded and is not" for name in found.left}
    return [fault for fault in faults(grounds, limits, waves) if fault not in left]


def _outcome(found: Found, why: Blocked | None, wrong: list[str]) -> Outcome:
    if wrong:
        return Outcome.UNKNOWN  # a fault of the planner, found by the replay: no plan to rely on
    if not found.left:
        return Outcome.COMPATIBLE
    certain = found.proven or (why is not None and why.why == "range")
    return Outcome.INCOMPATIBLE if certain and (why is None or why.why != "unknown") else Outcome.UNKNOWN


def _relaxations(grounds: Grounds, limits: Limits, why: Blocked | None) -> tuple[Relaxation, ...]:
    return () if why is None else relaxations(grounds, limits, why)
