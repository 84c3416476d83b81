"""Plans are the same over every door: what a fleet in memory gives, each gives of the moment that it is of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from contracts.door_contract import OpenDoor
from mdevreg.campaigns import CampaignDraft
from mdevreg.errors import NotFoundError, UsageError
from mdevreg.facts import NOW, Moment
from mdevreg.fleet import Fleet, FleetView
from mdevreg.planning.asked import IslandsAsked, Planner, UpgradeAsked, WavesAsked
from mdevreg.planning.goals import ProfileGoal, goal_in
from mdevreg.planning.waves.course import kept
from mdevreg.planning.waves.limits import Limits
from mdevreg.query.planning import check_plan, islands, plan_upgrade, plan_waves
from mdevreg.rules import FLEET as EVERYWHERE
from mdevreg.rules import scope_in
from mdevreg.times import micros
from mdevreg.wanted import wanted_in
from support.door_fleet import ASKED, DENY, FLEET
from support.fleet_model import FleetModel, ModelHost

#: How each is asked, of a moment.
QUESTIONS: dict[str, Callable[[Moment], Any]] = {
    "a stream": lambda at: UpgradeAsked(goal_in(stream="saves=5,loads=3..5"), scope_in("host=alpha|gamma"), at),
    "a build that hosts run": lambda at: UpgradeAsked(goal_in(driver="mtty 3"), scope_in("host=alpha"), at),
    "a build that nobody knows": lambda at: UpgradeAsked(goal_in(driver="mtty 99"), EVERYWHERE, at),
    "what a host has": lambda at: UpgradeAsked(ProfileGoal(host="beta"), scope_in("host=alpha|zeta"), at),
    "an order": lambda at: WavesAsked(
        goal_in(stream="saves=2,loads=1..5"), scope_in("type=mtty-1"), Limits(at_once=2), at
    ),
    "no order": lambda at: WavesAsked(goal_in(stream="saves=9,loads=9"), EVERYWHERE, Limits(return_path=True), at),
    "islands": lambda at: IslandsAsked(EVERYWHERE, at),
    "islands of some": lambda at: IslandsAsked(scope_in("driver=mtty version=2|3"), at),
}


class PlanContract:
    """``open_real``: opens the door under test."""

    @pytest.mark.parametrize("question", QUESTIONS)
    def test_a_plan_of_a_moment_is_the_same_everywhere(self, open_real: OpenDoor, question: str) -> None:
        """All that it tells, but where in which log it was read."""
        with open_real() as door:
            position = door.hosts(NOW).position
            asked = QUESTIONS[question](Moment(as_of=ASKED, known_at=position))
            found = _ask(door, asked)
            assert (found.position, found.as_of, found.answered_at) == (position, ASKED, ASKED)
            assert _plain(found) == _plain(_expected(asked))

    def test_a_plan_of_now_is_given_too(self, open_real: OpenDoor) -> None:
        """A registry has its own clock: who was silent since is doubtful there."""
        with open_real() as door:
            found = plan_upgrade(door, QUESTIONS["a stream"](NOW), now=ASKED)
            assert (found.hosts, found.changing, found.as_of) == (2, 2, None)
            assert found.snapshot.startswith(f"{found.position}@")

    def test_what_can_not_be_meant_is_refused(self, open_real: OpenDoor) -> None:
        """With the words that are wrong."""
        with open_real() as door:
            with pytest.raises(NotFoundError, match="nowhere"):
                plan_upgrade(door, UpgradeAsked(goal_in(driver="mtty 3"), scope_in("host=nowhere")), now=ASKED)
            for nothing in ("driver=nvidai", "type=nope", "site=no-such"):
                with pytest.raises(UsageError, match=nothing) as none:
                    plan_upgrade(door, UpgradeAsked(goal_in(driver="mtty 3"), scope_in(nothing)), now=ASKED)
                assert none.value.code == "NO_HOSTS"
            with pytest.raises(UsageError, match="abc"):
                plan_upgrade(door, UpgradeAsked(goal_in(stream="saves=abc")), now=ASKED)
            with pytest.raises(NotFoundError, match="nobody"):
                plan_waves(door, WavesAsked(ProfileGoal(host="nobody")), now=ASKED)

    def test_a_campaign_is_held_against_its_plan(self, open_fresh_real: OpenDoor) -> None:
        """The plan is the registry's; what is left of it is replayed from the fleet as it is."""
        wanted = wanted_in("mtty 3")
        with open_fresh_real() as door:
            position = door.hosts(NOW).position
            asked = WavesAsked(wanted, scope_in("host=alpha"), Limits(), Moment(as_of=ASKED, known_at=position))
            plan = plan_waves(door, asked, now=ASKED)
            assert [wave.hosts for wave in plan.waves] == [("alpha",)]
            draft = CampaignDraft(name="to-3", wanted=wanted, author="t", plan=kept(plan), begins=ASKED)
            door.create_campaign(draft)
            door.create_campaign(CampaignDraft(name="none", wanted=wanted, author="t", begins=ASKED))
            moment = Moment(as_of=ASKED, known_at=door.campaigns(NOW).position)
            found = check_plan(door, "to-3", moment=moment, now=ASKED)
            assert (found.campaign, found.outcome, found.done, found.left, found.wave) == (
                "to-3",
                "compatible",
                0,
                1,
                1,
            )
            assert (found.deviations, found.as_of) == ((), ASKED)
            assert check_plan(door, "to-3", now=ASKED).left == 1
            with pytest.raises(UsageError, match="no plan") as caught:
                check_plan(door, "none", now=ASKED)
            assert caught.value.code == "NO_PLAN"
            with pytest.raises(NotFoundError, match="nobody"):
                check_plan(door, "nobody", now=ASKED)


def _ask(door: Any, asked: Any) -> Any:
    if isinstance(asked, UpgradeAsked):
        return plan_upgrade(door, asked, now=ASKED)
    return plan_waves(door, asked, now=ASKED) if isinstance(asked, WavesAsked) else islands(door, asked, now=ASKED)


def _expected(asked: Any) -> Any:
    planner, view = Planner(), _view()
    if isinstance(asked, UpgradeAsked):
        return planner.forecast(view, asked, now=ASKED, answered=ASKED)
    if isinstance(asked, WavesAsked):
        return planner.waves(view, asked, now=ASKED, answered=ASKED)
    return planner.islands(view, asked, now=ASKED, answered=ASKED)


def _view() -> FleetView:
    """The same fleet, as it was last told, with everybody heard just now."""
    model, fleet = FleetModel(), Fleet()
    fleet.apply(model.ship(), now_us=micros(ASKED))
    for host in FLEET:
        facts, parents = host.looks[-1].facts, tuple(host.looks[-1].parents.values())
        sent = model.put(ModelHost(host.id, facts.hostname, site=facts.site, parents=parents, silent_s=-1e6))
        fleet.apply(sent, now_us=micros(ASKED))
    fleet.apply(model.rule(DENY), now_us=micros(ASKED))
    return fleet.view


def _plain(found: Any) -> Any:
    told = msgspec.to_builtins(found)
    return {name: value for name, value in told.items() if name not in ("position", "snapshot")}
