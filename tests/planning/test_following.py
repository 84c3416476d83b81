"""A campaign's plan as the fleet moves on: what holds, what is not as planned, what endangers a device."""

from __future__ import annotations

import pytest
from msgspec import structs

from mdevreg.errors import UsageError
from mdevreg.planning.cohorts import Cohorts
from mdevreg.planning.goals import goal_in
from mdevreg.planning.waves.course import KeptPlan, PlanCheck, kept, read
from mdevreg.planning.waves.following import follow
from mdevreg.planning.waves.limits import Limits
from mdevreg.planning.waves.plan import UpgradeWaves
from mdevreg.planning.waves.planned import plan_waves
from mdevreg.rules import scope_in
from mdevreg.verdict import Outcome
from support.fleet_model import ModelHost
from support.hosts import uuid_of
from support.plan_fleets import NOW_US, parent, view_of

OLD, NEW = (3, 2), (4, 3)
GOAL = goal_in(driver="mtty 4")


def _host(name: str, version: tuple[int, int], *devices: int, free: int = 2) -> ModelHost:
    return ModelHost(
        f"id-{name}", name, parents=(parent("mtty", version, {"a": free}, [("a", each) for each in devices]),)
    )


def _fleet() -> list[ModelHost]:
    return [_host("h1", OLD, 1), _host("h2", OLD, 2), _host("h3", OLD, free=3), _host("new", NEW, free=3)]


def _planned(hosts: list[ModelHost], limits: Limits | None = None) -> UpgradeWaves:
    view = view_of(hosts)
    plan = plan_waves(view, Cohorts(view), scope_in("host=h1|h2|h3"), GOAL, limits or Limits(), now_us=NOW_US)
    assert plan.outcome is Outcome.COMPATIBLE
    return plan


def _checked(hosts: list[ModelHost], plan: KeptPlan) -> PlanCheck:
    return follow(view_of(hosts), "to-4", plan, GOAL, now_us=NOW_US)


@pytest.fixture
def plan() -> KeptPlan:
    """An order of three hosts, h3 first: it is empty."""
    found = _planned(_fleet())
    assert found.waves[0].hosts == ("h3",)
    return read(kept(found))


def test_a_plan_that_nobody_began_holds(plan: KeptPlan) -> None:
    """Nothing is done, nothing deviates."""
    found = _checked(_fleet(), plan)
    assert (found.outcome, found.done, found.left, found.wave, found.deviations) == (Outcome.COMPATIBLE, 0, 3, 1, ())


def test_what_went_as_planned_is_done(plan: KeptPlan) -> None:
    """The rest is replayed from where it is."""
    hosts = [_host("h3", NEW, free=3) if host.hostname == "h3" else host for host in _fleet()]
    found = _checked(hosts, plan)
    assert (found.outcome, found.done, found.left, found.wave, found.deviations) == (Outcome.COMPATIBLE, 1, 2, 2, ())


def test_all_through_is_no_wave(plan: KeptPlan) -> None:
    """Wherever devices are then."""
    found = _checked([_host(name, NEW, free=3) for name in ("h1", "h2", "h3", "new")], plan)
    assert (found.outcome, found.done, found.left, found.wave) == (Outcome.COMPATIBLE, 3, 0, None)


def test_a_host_that_goes_early_is_told(plan: KeptPlan) -> None:
    """It endangers nobody as long as what is left holds."""
    last = plan.waves[-1].hosts[0]
    hosts = [_host(last, NEW, free=3) if host.hostname == last else host for host in _fleet()]
    found = _checked(hosts, plan)
    assert found.outcome is Outcome.COMPATIBLE
    assert [(each.what, each.host) for each in found.deviations if each.what == "early"] == [("early", last)]


def test_a_device_that_came_to_a_host_of_the_plan_is_endangered(plan: KeptPlan) -> None:
    """It has no place to go in it: told before the host is away."""
    hosts = [_host("h1", OLD, 1, 9) if host.hostname == "h1" else host for host in _fleet()]
    found = _checked(hosts, plan)
    assert found.outcome is Outcome.INCOMPATIBLE
    assert ("unplaced", uuid_of(9), True) in [(each.what, each.device, each.endangers) for each in found.deviations]


def test_a_target_that_is_full_by_now_breaks_what_is_left(plan: KeptPlan) -> None:
    """As records arrive, not when the migration fails."""
    target = {step.target for wave in plan.waves for step in wave.migrations if step.source == "h1"}.pop()
    hosts = [
        _host(target, NEW if target == "new" else OLD, free=0) if host.hostname == target else host for host in _fleet()
    ]
    found = _checked(hosts, plan)
    assert found.outcome is Outcome.INCOMPATIBLE
    assert any(each.what == "broken" and "no instance is free" in each.text for each in found.deviations)


def test_a_device_that_moved_is_told_and_no_danger(plan: KeptPlan) -> None:
    """Its migration is left out."""
    hosts = [_host("h1", OLD, free=3), _host("h2", OLD, 2), _host("h3", OLD, free=3), _host("new", NEW, 1)]
    found = _checked(hosts, plan)
    assert found.outcome is Outcome.COMPATIBLE
    assert [(each.what, each.device) for each in found.deviations] == [("moved", uuid_of(1))]


def test_a_host_that_is_gone_is_told(plan: KeptPlan) -> None:
    """Taken out of the fleet: there is nothing to upgrade any more."""
    found = _checked([host for host in _fleet() if host.hostname != "h3"], plan)
    assert ("gone", "h3") in [(each.what, each.host) for each in found.deviations]


def test_with_a_reload_what_is_under_other_drivers_may_come(plan: KeptPlan) -> None:
    """Only what the driver is under must have a place in the plan."""
    reloading = structs.replace(plan, limits=Limits(reload=True))
    other = parent("other", (9, 9), {"b": 1}, [("b", 9)], driver="other")
    hosts = [
        structs.replace(host, parents=(*host.parents, other)) if host.hostname == "h1" else host for host in _fleet()
    ]
    assert _checked(hosts, reloading).outcome is Outcome.COMPATIBLE
    assert _checked(hosts, plan).outcome is Outcome.INCOMPATIBLE


def test_only_whole_plans_are_kept_and_only_plans_are_read() -> None:
    """What a campaign keeps otherwise is refused with the way out."""
    with pytest.raises(UsageError, match="no order of all hosts"):
        kept(structs.replace(_planned(_fleet()), outcome=Outcome.UNKNOWN))
    with pytest.raises(UsageError, match="no wave"):
        kept(structs.replace(_planned(_fleet()), waves=()))
    with pytest.raises(UsageError, match="plan waves -o json") as caught:
        read({"waves": 3})
    assert caught.value.code == "NO_PLAN"
    assert read(kept(_planned(_fleet()))).goal == "mtty 4"
