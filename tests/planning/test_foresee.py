"""What an upgrade would do, against an oracle that looks at every host and device by itself."""

from __future__ import annotations

from collections import Counter

from hypothesis import assume, given
from hypothesis import strategies as st

from mdevreg.fleet import Fleet, FleetView
from mdevreg.fleet.entries import DeviceRef, HostEntry
from mdevreg.fleet.kinds import Kind
from mdevreg.fleet.table import DOUBTFUL
from mdevreg.planning.cohorts import Cohorts
from mdevreg.planning.crowding import EXAMPLES
from mdevreg.planning.foresee import foresee
from mdevreg.planning.goals import StreamGoal, goal_in
from mdevreg.planning.overlay import Overlay
from mdevreg.rules import Scope, scope_in
from mdevreg.verdict import Outcome
from support.fleet_model import FleetModel, ModelHost
from support.hosts import uuid_of
from support.plan_fleets import NOW_US, fleets, goals, parent, view_of

wheres = st.sampled_from(("", "site=x", "host=host-0", "host=host-[01]", "driver=mtty version=3", "type=b"))


class _Naive:
    """Host by host, device by device."""

    def __init__(self, view: FleetView, goal: StreamGoal, chosen: set[str]) -> None:
        self._overlay = Overlay(view, goal, now_us=NOW_US)
        self._chosen = chosen
        self._entries = sorted(view.directory.entries(), key=lambda entry: entry.host)

    def after(self, entry: HostEntry, kind: Kind) -> Kind:
        return self._overlay.after(kind) if entry.host in self._chosen else kind

    def says(self, one: HostEntry, source: Kind, other: HostEntry, target: Kind) -> Outcome:
        doubts = [0 if entry.sound else DOUBTFUL for entry in (one, other)]
        return self._overlay.table.ruling(source, target, *doubts).outcome

    def paths(self) -> Counter[str]:
        found: Counter[str] = Counter()
        for one in self._entries:
            for other in self._entries:
                for _, source in one.layout.slots:
                    for _, target in other.layout.slots:
                        if one is not other and source.type == target.type:
                            self._path(found, one, source, other, target)
        return found

    def _path(self, found: Counter[str], one: HostEntry, source: Kind, other: HostEntry, target: Kind) -> None:
        before = self.says(one, source, other, target)
        after = self.says(one, self.after(one, source), other, self.after(other, target))
        yes, no = Outcome.COMPATIBLE, Outcome.INCOMPATIBLE
        found["before"] += before is yes
        found["after"] += after is yes
        found["lost"] += (before, after) == (yes, no)
        found["unknown"] += (before, after) == (yes, Outcome.UNKNOWN)
        found["gained"] += before is not yes and after is yes

    def standing(self, stage: str) -> Counter[str]:
        found: Counter[str] = Counter()
        for entry in self._entries:
            for ref in entry.devices:
                found[self._state(entry, ref, stage)] += 1
        return found

    def _state(self, home: HostEntry, ref: DeviceRef, stage: str) -> str:
        said: list[tuple[Outcome, int | None]] = []
        source = self.after(home, ref.kind) if stage == "after" else ref.kind
        for entry in self._entries:
            if entry is home or (stage == "during" and self._away(entry)):
                continue
            for (_, kind), free in zip(entry.layout.slots, entry.free, strict=True):
                if kind.type == source.type:
                    target = self.after(entry, kind) if stage == "after" else kind
                    said.append((self.says(home, source, entry, target), free))
        if any(outcome is Outcome.COMPATIBLE for outcome, _ in said):
            taking = [outcome for outcome, free in said if free != 0]
            if Outcome.COMPATIBLE in taking:
                return "free"
            return "unknown" if Outcome.UNKNOWN in taking else "crowded"
        return "unknown" if any(outcome is Outcome.UNKNOWN for outcome, _ in said) else "stranded"

    def _away(self, entry: HostEntry) -> bool:
        """Chosen hosts that nothing changes on need not be emptied."""
        return any(self.after(entry, kind) is not kind for _, kind in entry.layout.slots)


def _chosen(view: FleetView, words: str) -> set[str]:
    """By looking at each host."""
    scope = scope_in(words)
    return {entry.host for entry in view.directory.entries() if _in(entry, scope)}


def _in(entry: HostEntry, scope: Scope) -> bool:
    if scope.host:
        return any(
            entry.hostname == name or (name == "host-[01]" and entry.hostname in ("host-0", "host-1"))
            for name in scope.host
        )
    if scope.site:
        return entry.site in scope.site
    kinds = [kind for _, kind in entry.layout.slots]
    if scope.type:
        return any(kind.type in scope.type for kind in kinds)
    builds = [kind.profile.driver for kind in kinds]
    return not scope.driver or any(b is not None and (b.name, b.version) == ("mtty", "3") for b in builds)


@given(fleets(hosts=5, devices=3), goals, wheres)
def test_counts_are_those_of_looking_at_every_host(hosts: list[ModelHost], goal: StreamGoal, where: str) -> None:
    """Paths, and how devices stand at each stage."""
    view = view_of(hosts)
    chosen = _chosen(view, where)
    assume(chosen or not where)
    found = foresee(view, Cohorts(view), scope_in(where), goal, now_us=NOW_US)
    naive = _Naive(view, goal, chosen)
    assert found.hosts == len(chosen)
    paths = naive.paths()
    told = found.paths
    assert (told.before, told.after, told.lost, told.gained, told.unknown) == (
        paths["before"],
        paths["after"],
        paths["lost"],
        paths["gained"],
        paths["unknown"],
    )
    for stage, stranding in (("now", found.now), ("during", found.during), ("after", found.after)):
        standing = naive.standing(stage)
        assert (stranding.stranded, stranding.crowded, stranding.unknown) == (
            standing["stranded"],
            standing["crowded"],
            standing["unknown"],
        ), stage
        assert sum(group.devices for group in stranding.groups) == sum(standing.values()) - standing["free"]
        for group in stranding.groups:
            assert min(group.devices, EXAMPLES) <= len(group.examples) <= EXAMPLES
            assert list(group.examples) == sorted(set(group.examples))


