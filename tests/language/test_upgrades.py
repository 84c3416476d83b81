"""Upgrades from runs and offers, against an oracle that looks at every state; trends and stragglers likewise."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from datetime import timedelta
from itertools import pairwise
from typing import Any, TypeVar

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import structs

from mdevreg.errors import UsageError
from mdevreg.records import DriverBuild
from mdevreg.rules import Scope
from mdevreg.runs import Run
from mdevreg.stragglers import behind, concerns
from mdevreg.support import NoSupport, Support
from mdevreg.timeline import OPEN, Row, fold
from mdevreg.times import micros, moment_of
from mdevreg.trends import MAX_STEPS, TrendAsked, step_of, times_of, trend_of
from mdevreg.upgrades import Upgrade, check_scope, covers
from mdevreg.upgrading import FLAPPING_US, Move, Offered, effects_of, gap_of, kind_of, moves_of, positions_of
from mdevreg.wanted import wanted_in
from support.publisher import EPOCH_START
from support.upgrade_oracle import Oracle, Seen

V = TypeVar("V", bound=Hashable)

HOUR_US = 3_600_000_000
A = DriverBuild(name="x", module="x", kernel_release="6.8", version="1.0")
B = structs.replace(A, version="2.0")
KERNEL = structs.replace(A, kernel_release="6.12", srcversion="FF")
REBUILT = structs.replace(A, srcversion="AA")
OTHER = DriverBuild(name="y", version="one")

_PATHS = ("/p1", "/p2")
_PAUSES = st.sampled_from([HOUR_US, HOUR_US, 10 * HOUR_US, 40 * HOUR_US])
_BUILDS = {"x": st.sampled_from([None, A, A, B, B, KERNEL, REBUILT]), "y": st.sampled_from([None, None, OTHER])}


@st.composite
def lives(draw: st.DrawFn) -> list[Seen]:
    """A host's states: builds come, change and go on two parents, and what they offer, often at other times."""
    states, at_us = [], micros(EPOCH_START)
    for position in range(1, draw(st.integers(1, 9)) + 1):
        at_us += draw(_PAUSES)
        builds = {(path, driver): draw(each) for path in _PATHS for driver, each in _BUILDS.items()}
        offers = {(path, kind): draw(st.sampled_from([None, "s1", "s1", "s2"])) for path in _PATHS for kind in "tu"}
        states.append(
            Seen(
                at_us,
                position,
                {place: build for place, build in builds.items() if build is not None},
                {place: digest for place, digest in offers.items() if digest is not None},
                {path: draw(st.integers(0, 2)) for path in _PATHS},
            )
        )
    return states


def _understand(digest: str) -> Support:
    return NoSupport("nothing_stated", digest)


def _rows(states: list[Seen], values: list[V | None]) -> list[Row[V]]:
    """One object's timeline, each end and beginning told by the record of its state."""
    rows = fold([(state.at_us, value) for state, value in zip(states, values, strict=True)], 0)
    told = {state.at_us: state.position for state in states}
    for row in rows:
        row.system_from = told[row.valid_from]
        row.ended_at = OPEN if row.valid_to == OPEN else told[row.valid_to]
    return rows


def runs_of(states: list[Seen], host: str = "h") -> Iterator[Run]:
    """As a database hands them in: by driver, by parent, by time."""
    for driver in ("x", "y"):
        for path in _PATHS:
            for row in _rows(states, [state.builds.get((path, driver)) for state in states]):
                yield Run(host, path, row.value, row.valid_from, row.valid_to, row.system_from, row.ended_at)


def offers_of(states: list[Seen]) -> Iterator[Offered]:
    """Every offer that there ever was."""
    for path in _PATHS:
        for kind in "tu":
            for row in _rows(states, [state.offers.get((path, kind)) for state in states]):
                yield Offered(path, kind, row.value, row.valid_from, row.valid_to, row.system_from, row.ended_at)


def _upgrade(move: Move, states: list[Seen]) -> Upgrade:
    offers = list(offers_of(states))
    before = [state for state in states if state.at_us < move.began_us][-1]
    return Upgrade(
        host="h",
        hostname="h",
        driver=move.driver,
        before=move.before,
        after=move.after,
        first_at=moment_of(move.first_us),
        last_at=moment_of(move.last_us),
        kind=move.kind,
        parents=tuple(sorted(turn.after.path for turn in move.turns)),
        rolled_back=move.rolled_back,
        flapping=move.flapping,
        devices=sum(before.devices[turn.after.path] for turn in move.turns),
        gap=gap_of(move, offers),
        streams=effects_of(move, offers, _understand),
        positions=positions_of(move, offers),
    )


