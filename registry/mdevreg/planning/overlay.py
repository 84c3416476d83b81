"""The fleet as an upgrade would make it: kinds that become others, judged like all others. Nothing is written. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from msgspec import structs

from mdevreg.errors import UsageError
from mdevreg.facts import Side
from mdevreg.fleet.entries import Layout
from mdevreg.fleet.kinds import Kind
from mdevreg.fleet.table import RulingTable
from mdevreg.fleet.view import FleetView
from mdevreg.knowledge import Knowledge
from mdevreg.objects import Profiles
from mdevreg.planning.goals import Goal, ProfileGoal, StreamGoal
from mdevreg.profiles import Profile
from mdevreg.rulings import Ruling
from mdevreg.statements import Versions
from mdevreg.streams import Exact, OneOf, Range, StreamSet, UpTo, read_set
from mdevreg.support import StreamSupport, Support
from mdevreg.times import moment_of
from mdevreg.versions import Scheme
from mdevreg.wanted import WantedBuild

#: How it is known what a place would become: another host shows it, the catalog knows the build, it was stated.
Learned = Literal["observed", "concluded", "stated"]

_ONE_FORMAT = "add format=NAME to state it of one format alone"


class Planned(RulingTable):
    """Rulings in which some kinds are planned ones; those of two standing kinds are looked up where they were made."""

    def __init__(self, standing: RulingTable, *, now_us: int) -> None:
        super().__init__(standing.knowledge, moment_of(now_us))
        self._standing = standing
        self._supports: dict[Kind, Support] = {}

    def plan(self, kind: Kind, support: Support | None) -> None:
        """A kind that no host has. ``support``: as stated, ``None``: what follows from its profile."""
        self._supports[kind] = self.knowledge.support(kind.digest, kind.profile) if support is None else support

    def support(self, kind: Kind) -> Support:
        """What a kind saves and loads."""
        found = self._supports.get(kind)
        return super().support(kind) if found is None else found

    def ruling(self, source: Kind, target: Kind, source_doubts: int = 0, target_doubts: int = 0) -> Ruling:
        """The ruling for a pair of kinds, with these doubts about their hosts."""
        if source in self._supports or target in self._supports:
            return super().ruling(source, target, source_doubts, target_doubts)
        return self._standing.ruling(source, target, source_doubts, target_doubts)


class Overlay:
    """What becomes of each kind under a goal. ``table``: rulings before and after."""

    def __init__(self, view: FleetView, goal: Goal, *, now_us: int, standing: RulingTable | None = None) -> None:
        self.view, self.goal, self._now_us = view, goal, now_us
        self.table = Planned(standing or view.table_at(now_us), now_us=now_us)
        self.learned: dict[Kind, Learned] = {}
        self._known = _observed(view) if isinstance(goal, WantedBuild) else {}
        self._there = _of_host(view, goal) if isinstance(goal, ProfileGoal) else {}
        self._made: dict[Kind, Kind] = {}
        self._changing: dict[Layout, bool] = {}
        self._planned: dict[tuple[str, int], Kind] = {}
        self._digests = Profiles()

    def after(self, kind: Kind) -> Kind:
        """What a kind becomes; the same where the goal does not concern it. Raises ``UsageError``, ``VersionError``."""
        found = self._made.get(kind)
        if found is None:
            found = self._made[kind] = self._after(kind)
        return found

    def towards(self, goal: Goal) -> Overlay:
        """The same fleet under another goal."""
        return Overlay(self.view, goal, now_us=self._now_us)

    def without(self, rule: str) -> Overlay:
        """The same as if a rule were not."""
        known = self.table.knowledge
        rules = {name: each for name, each in known.rules.items() if name != rule}
        standing = RulingTable(Knowledge(known.entries, rules, known.tried), moment_of(self._now_us))
        return Overlay(self.view, self.goal, now_us=self._now_us, standing=standing)

    def changes(self, layout: Layout) -> bool:
        """Whether anything that hosts of a layout offer becomes another."""
        found = self._changing.get(layout)
        if found is None:
            found = self._changing[layout] = any(self.after(kind) is not kind for _, kind in layout.slots)
        return found

    def _after(self, kind: Kind) -> Kind:
        goal = self.goal
        if isinstance(goal, StreamGoal):
            return self._stated(kind, goal)
        if isinstance(goal, ProfileGoal):
            like = self._there.get(kind.type)
            return kind if like is None or like.digest == kind.digest else self._seen(kind, like)
        build = kind.profile.driver
        if build is None or goal.name not in (build.name, build.module) or goal.is_met_by(build):
            return kind
        like = self._nearest(kind)
        if like is not None:
            return self._seen(kind, like)
        profile = _unseen(kind.profile, goal)
        return self._placed(kind, profile, self._digests.digest(profile), None, "concluded")

    def _seen(self, kind: Kind, like: Kind) -> Kind:
        """What another host shows; the very same kind, unless rules tell their places apart."""
        if like.bits == kind.bits:
            self.learned[like] = "observed"
            return like
        return self._placed(kind, like.profile, like.digest, None, "observed")

    def _placed(self, kind: Kind, profile: Profile, digest: str, support: Support | None, learned: Learned) -> Kind:
        """The kind of the same place with another profile."""
        made = self._planned.get((digest, kind.bits))
        if made is None:
            sample: Side = structs.replace(kind.sample, profile=profile, digest=digest)
            made = self._planned[digest, kind.bits] = Kind(digest, profile, kind.bits, sample)
            self.learned[made] = learned
            self.table.plan(made, support)
        return made

    def _nearest(self, kind: Kind) -> Kind | None:
        """What hosts show for the type under the wanted build; of several the one most like it, then by digest."""
        mine = kind.profile
        likeness = (
            (-(each.profile.pci == mine.pci), -(each.profile.attributes == mine.attributes), each.order, each)
            for each in self._known.get(kind.type, ())
            if isinstance(self.goal, WantedBuild) and self.goal.is_met_by(each.profile.driver)
        )
        return min(likeness, key=lambda each: each[:3], default=(None,))[-1]

    def _stated(self, kind: Kind, goal: StreamGoal) -> Kind:
        support = self.table.knowledge.support(kind.digest, kind.profile)
        if not isinstance(support, StreamSupport) or goal.format not in (None, support.format):
            return kind
        scheme = _scheme(support)
        saves = support.saves if goal.saves is None else _read(goal.saves, scheme, support)
        loads = support.loads if goal.loads is None else _read(goal.loads, scheme, support)
        stated = structs.replace(support, saves=saves, loads=loads, contradictions=())
        return self._placed(kind, kind.profile, f"{kind.digest} with {goal}", stated, "stated")


def _observed(view: FleetView) -> dict[str, list[Kind]]:
    found: dict[str, dict[Kind, None]] = {}
    for name, groups in view.types.items():
        for offering, _ in groups.groups:
            found.setdefault(name, {}).update(dict.fromkeys(kind for kind, _ in offering.kinds))
    return {name: list(kinds) for name, kinds in found.items()}


def _of_host(view: FleetView, goal: ProfileGoal) -> dict[str, Kind]:
    entry = view.directory.host(goal.host)
    found = {name: kinds[0][0] for name, kinds in entry.layout.by_type.items()}
    if not found:
        raise UsageError(f"{entry.hostname} offers no type, so that there is no profile to take from it")
    return found


def _unseen(profile: Profile, wanted: WantedBuild) -> Profile:
    """A profile under a build that no host has shown: what the old driver said of itself is not known of the new."""
    return structs.replace(
        profile,
        driver=wanted.build(profile.driver),
        migration_stream_version=None,
        migration_stream_version_min=None,
        migration_version=None,
        nvml=None,
        guest_version=None,
        answers={},
    )


def _scheme(support: StreamSupport) -> Scheme:
    for versions in _both(support):
        match versions:
            case Exact():
                return versions.version.scheme
            case Range() | UpTo():
                return versions.maximum.scheme
            case OneOf():
                return versions.versions[0].scheme
    text = f"{support.format} streams have no versions, so that none can be stated of them"
    raise UsageError(f"{text}; {_ONE_FORMAT}")


def _both(support: StreamSupport) -> Iterable[StreamSet]:
    return (support.saves, support.loads)


def _read(stated: Versions, scheme: Scheme, support: StreamSupport) -> StreamSet:
    try:
        return read_set(stated, scheme)
    except UsageError as error:
        raise UsageError(f"{error.message} (as versions of {support.format} compare; {_ONE_FORMAT})") from error
