"""Orders by example: what a plan says, and why there is none where there is none."""

from __future__ import annotations

from mdevreg.planning.cohorts import Cohorts
from mdevreg.planning.goals import Goal, goal_in
from mdevreg.planning.waves.checking import faults
from mdevreg.planning.waves.finding import find, told
from mdevreg.planning.waves.limits import Limits
from mdevreg.planning.waves.plan import UpgradeWaves
from mdevreg.planning.waves.planned import plan_waves
from mdevreg.records import Parent
from mdevreg.rules import FLEET, Scope, scope_in
from mdevreg.verdict import Outcome
from support.fleet_model import ModelHost
from support.hosts import uuid_of
from support.plan_fleets import NOW_US, grounds_of, parent, stated, view_of

OLD, NEW = (3, 2), (4, 3)
TO_NEW = goal_in(stream="saves=4,loads=3..4")


def _host(name: str, *parents: Parent, site: str = "x", silent_s: float = 1.0) -> ModelHost:
    return ModelHost(f"id-{name}", name, site=site, parents=parents, silent_s=silent_s)


def _plan(
    hosts: list[ModelHost], goal: Goal = TO_NEW, limits: Limits | None = None, where: Scope = FLEET
) -> UpgradeWaves:
    view = view_of(hosts)
    return plan_waves(view, Cohorts(view), where, goal, limits or stated(), now_us=NOW_US)


def test_hosts_are_emptied_into_each_other() -> None:
    """Each has a device and two free instances: one by one, and every device was somewhere all the time."""
    hosts = [_host(f"h{n}", parent("mtty", OLD, {"a": 2}, [("a", n)])) for n in range(1, 4)]
    plan = _plan(hosts)
    assert (plan.outcome, plan.left, plan.faults) == (Outcome.COMPATIBLE, (), ())
    assert sorted(host for wave in plan.waves for host in wave.hosts) == ["h1", "h2", "h3"]
    assert {step.device for wave in plan.waves for step in wave.migrations} == {uuid_of(n) for n in (1, 2, 3)}


def test_a_host_that_takes_devices_in_does_not_go_in_the_same_wave() -> None:
    """Though two may go at once: the other one is needed."""
    hosts = [_host("h1", parent("mtty", OLD, {"a": 2}, [("a", 1)])), _host("h2", parent("mtty", OLD, {"a": 2}))]
    hosts.append(_host("h3", parent("mtty", OLD, {"a": 2})))
    plan = _plan(hosts)
    assert plan.outcome is Outcome.COMPATIBLE
    for wave in plan.waves:
        assert not {step.target for step in wave.migrations} & set(wave.hosts)


def test_a_host_whose_facts_are_stale_takes_nothing_in() -> None:
    """It may not be there any more."""
    hosts = [
        _host("h1", parent("mtty", OLD, {"a": 0}, [("a", 1)])),
        _host("h2", parent("mtty", OLD, {"a": 2}), silent_s=9e3),
    ]
    plan = _plan(hosts)
    assert plan.outcome is Outcome.INCOMPATIBLE
    assert plan.blocked is not None
    assert (plan.blocked.why, plan.blocked.open, plan.blocked.needed) == ("capacity", 0, 1)


def test_stale_hosts_are_not_emptied_and_may_go_when_empty() -> None:
    """What is on them is not known to be loaded anywhere."""
    hosts = [
        _host("h1", parent("mtty", OLD, {"a": 2}, [("a", 1)]), silent_s=9e3),
        _host("h2", parent("mtty", OLD, {"a": 2})),
        _host("h3", parent("mtty", OLD, {"a": 2}), silent_s=9e3),
        _host("h4", parent("mtty", OLD, {"a": 2})),
    ]
    plan = _plan(hosts)
    assert plan.outcome is Outcome.UNKNOWN
    assert "h1" in plan.left
    assert "h3" in plan.waves[0].hosts
    assert plan.blocked is not None
    assert plan.blocked.why == "unknown"