def _upgrades(states: list[Seen]) -> list[Upgrade]:
    return [_upgrade(move, states) for move in sorted(moves_of(runs_of(states)), key=lambda move: move.order)]


def _states(*seen: tuple[float, dict[str, DriverBuild], str], **more: Any) -> list[Seen]:
    """Hour, builds by path, what every path offers of type ``t``."""
    return [
        Seen(
            micros(EPOCH_START) + int(hour * HOUR_US),
            number,
            {(path, build.name): build for path, build in builds.items()},
            {(path, "t"): digest for path in _PATHS if digest},
            dict.fromkeys(_PATHS, 1),
        )
        for number, (hour, builds, digest) in enumerate(seen, 1)
    ]


def _by_key(upgrades: list[Upgrade]) -> list[Upgrade]:
    return sorted(upgrades, key=repr)


@given(lives())
def test_upgrades_are_what_looking_at_every_state_finds(states: list[Seen]) -> None:
    """Each with its gap, devices, effects and evidence."""
    assert _by_key(_upgrades(states)) == _by_key(Oracle(states, _understand, host="h", hostname="h").upgrades())


@given(lives())
def test_moves_are_told_by_time_within_a_driver(states: list[Seen]) -> None:
    """A later move of a driver never begins before an earlier one ended."""
    moves = list(moves_of(runs_of(states)))
    for driver in ("x", "y"):
        mine = [move for move in moves if move.driver == driver]
        assert all(one.last_us <= other.first_us for one, other in pairwise(mine))


def test_a_new_host_and_a_new_parent_are_no_upgrades() -> None:
    """Nor is a build that comes back as it was."""
    assert (
        _upgrades(_states((0, {"/p1": A}, "s"), (1, {"/p1": A, "/p2": B}, "s"), (2, {}, ""), (3, {"/p1": A}, "s")))
        == []
    )


def test_parents_that_change_one_after_the_other_are_one_upgrade() -> None:
    """From the first to the last of them, and the host offered all the while."""
    states = _states((0, {"/p1": A, "/p2": A}, "s1"), (1, {"/p1": B, "/p2": A}, "s1"), (2, {"/p1": B, "/p2": B}, "s2"))
    (found,) = _upgrades(states)
    assert (found.first_at, found.last_at) == (EPOCH_START + timedelta(hours=1), EPOCH_START + timedelta(hours=2))
    assert (found.parents, found.devices, found.gap, found.kind) == (_PATHS, 2, None, "upgrade")
    assert found.positions == (2, 3)


def test_a_gap_is_from_the_last_offer_to_the_first_one() -> None:
    """Emptied an hour before the driver goes, offered half an hour after it is back."""
    states = _states(
        (0, {"/p1": A}, "s1"), (1, {"/p1": A}, ""), (2, {}, ""), (3, {"/p1": B}, ""), (3.5, {"/p1": B}, "s2")
    )
    (found,) = _upgrades(states)
    assert found.gap is not None
    assert (found.gap.begin, found.gap.seconds) == (EPOCH_START + timedelta(hours=1), 9_000)
    assert found.positions == (2, 3, 4, 5)
    (still,) = _upgrades(states[:-1])
    assert still.gap is not None
    assert (still.gap.end, still.gap.seconds) == (None, None)


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        (A, B, "upgrade"),
        (B, A, "downgrade"),
        (structs.replace(A, version="10.0"), structs.replace(A, version="9.5"), "downgrade"),
        (A, structs.replace(B, kernel_release="6.12"), "upgrade"),
        (A, KERNEL, "kernel"),
        (structs.replace(A, version=None), structs.replace(KERNEL, version=None), "kernel"),
        (A, REBUILT, "rebuild"),
        (structs.replace(A, version="x-2"), structs.replace(A, version="x-1"), "upgrade"),
    ],
)
def test_an_upgrade_is_called_what_it_is(before: DriverBuild, after: DriverBuild, kind: str) -> None:
    """Another kernel with the same module version is no other version; without an order, nothing is lower."""
    assert kind_of(before, after) == kind


def test_a_roll_back_is_to_what_ran_before_or_to_less() -> None:
    """Not the first step ahead, and another kernel only if it is an old one."""
    hours = [(number, {"/p1": build}, "s") for number, build in enumerate((A, B, A, KERNEL, A))]
    assert [found.rolled_back for found in _upgrades(_states(*hours))] == [False, True, False, True]