@given(fleets(hosts=4), fleets(hosts=4), st.data())
def test_cohorts_that_are_counted_on_are_those_that_are_counted_anew(
    before: list[ModelHost], after: list[ModelHost], data: st.DataObject
) -> None:
    """However the fleet changed meanwhile."""
    model, fleet = FleetModel(), Fleet()
    for host in before:
        fleet.apply(model.put(host), now_us=NOW_US)
    first = Cohorts(fleet.view)
    kept = _plain(first)
    for host in after:
        fleet.apply(model.put(host), now_us=NOW_US)
    gone = data.draw(st.sampled_from([host.id for host in before]))
    fleet.apply(model.remove(gone), now_us=NOW_US)
    assert _plain(Cohorts(fleet.view, first)) == _plain(Cohorts(fleet.view))
    assert _plain(first) == kept, "what was counted before is not touched"


def _plain(cohorts: Cohorts) -> dict[object, object]:
    return {
        key: (
            each.hosts,
            each.free,
            each.open,
            each.unknown,
            {name: count for name, count in each.devices.items() if count},
        )
        for key, each in cohorts.by_key.items()
    }


def _host(name: str, version: tuple[int, int], *devices: int, free: int = 2, **more: object) -> ModelHost:
    there = parent("mtty", version, {"a": free}, [("a", number) for number in devices])
    return ModelHost(f"id-{name}", name, parents=(there,), **more)  # type: ignore[arg-type]


def test_a_build_that_other_hosts_run_is_known_from_them() -> None:
    """And what it closes is a loss."""
    view = view_of([_host("h1", (2, 1), 1), _host("h2", (2, 1), 2), _host("h3", (4, 3))])
    found = foresee(view, Cohorts(view), scope_in("host=h1"), goal_in(driver="mtty 4"), now_us=NOW_US)
    assert found.outcome is Outcome.INCOMPATIBLE
    assert [(kind.learned, kind.hosts) for kind in found.kinds] == [("observed", 1)]
    assert (found.paths.lost, found.paths.gained) == (2, 2)
    assert found.after.stranded == 1
    assert [group.examples for group in found.after.groups] == [("h2/" + _name(2),)]
    assert found.after.groups[0].new


def test_a_build_that_nobody_knows_decides_nothing_and_says_what_would() -> None:
    """Two hosts of two go to it: one trial migration between two of that build settles both devices."""
    view = view_of([_host("h1", (2, 1), 1), _host("h2", (2, 1), 2)])
    found = foresee(view, Cohorts(view), scope_in(""), goal_in(driver="mtty 77"), now_us=NOW_US)
    assert found.outcome is Outcome.UNKNOWN
    assert (found.paths.unknown, found.after.unknown) == (2, 2)
    assert [(trial.what, trial.devices, trial.hosts) for trial in found.trials] == [("migration", 2, ("h1", "h2"))]


def test_hosts_that_are_silent_are_to_be_heard() -> None:
    """It is not the migration that is unknown: one report settles it."""
    view = view_of([_host("h1", (2, 1), 1), _host("h2", (2, 2), silent_s=9e3), _host("h3", (4, 4))])
    found = foresee(view, Cohorts(view), scope_in("host=h3"), goal_in(stream="saves=5,loads=5"), now_us=NOW_US)
    assert found.now.unknown == 1
    view = view_of([_host("h1", (2, 1), 1), _host("h2", (2, 2), silent_s=9e3), _host("h3", (4, 2))])
    found = foresee(view, Cohorts(view), scope_in("host=h3"), goal_in(stream="saves=5,loads=5"), now_us=NOW_US)
    assert (found.now.unknown, found.after.unknown) == (0, 1)
    assert [(trial.what, trial.hosts) for trial in found.trials] == [("report", ("h2",))]


def test_who_can_leave_and_not_come_back_is_told() -> None:
    """The old host elsewhere loads it; the upgraded one does not load what that saves."""
    view = view_of([_host("h1", (2, 1), 1), _host("h2", (2, 1))])
    found = foresee(view, Cohorts(view), scope_in("host=h1"), goal_in(stream="saves=4,loads=4"), now_us=NOW_US)
    assert [(each.devices, each.unknown) for each in found.no_return] == [(1, False)]
    assert [(each.type, each.now, each.during, each.evacuees, each.left) for each in found.capacity] == [
        ("a", 4, 2, 1, 1)
    ]


def test_nothing_lost_is_a_yes() -> None:
    """A build that loads all that there is, and saves what all load."""
    view = view_of([_host("h1", (2, 1), 1), _host("h2", (2, 1), 2)])
    found = foresee(view, Cohorts(view), scope_in("host=h1"), goal_in(stream="saves=2,loads=1..3"), now_us=NOW_US)
    assert (found.outcome, found.changing, found.paths.changes) == (Outcome.COMPATIBLE, 1, ())


def _name(number: int) -> str:
    return uuid_of(number)
