"""Does what is left of a plan still hold? A deviation is told before it is a failure. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from mdevreg.fleet.entries import HostEntry
from mdevreg.fleet.view import FleetView
from mdevreg.planning.goals import Goal
from mdevreg.planning.overlay import Overlay
from mdevreg.planning.waves.checking import replay_of
from mdevreg.planning.waves.course import Deviation, KeptMove, KeptPlan, KeptWave, PlanCheck
from mdevreg.planning.waves.grounds import Grounds
from mdevreg.times import moment_of
from mdevreg.verdict import Outcome


def follow(view: FleetView, campaign: str, plan: KeptPlan, goal: Goal, *, now_us: int) -> PlanCheck:
    """How the fleet stands to a plan. ``goal``: what the campaign wants."""
    return _Following(view, plan, goal, now_us).check(campaign)


class _Following:
    """One look."""

    def __init__(self, view: FleetView, plan: KeptPlan, goal: Goal, now_us: int) -> None:
        self._view, self._plan, self._now_us = view, plan, now_us
        self._overlay = Overlay(view, goal, now_us=now_us)
        entries = tuple(sorted(view.directory.entries(), key=lambda entry: entry.name))
        self._entries = {entry.name: entry for entry in entries}
        named = [name for wave in plan.waves for name in wave.hosts]
        self._left = [name for name in named if (entry := self._entries.get(name)) and self._old(entry)]
        self._gone = [name for name in named if name not in self._entries]
        chosen = frozenset(self._entries[name].host for name in self._left)
        self._grounds = Grounds(entries, chosen, self._overlay)
        self._done = len(named) - len(self._left) - len(self._gone)

    def check(self, campaign: str) -> PlanCheck:
        """What is not as planned."""
        left = set(self._left)
        following = next((at for at, wave in enumerate(self._plan.waves, 1) if left & set(wave.hosts)), None)
        deviations = tuple(self._deviations(left, following))
        endangers = any(each.endangers for each in deviations)
        return PlanCheck(
            campaign=campaign,
            outcome=Outcome.INCOMPATIBLE if endangers else Outcome.COMPATIBLE,
            done=self._done,
            left=len(self._left),
            wave=following,
            deviations=deviations,
            position=self._view.position,
            answered_at=moment_of(self._now_us),
        )

    def _old(self, entry: HostEntry) -> bool:
        return any(self._overlay.after(kind) is not kind for _, kind in entry.layout.slots)

    def _deviations(self, left: set[str], following: int | None) -> Iterator[Deviation]:
        for name in self._gone:
            yield Deviation("gone", f"{name} is not known any more", host=name)
        if following is None:
            return
        for number, wave in enumerate(self._plan.waves[following:], following + 1):
            for name in wave.hosts:
                if name in self._entries and name not in left:
                    text = f"{name} of wave {number} is upgraded, wave {following} is not through"
                    yield Deviation("early", text, host=name)
        yield from self._replayed(left, following)

    def _replayed(self, left: set[str], following: int) -> Iterator[Deviation]:
        """What is left of the plan, from the fleet as it is."""
        replay = replay_of(self._grounds, self._plan.limits)
        where = {ref.name: entry.name for entry in self._entries.values() for ref in entry.devices}
        for wave in self._plan.waves[following - 1 :]:
            hosts = tuple(name for name in wave.hosts if name in left)
            steps: list[KeptMove] = []
            for step in wave.migrations:
                if where.get(step.device) == step.source and step.source in left:
                    steps.append(step)
                    where[step.device] = step.target
                elif step.source in left and step.device in where:
                    text = f"{step.device} is on {where[step.device]}, not on {step.source} any more"
                    yield Deviation("moved", text, host=step.source, device=step.device)
            yield from self._unplaced(wave, hosts, where)
            if hosts:
                replay.wave(hosts, steps)
        for fault in replay.faults:
            yield Deviation("broken", fault, endangers=True)

    def _unplaced(self, wave: KeptWave, hosts: tuple[str, ...], where: dict[str, str]) -> Iterator[Deviation]:
        """Devices that came to a host of a wave since it was planned."""
        planned = {step.device for step in wave.migrations}
        for name, host in where.items():
            if host in hosts and name not in planned and self._leaves(host, name):
                text = f"{name} came to {host}, and has no place to go in the plan"
                yield Deviation("unplaced", text, endangers=True, host=host, device=name)

    def _leaves(self, host: str, device: str) -> bool:
        """Whether a device must go before its host is upgraded: with a reload only what the driver is under."""
        if not self._plan.limits.reload:
            return True
        entry = self._entries[host]
        ref = next((each for each in entry.devices if each.name == device), None)
        changing = {parent.name for parent, kind in entry.layout.slots if self._overlay.after(kind) is not kind}
        return ref is not None and ref.parent in changing
