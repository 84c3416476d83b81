"""What happens to a simulated fleet, event by event. Pure, seeded: the same seed gives the same events in order."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import msgspec
from msgspec import structs

from mdevreg.records import Cause
from mdevreg_agent.fleet import SimHost, SimParent, chance_of, created, path_of, used

Scenario = Literal["steady", "boot", "churn", "upgrade", "demo"]
SCENARIOS: tuple[Scenario, ...] = ("steady", "boot", "churn", "upgrade", "demo")
#: How many events of churn pass between two steps of the demo's rolling upgrade.
_DEMO_STRIDE = 2


class Event(msgspec.Struct, frozen=True):
    """What happened: which host, what it is like after that, and the uevent that would have told it."""

    index: int
    host: SimHost
    cause: Cause


def events(scenario: Scenario, hosts: Sequence[SimHost], *, seed: int) -> Iterator[Event]:
    """What happens after every host has booted. ``churn`` and ``demo`` never end, ``upgrade`` does."""
    chance = chance_of(seed, "events")
    state = list(hosts)
    match scenario:
        case "churn":
            yield from _churn(state, chance)
        case "upgrade":
            yield from _upgrade(state)
        case "demo":
            yield from _demo(state, chance)


def _churn(state: list[SimHost], chance: random.Random) -> Iterator[Event]:
    """Devices come and go; a card fills to about half."""
    while any(_lively(host) for host in state):
        index = chance.randrange(len(state))
        at = _lively(state[index])
        if at:
            place = chance.choice(at)
            parent, cause = _one_change(state[index].parents[place], chance)
            yield _put(state, index, {place: parent}, cause)


def _upgrade(state: list[SimHost]) -> Iterator[Event]:
    """Host by host, each upgradable driver: its cards are drained, it goes, its next release comes."""
    for index, host in enumerate(state):
        for driver in dict.fromkeys(parent.card.driver for parent in host.parents):
            yield from _one_upgrade(state, index, _places(host, driver))


def _places(host: SimHost, driver: str) -> list[int]:
    """Which parents one driver serves."""
    return [at for at, parent in enumerate(host.parents) if parent.card.driver == driver]


def _demo(state: list[SimHost], chance: random.Random) -> Iterator[Event]:
    """Churn, with a rolling upgrade going through it; then churn alone."""
    churn, upgrade = _churn(state, chance), _upgrade(state)
    for number, event in enumerate(churn, start=1):
        yield event
        if number % _DEMO_STRIDE == 0:
            yield from _next(upgrade)


def _next(events_: Iterator[Event]) -> Iterator[Event]:
    event = next(events_, None)
    if event is not None:
        yield event


def _one_upgrade(state: list[SimHost], index: int, places: Sequence[int]) -> Iterator[Event]:
    """Unloading a module takes all its parents in one moment, loading one brings all of them."""
    first = state[index].parents[places[0]]
    if first.release is None or first.release + 1 >= len(first.card.builds):
        return
    yield from _drain(state, index, places)
    gone = _driver_cause(first, "change", len(places))
    yield _put(state, index, {at: structs.replace(state[index].parents[at], release=None) for at in places}, gone)
    back = _driver_cause(first, "bind", 2 * len(places))
    release = first.release + 1
    yield _put(state, index, {at: structs.replace(state[index].parents[at], release=release) for at in places}, back)


def _drain(state: list[SimHost], index: int, places: Sequence[int]) -> Iterator[Event]:
    """Until no card has a device left; churn may bring new ones meanwhile."""
    while busy := [at for at in places if state[index].parents[at].devices]:
        parent = state[index].parents[busy[0]]
        smaller, cause = _removed(parent, len(parent.devices) - 1)
        yield _put(state, index, {busy[0]: smaller}, cause)


def _driver_cause(first: SimParent, action: str, events_: int) -> Cause:
    """What is told of a burst: its first uevent, and how many there were."""
    device = path_of(first.card)
    return Cause(kind="uevent", action=action, subsystem=first.card.subsystem, device=device, events=events_)


def _put(state: list[SimHost], index: int, changed: Mapping[int, SimParent], cause: Cause) -> Event:
    host = state[index]
    parents = tuple(changed.get(at, parent) for at, parent in enumerate(host.parents))
    state[index] = structs.replace(host, parents=parents)
    return Event(index, state[index], cause)


def _lively(host: SimHost) -> list[int]:
    """Which parents can gain or lose an mdev now."""
    return [at for at, parent in enumerate(host.parents) if parent.card.kind == "mdev" and parent.release is not None]


def _one_change(parent: SimParent, chance: random.Random) -> tuple[SimParent, Cause]:
    full = used(parent) / parent.card.capacity
    grown = None if parent.devices and chance.random() < full * 1.2 else created(parent, chance)
    if grown is None:
        return _removed(parent, chance.randrange(len(parent.devices)))
    cause = Cause(
        kind="uevent", action="add", subsystem="mdev", device=f"{path_of(parent.card)}/{grown.devices[-1][0]}", events=3
    )
    return grown, cause


def _removed(parent: SimParent, at: int) -> tuple[SimParent, Cause]:
    name = parent.devices[at][0]
    cause = Cause(kind="uevent", action="unbind", subsystem="mdev", device=f"{path_of(parent.card)}/{name}", events=3)
    return structs.replace(parent, devices=parent.devices[:at] + parent.devices[at + 1 :]), cause
