"""Orders of upgrades: whatever is planned holds when it is replayed, and what brute force finds is found."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from mdevreg.planning.goals import StreamGoal
from mdevreg.planning.replay import Replay, Site
from mdevreg.planning.waves.checking import faults, replay_of
from mdevreg.planning.waves.finding import find, told
from mdevreg.planning.waves.limits import Limits
from mdevreg.planning.waves.plan import Migration
from support.fleet_model import ModelHost
from support.plan_fleets import fleets, goals, grounds_of, view_of

limits = st.builds(
    Limits,
    at_once=st.integers(1, 3),
    per_site=st.sampled_from((None, 1, 2)),
    spare=st.sampled_from((0, 0, 0, 0, 1, 2)),
    return_path=st.booleans(),
    reload=st.sampled_from((False, False, True)),
)


@given(fleets(hosts=5), goals, limits)
def test_a_plan_passes_the_checker_and_is_found_where_brute_force_finds_one(
    hosts: list[ModelHost], goal: StreamGoal, bound: Limits
) -> None:
    """Both ways: no plan is wrong, and "there is none" is never wrong."""
    grounds = grounds_of(view_of(hosts), goal)
    found = find(grounds, bound)
    waves = told(found.waves)
    assert found.proven, "fleets of this size are searched to the end"
    wrong = faults(grounds, bound, waves)
    if found.left:
        assert [fault for fault in wrong if "was to be upgraded" not in fault] == []
        assert not _possible(replay_of(grounds, bound)), "brute force knows an order"
    else:
        assert wrong == []


def _possible(replay: Replay, seen: set[object] | None = None) -> bool:
    """Whether any order of single hosts, with any migrations, breaks nothing. By brute force, host by host."""
    seen = set() if seen is None else seen
    state = repr(sorted((site.name, site.wanted, _devices(site), _free(site)) for site in replay.sites.values()))
    if not replay.unfinished():
        return True
    if state in seen:
        return False
    seen.add(state)
    for name in replay.unfinished():
        for steps in _ways(replay, name):
            tried = _copied(replay)
            tried.wave((name,), steps)
            if not tried.faults and _possible(tried, seen):
                return True
    return False


def _copied(replay: Replay) -> Replay:
    """Another that shares nothing but what never changes: sides, and the verdicts on them."""
    slots = [slot for site in replay.sites.values() for slot in site.slots.values()]
    sides = [side for slot in slots for side in (slot.side, slot.after)]
    sides += [device.side for site in replay.sites.values() for device in site.devices.values()]
    shared = [*sides, *replay._kept, replay._says, replay._said, replay._bound]
    return copy.deepcopy(replay, {id(each): each for each in shared})


def _ways(replay: Replay, name: str) -> Iterator[tuple[Migration, ...]]:
    """Every device of a host to any parent of any other host."""
    devices = sorted(replay.sites[name].devices.values(), key=lambda device: device.name)
    places = [
        [
            Migration(device=device.name, type=kind, source=name, target=site.name, parent=parent)
            for site in replay.sites.values()
            for parent, kind in site.slots
            if site.name != name and kind == device.side.profile.type and site.slots[parent, kind].free > 0
        ]
        for device in devices
    ]
    yield from itertools.product(*places)


def _devices(site: Site) -> list[tuple[object, ...]]:
    return sorted((each.name, each.parent, id(each.side), each.brought) for each in site.devices.values())


def _free(site: Site) -> list[tuple[object, ...]]:
    return sorted((*key, slot.free, id(slot.side)) for key, slot in site.slots.items())
