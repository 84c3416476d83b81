"""One thread applies changes, others ask: no answer is of two moments at once."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import pytest

from mdevreg.fleet import Fleet
from mdevreg.rules import Rule, Scope
from mdevreg.times import micros
from mdevreg.verdict import Outcome
from support.fleet_model import FleetModel, ModelHost, Sent
from support.hosts import mtty, uuid_of
from support.strategies import NOW

NOW_US = micros(NOW)
HOSTS = 40
ROUNDS = 150


@pytest.fixture(autouse=True)
def _hasty() -> Iterator[None]:
    """Threads take turns as often as the interpreter allows."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def _host(number: int, version: str, free: int) -> ModelHost:
    devices = [number] if number == 0 else []
    return ModelHost(
        f"h{number:02}", f"n{number:02}", parents=(mtty(version=version, minimum="1", free=free, devices=devices),)
    )


def _silent(host: ModelHost, silent_s: float) -> ModelHost:
    return msgspec.structs.replace(host, silent_s=silent_s)


def _rule(number: int) -> Rule:
    """About all hosts by their names, so that every one is looked at again."""
    return Rule(
        id="r1",
        effect="deny" if number % 2 else "allow",
        author="tests",
        message=f"turn {number}",
        valid_from=NOW,
        where=Scope(host=("n*", f"turn-{number}")),
    )


def _upgrade(model: FleetModel, version: str, free: int) -> list[Sent]:
    """All hosts at once: one lot."""
    return [message for number in range(HOSTS) for message in model.put(_host(number, version, free))]


@contextmanager
def _readers(fleet: Fleet, count: int, wrong: list[str]) -> Iterator[None]:
    done = threading.Event()
    asked = [0] * count

    def read(number: int) -> None:
        while not done.is_set():
            asked[number] += 1
            wrong.extend(_faults(fleet))

    threads = [threading.Thread(target=read, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        done.set()
        for thread in threads:
            thread.join(20)
    assert all(asked), asked


def _faults(fleet: Fleet) -> Iterator[str]:
    """What can't be true of any one moment: all hosts have the same version, and as many free instances."""
    view = fleet.view
    targets = view.targets(uuid_of(0), now_us=NOW_US, available=False)
    lists = [targets.having(outcome) for outcome in Outcome]
    names = [name for each in lists for name in each.names()]
    if len(names) != HOSTS - 1 or len(set(names)) != HOSTS - 1:
        yield f"{len(names)} targets, {len(set(names))} different"
    if sum(map(len, lists)) != HOSTS - 1:
        yield "the counts are of another moment than the names"
    briefs = {view.can_migrate(uuid_of(0), name, now_us=NOW_US) for name in names}
    if len(briefs) != 1:
        yield f"{len(briefs)} different answers to one question about equal hosts: {briefs}"
    rows = {target.brief for each in lists for target in each}
    if rows != briefs:
        yield f"lists say {rows}, single answers {briefs}"


def test_readers_see_one_moment_while_a_writer_applies() -> None:
    """Each lot upgrades all hosts at once; a reader that saw some of it would find two versions."""
    model, fleet, wrong = FleetModel(), Fleet(), list[str]()
    fleet.apply(model.ship(), now_us=NOW_US)
    fleet.apply(_upgrade(model, "2", 3), now_us=NOW_US)
    with _readers(fleet, 3, wrong):
        for number in range(ROUNDS):
            fleet.apply(_upgrade(model, str(2 + number % 2), number % 4), now_us=NOW_US)
            fleet.sweep(now_us=NOW_US)
    assert wrong == []


def test_readers_hold_while_rules_and_presence_change() -> None:
    """Rules that tell places apart rebuild every host; presence flips their facts: always for all at once."""
    model, fleet, wrong = FleetModel(), Fleet(), list[str]()
    fleet.apply(model.ship(), now_us=NOW_US)
    fleet.apply(_upgrade(model, "2", 3), now_us=NOW_US)
    with _readers(fleet, 3, wrong):
        for number in range(ROUNDS // 3):
            silent = 900.0 if number % 2 else 1.0
            lot = [message for host in list(model.hosts.values()) for message in model.put(_silent(host, silent))]
            fleet.apply(lot, now_us=NOW_US)
            fleet.apply(model.rule(_rule(number)), now_us=NOW_US)
    assert wrong == []
