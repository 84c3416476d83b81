"""What would become of the fleet if some hosts were upgraded? Nothing is written. Pure.

Answered over hosts that are alike, not host by host: a fleet of 100,000 hosts has some hundred cohorts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mdevreg.fleet.kinds import Kind
from mdevreg.fleet.matrix import KindSummary
from mdevreg.fleet.view import FleetView
from mdevreg.planning.cohorts import Cohorts
from mdevreg.planning.crowding import HostByHost
from mdevreg.planning.forecast import (
    KindChange,
    PathChange,
    Paths,
    StrandedGroup,
    Stranding,
    Trial,
    TypeCapacity,
    UpgradeForecast,
)
from mdevreg.planning.goals import Goal
from mdevreg.planning.overlay import Overlay
from mdevreg.planning.returning import no_return
from mdevreg.planning.selecting import select
from mdevreg.planning.spots import Room, Spot, Spots, Waiting
from mdevreg.planning.stranding import STATES, Stages, Standing, State, worse
from mdevreg.planning.trials import trials
from mdevreg.planning.ways import Way, Ways
from mdevreg.rules import Scope
from mdevreg.times import moment_of
from mdevreg.verdict import Outcome

#: Kinds of paths that turned, and groups of devices, that are told one by one; the most important first.
TOLD = 100


def foresee(view: FleetView, cohorts: Cohorts, where: Scope, goal: Goal, *, now_us: int) -> UpgradeForecast:
    """The forecast. ``where``: which hosts are upgraded; ``cohorts``: of the same view.

    Raises ``NotFoundError``, ``UsageError``, ``VersionError``, and ``MissingExtraError`` ([plan]).
    """
    return _Foreseeing(view, cohorts, where, goal, now_us).forecast()


class _Foreseeing:
    """One forecast in the making."""

    def __init__(self, view: FleetView, cohorts: Cohorts, where: Scope, goal: Goal, now_us: int) -> None:
        self._view, self._where, self._goal, self._now_us = view, where, goal, now_us
        self._selection = select(view, cohorts, where)
        self._overlay = Overlay(view, goal, now_us=now_us)
        self._table = self._overlay.table
        self._spots = Spots(self._selection, self._overlay)
        self._hosts = HostByHost(view, self._selection, self._overlay)
        self._stages = Stages(self._spots, self._table, self._hosts.only_own)

    def forecast(self) -> UpgradeForecast:
        ways = Ways(self._spots, self._table)
        now, during, after = (self._stages.at(stage) for stage in ("now", "during", "after"))
        was = _worst(now)
        new = [standing for standing in after if worse(standing.state, was[standing.waiting])]
        doubtful = [standing for standing in new if standing.state == "unknown"]
        return UpgradeForecast(
            outcome=_outcome(ways, new),
            goal=str(self._goal),
            where=str(self._where) or "all hosts",
            hosts=self._selection.hosts,
            changing=self._spots.changing,
            kinds=self._kinds(),
            paths=self._paths(ways),
            now=self._stranding(now, {}),
            during=self._stranding(during, was),
            after=self._stranding(after, was),
            no_return=no_return(self._spots, self._stages, self._table),
            capacity=self._capacity(),
            trials=self._trials(doubtful),
            position=self._view.position,
            answered_at=moment_of(self._now_us),
        )

    def _kinds(self) -> tuple[KindChange, ...]:
        found: dict[tuple[Kind, Kind], Room] = {}
        for spot, room in self._rooms():
            if spot.changes:
                total = found.setdefault((spot.before, spot.after), Room())
                total.hosts, total.places = total.hosts + room.hosts, total.places + room.places
        return tuple(
            KindChange(
                type=before.type,
                driver=before.profile.driver,
                support=self._table.support(before),
                new_driver=after.profile.driver,
                new_support=self._table.support(after),
                learned=self._overlay.learned[after],
                hosts=room.hosts,
                places=room.places,
            )
            for (before, after), room in sorted(found.items(), key=lambda each: (each[0][0].type, -each[1].hosts))
        )

    def _paths(self, ways: Ways) -> Paths:
        turned = sorted(ways.turned, key=_importance)
        changes = tuple(self._path(way) for way in turned[:TOLD])
        return Paths(ways.before, ways.after, ways.lost, ways.gained, ways.unknown, ways.one_way, changes)

    def _path(self, way: Way) -> PathChange:
        return PathChange(
            type=way.source.before.type,
            source=self._summary(way.source.after, self._spots.by_type[way.source.before.type][way.source]),
            target=self._summary(way.target.after, self._spots.by_type[way.target.before.type][way.target]),
            source_upgraded=way.source.upgraded,
            target_upgraded=way.target.upgraded,
            paths=way.paths,
            before=way.before.outcome,
            after=way.after.outcome,
            codes=way.after.codes,
        )

    def _stranding(self, standings: Sequence[Standing], was: dict[Waiting, State]) -> Stranding:
        counts = dict.fromkeys(("free", "crowded", "unknown", "stranded"), 0)
        for standing in standings:
            counts[standing.state] += standing.devices
        bad = [standing for standing in standings if standing.state != "free"]
        bad.sort(key=lambda each: (-_badness(each.state), -each.devices, each.waiting.before.order))
        told = bad[:TOLD]
        examples = self._hosts.examples([standing.waiting for standing in told])
        groups = tuple(self._group(each, was, examples[each.waiting]) for each in told)
        return Stranding(counts["stranded"], counts["crowded"], counts["unknown"], groups)

    def _group(self, standing: Standing, was: dict[Waiting, State], examples: tuple[str, ...]) -> StrandedGroup:
        waiting, state = standing.waiting, standing.state
        assert state != "free"
        return StrandedGroup(
            type=waiting.before.type,
            driver=waiting.before.profile.driver,
            support=self._table.support(waiting.before),
            state=state,
            upgraded=waiting.upgraded,
            devices=standing.devices,
            new=waiting in was and worse(state, was[waiting]),
            codes=None if standing.nearest is None else standing.nearest.codes,
            examples=examples,
        )

    def _capacity(self) -> tuple[TypeCapacity, ...]:
        found: list[TypeCapacity] = []
        evacuees: dict[str, int] = {}
        for waiting, devices in self._spots.devices.items():
            if waiting.upgraded:
                evacuees[waiting.before.type] = evacuees.get(waiting.before.type, 0) + devices
        for name, rooms in sorted(self._spots.by_type.items()):
            during = sum(room.free for spot, room in rooms.items() if not spot.upgraded)
            now, leaving = sum(room.free for room in rooms.values()), evacuees.get(name, 0)
            untold = sum(room.untold for room in rooms.values())
            found.append(TypeCapacity(name, now, during, leaving, during - leaving, untold))
        return tuple(each for each in found if each.evacuees or each.during != each.now)

    def _trials(self, doubtful: list[Standing]) -> tuple[Trial, ...]:
        return tuple(
            Trial(
                what="report" if each.question.source is None else "migration",
                type=each.source.type,
                source=self._summary(each.source),
                target=self._summary(each.question.target),
                codes=each.ruling.codes,
                devices=each.devices,
                hosts=self._hosts.hosts_of(each.spots),
            )
            for each in trials(doubtful, self._table)
        )

    def _summary(self, kind: Kind, room: Room | None = None) -> KindSummary:
        if room is None:
            room = Room()
            for spot, each in self._spots.by_type.get(kind.type, {}).items():
                if kind in (spot.before, spot.after):
                    room.hosts, room.open = room.hosts + each.hosts, room.open + each.open
        support, build = self._table.support(kind), kind.profile.driver
        return KindSummary(kind.type, kind.digest, build, support, room.hosts, min(room.open, room.hosts))

    def _rooms(self) -> Iterable[tuple[Spot, Room]]:
        for rooms in self._spots.by_type.values():
            yield from rooms.items()


def _outcome(ways: Ways, new: Sequence[Standing]) -> Outcome:
    """A certain loss is a no; then anything that may be one is unknown."""
    if ways.lost or any(standing.state in ("stranded", "crowded") for standing in new):
        return Outcome.INCOMPATIBLE
    return Outcome.UNKNOWN if ways.unknown or new else Outcome.COMPATIBLE


def _worst(standings: Sequence[Standing]) -> dict[Waiting, State]:
    found: dict[Waiting, State] = {}
    for standing in standings:
        known = found.get(standing.waiting)
        if known is None or worse(standing.state, known):
            found[standing.waiting] = standing.state
    return found


def _badness(state: State) -> int:
    return STATES.index(state)


def _importance(way: Way) -> tuple[object, ...]:
    lost = way.before.outcome is Outcome.COMPATIBLE
    certain = way.after.outcome is Outcome.INCOMPATIBLE
    return (not (lost and certain), not lost, -way.paths, way.source.before.type, way.source.before.order)