def test_the_oldest_go_first_over_those_between() -> None:
    """1 is not loaded by the new build, which loads 3 and 4; 3 loads 1: over it there is a way while it is there."""
    hosts = [
        _host("a-between", parent("mtty", (3, 1), {"a": 2})),
        _host("b-old", parent("mtty", (1, 1), {"a": 0}, [("a", 1)])),
        _host("c-between", parent("mtty", (3, 1), {"a": 2})),
    ]
    plan = _plan(hosts, limits=stated(1))
    assert plan.outcome is Outcome.COMPATIBLE
    assert plan.waves[0].hosts == ("b-old",)


def test_where_no_stream_is_loaded_there_is_no_order_and_it_is_said_why() -> None:
    """The smallest proof: one device, and the nearest reasons."""
    hosts = [_host(f"h{n}", parent("mtty", (1, 1), {"a": 2}, [("a", n)])) for n in (1, 2)]
    plan = _plan(hosts)
    assert plan.outcome is Outcome.INCOMPATIBLE
    assert plan.blocked is not None
    assert (plan.blocked.why, plan.blocked.devices) == ("range", (uuid_of(1),))
    assert "STREAM_VERSION_TOO_OLD" in plan.blocked.codes
    assert [each.what for each in plan.relaxations] == ["stop"]


def test_one_more_host_is_what_would_do() -> None:
    """While one of three is away, whoever is on the only host with an instance has no place to go."""
    hosts = [_host(f"h{n}", parent("mtty", OLD, {"a": 1}, [("a", n)])) for n in (1, 2, 3)]
    plan = _plan(hosts)
    assert plan.outcome is Outcome.INCOMPATIBLE
    assert plan.blocked is not None
    assert (plan.blocked.why, plan.blocked.host) == ("stranding", "h1")
    assert plan.blocked.text.startswith("while it is away there would be no place to go for ")
    assert plan.relaxations[0].what == "spare_host"
    assert plan.relaxations[0].text.startswith("1 more empty host")


def test_full_hosts_are_no_place() -> None:
    """Two hosts without a free instance: the proof counts."""
    plan = _plan([_host(f"h{n}", parent("mtty", OLD, {"a": 0}, [("a", n)])) for n in (1, 2)])
    assert plan.outcome is Outcome.INCOMPATIBLE
    assert plan.blocked is not None
    assert (plan.blocked.why, plan.blocked.needed, plan.blocked.open) == ("capacity", 1, 0)


def test_the_cheapest_relaxation_is_a_smaller_margin() -> None:
    """Six instances are free; while one host is away and its device elsewhere, three are."""
    hosts = [_host(f"h{n}", parent("mtty", OLD, {"a": 2}, [("a", n)])) for n in (1, 2, 3)]
    assert _plan(hosts, limits=stated(1, spare=3)).outcome is Outcome.COMPATIBLE
    plan = _plan(hosts, limits=stated(1, spare=4))
    assert plan.outcome is Outcome.INCOMPATIBLE
    assert plan.blocked is not None
    assert plan.blocked.why == "spare"
    assert (plan.relaxations[0].what, "3 instances" in plan.relaxations[0].text) == ("spare", True)


def test_without_a_way_back_it_would_do() -> None:
    """What stays old loads the old stream, and saves one that the new build refuses."""
    goal = goal_in(stream="saves=4,loads=4")
    hosts = [_host("h1", parent("mtty", OLD, {"a": 1}, [("a", 1)])), _host("h2", parent("mtty", OLD, {"a": 1}))]
    hosts.append(_host("h3", parent("mtty", OLD, {"a": 1})))
    where = scope_in("host=h1")
    assert _plan(hosts, goal, where=where).outcome is Outcome.COMPATIBLE
    plan = _plan(hosts, goal, stated(return_path=True), where)
    assert plan.outcome is Outcome.INCOMPATIBLE
    assert plan.blocked is not None
    assert plan.blocked.why == "return"
    assert plan.relaxations[0].what == "return_path"


def test_over_a_build_between_it_would_do() -> None:
    """Hosts of 1 to 4, which loads 3 and 4; one host runs 3, which loads 1, and is full."""
    hosts = [_host(f"h{n}", parent("mtty", (1, 1), {"a": 3}, [("a", n)])) for n in (1, 2, 3)]
    hosts += [_host("between", parent("mtty", (3, 1), {"a": 0})), _host("new", parent("mtty", NEW, {"a": 0}))]
    plan = _plan(hosts, goal_in(driver="mtty 4"), where=scope_in("host=h1|h2|h3"))
    assert plan.outcome is not Outcome.COMPATIBLE
    assert ("intermediate", "upgrade to mtty 3 first, then to mtty 4") in [(r.what, r.text) for r in plan.relaxations]


