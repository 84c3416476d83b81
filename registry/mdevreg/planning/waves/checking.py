"""Has a plan replayed by code that shares nothing with the planner (``mdevreg.planning.replay``). Pure."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import structs

from mdevreg.compatibility import judge
from mdevreg.facts import Side
from mdevreg.fleet.kinds import Kind
from mdevreg.fleet.table import WHEN
from mdevreg.planning.replay import Replay, Site, Slot, Staying
from mdevreg.planning.waves.grounds import Grounds
from mdevreg.planning.waves.limits import Limits
from mdevreg.planning.waves.plan import WavePlan
from mdevreg.verdict import Outcome


def replay_of(grounds: Grounds, limits: Limits) -> Replay:
    """The fleet as it is, to be replayed on."""
    return Replay({site.name: site for site in _sites(grounds)}, _Says(grounds), limits)


def faults(grounds: Grounds, limits: Limits, waves: Iterable[WavePlan]) -> list[str]:
    """What the replay finds wrong with a plan, step by step."""
    replay = replay_of(grounds, limits)
    for wave in waves:
        replay.wave(wave.hosts, wave.migrations)
    return [*replay.faults, *(f"{name} was to be upgraded and is not" for name in replay.unfinished())]


class _Says:
    """``judge`` on the merits, for the replay: facts are taken as good, their doubts are told apart."""

    def __init__(self, grounds: Grounds) -> None:
        table = grounds.overlay.table
        self._rules, self._now, self._knowledge = table.rules, WHEN, table.knowledge

    def __call__(self, source: Side, target: Side) -> Outcome:
        tried = self._knowledge.tried_between(source.digest, (target.digest,))
        return judge(source, target, structs.replace(self._rules, outcomes=tried), self._now).outcome


def _sites(grounds: Grounds) -> Iterable[Site]:
    """The hosts as the replay takes them."""
    sides: dict[Kind, Side] = {}

    def side(kind: Kind) -> Side:
        if kind not in sides:
            sides[kind] = grounds.overlay.table.side(kind)
        return sides[kind]

    for entry in grounds.entries:
        wanted = grounds.stage(entry) == "old"
        slots: dict[tuple[str, str], Slot] = {}
        for parent in entry.layout.parents:
            for at, (name, kind) in enumerate(parent.types, parent.first):
                after = grounds.overlay.after(kind) if wanted else kind
                slots[parent.name, name] = Slot(side(kind), side(after), entry.free[at] or 0)
        devices = {ref.name: Staying(ref.name, side(ref.kind), ref.parent) for ref in entry.devices}
        yield Site(entry.name, entry.site, slots, devices, good=entry.sound, wanted=wanted)