@pytest.mark.parametrize(
    ("step", "builds", "flapping"), [(12, (A, B, A, B), 3), (12.1, (A, B, A, B), 0), (1, (A, B, A), 0)]
)
def test_flapping_is_three_times_within_a_day(step: float, builds: tuple[DriverBuild, ...], flapping: int) -> None:
    """The first and the last of three are a day apart at most; two are a roll-back."""
    found = _upgrades(_states(*((number * step, {"/p1": build}, "s") for number, build in enumerate(builds))))
    assert sum(each.flapping for each in found) == flapping
    assert FLAPPING_US == 24 * HOUR_US


def test_three_builds_in_a_row_do_not_flap() -> None:
    """On and on is not back and forth."""
    found = _upgrades(_states(*((number, {"/p1": build}, "s") for number, build in enumerate((A, B, REBUILT, KERNEL)))))
    assert len(found) == 3
    assert not any(each.flapping for each in found)


def test_a_scope_is_about_either_build() -> None:
    """And about whatever is told of the upgrade; a key that is not told is refused."""
    (found,) = _upgrades(_states((0, {"/p1": A}, "s1"), (1, {"/p1": B}, "s2")))
    for scope in (Scope(version=("1.*",)), Scope(version=("2.0",)), Scope(type=("t",)), Scope(parent=("/p?",))):
        assert covers(scope, found)
    assert not covers(Scope(version=("3*",)), found)
    assert not covers(Scope(site=("*",)), found)
    with pytest.raises(UsageError, match="'device' is no key of an upgrade; there are: host, site"):
        check_scope(Scope(device=("x",)))


@given(st.lists(lives(), min_size=1, max_size=3), st.integers(0, 12), st.sampled_from([1, 1_800, 3_600, 90_000]))
@example([], 3, 3_600)
def test_a_trend_is_what_ran_at_each_time(fleet: list[list[Seen]], steps: int, step_s: int) -> None:
    """Against a question of each host at each time."""
    end = EPOCH_START + timedelta(hours=30)
    asked = TrendAsked(steps * step_s or 1, step_s)
    times = times_of(asked, end)
    assert times == tuple(end - timedelta(seconds=step_s * back) for back in range(asked.over_s // step_s, -1, -1))
    runs = [run for number, states in enumerate(fleet) for run in runs_of(states, f"h{number}")]
    found = {row.build: row.hosts for row in trend_of(runs, [micros(time) for time in times])}
    expected: dict[DriverBuild, list[int]] = {}
    for place, time in enumerate(times):
        for states in fleet:
            known = [state for state in states if state.at_us <= micros(time)][-1:]
            for build in {build for state in known for build in state.builds.values()}:
                expected.setdefault(build, [0] * len(times))[place] += 1
    assert found == {build: tuple(counts) for build, counts in expected.items()}


@given(st.integers(1, 10**9))
def test_steps_are_few_unless_they_are_said(over_s: int) -> None:
    """About a dozen, whatever the period."""
    step_s = step_of(TrendAsked(over_s))
    assert step_s >= 1
    assert over_s // step_s <= 13
    assert over_s < 13 or over_s // step_s >= 3


@pytest.mark.parametrize(
    "asked", [TrendAsked(0), TrendAsked(10, 0), TrendAsked(MAX_STEPS, 1), TrendAsked(10, where=Scope(type=("t",)))]
)
def test_a_trend_that_can_not_be_meant_is_refused(asked: TrendAsked) -> None:
    """No times, too many, or a scope of what is not told."""
    with pytest.raises(UsageError):
        times_of(asked, EPOCH_START)


def test_a_straggler_runs_anything_else() -> None:
    """Since the oldest of what it should not run any more; one parent that is done does not make it done."""
    runs = [Run("h", "/p1", B, 5), Run("h", "/p2", A, 3), Run("h", "/p3", REBUILT, 4)]
    found = behind("h", runs, wanted_in("x 2.0"))
    assert found is not None
    assert (found.builds, found.since, found.paths, found.upgraded) == ((REBUILT, A), moment_of(3), ("/p2", "/p3"), 1)
    assert behind("h", runs[:1], wanted_in("x 2.0")) is None
    assert concerns(wanted_in("x 2.0"), A)
    assert not concerns(wanted_in("y 2.0"), A)