def test_a_reload_leaves_what_is_under_other_drivers() -> None:
    """A device that nobody else takes does not keep its host from having another driver loaded anew."""
    other = parent("other", (9, 9), {"b": 0}, [("b", 9)], driver="other")
    hosts = [_host("h1", parent("mtty", OLD, {"a": 1}, [("a", 1)]), other)]
    hosts += [_host(name, parent("mtty", OLD, {"a": 2})) for name in ("h2", "h3")]
    goal = goal_in(stream="saves=4,loads=3..4,format=mtty")
    assert _plan(hosts, goal).outcome is Outcome.INCOMPATIBLE
    assert _plan(hosts, goal, stated(reload=True)).outcome is Outcome.COMPATIBLE


def test_a_reload_leaves_places_that_do_not_change_open() -> None:
    """Before, meanwhile and afterwards, as those of a host that was upgraded; and all of it can be taken back."""
    hosts = [
        _host("h1", parent("mtty", OLD, {"a": 0}), parent("mtty2", NEW, {"a": 1})),
        _host("h2", parent("mtty", OLD, {"a": 0}, [("a", 2)])),
    ]
    yard = grounds_of(view_of(hosts), goal_in(driver="mtty 4")).yard(Limits(reload=True))
    h1, h2 = yard.nodes["h1"], yard.nodes["h2"]
    place = h1.rooms[1].kinds["a"]
    mark = yard.mark()
    yard.send(h1)
    assert list(yard.rooms("old", place)) == [h1.rooms[1]]
    yard.welcome(h1)
    assert (list(yard.rooms("old", place)), h1.rooms[1] in yard.rooms("new", place)) == ([], True)
    yard.move(h2.devices[0], h1.rooms[1])
    assert h1.rooms[1] not in yard.rooms("new", place)
    yard.undo(mark)
    assert (list(yard.rooms("old", place)), yard.spare) == ([h1.rooms[1]], {"a": 1})


def test_who_must_be_placed_together_is_matched() -> None:
    """Of two devices one has a single place, which the other would take if it were asked first: an exhaustive case."""
    hosts = [
        _host("h1", parent("mtty", (2, 1), {"a": 0, "b": 0}, [("a", 1), ("b", 2)])),
        _host("h2", parent("mtty", (3, 1), {"a": 1, "b": 1})),
        _host("h3", parent("mtty", (4, 1), {"a": 1})),
        _host("h4", parent("mtty", (4, 1), {"a": 1, "b": 1})),
    ]
    grounds = grounds_of(view_of(hosts), goal_in(stream="saves=4,loads=1..4"), scope_in("host=h1"))
    found = find(grounds, stated(1))
    assert found.left == []
    assert faults(grounds, stated(1), told(found.waves)) == ["h2 was to be upgraded and is not"] or not faults(
        grounds, stated(1), told(found.waves)
    )


def test_sites_and_numbers_are_kept() -> None:
    """At most so many at once, and of a site."""
    hosts = [_host(f"h{n}", parent("mtty", OLD, {"a": 2}), site="xy"[n % 2]) for n in range(6)]
    plan = _plan(hosts, limits=Limits(at_once=3, per_site=1))
    assert [len(wave.hosts) for wave in plan.waves] == [2, 2, 2]
    for wave in plan.waves:
        assert len({int(name[1:]) % 2 for name in wave.hosts}) == 2


def test_hosts_that_need_nothing_are_counted() -> None:
    """What they should become, they are."""
    hosts = [_host("h1", parent("mtty", NEW, {"a": 2})), _host("h2", parent("mtty", OLD, {"a": 2}))]
    plan = _plan(hosts, goal_in(driver="mtty 4"))
    assert (plan.hosts, plan.upgraded, [wave.hosts for wave in plan.waves]) == (2, 1, [("h2",)])
