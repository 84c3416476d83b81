"""The simulated fleet is repeatable, obeys the kernel's arithmetic, and speaks the real protocol."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import islice
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdevreg import wire
from mdevreg.records import Cause, Parent
from mdevreg_agent.cards import A40
from mdevreg_agent.fleet import SimHost, fleet, picture_of
from mdevreg_agent.picture import documents_of
from mdevreg_agent.scenario import Scenario, events
from mdevreg_agent.simulate import SimAgent
from mdevreg_server.broker import Broker
from support.processes import RunCli, StartCli
from support.registry_peer import registry_peer, until

NOW = datetime(2026, 11, 24, tzinfo=UTC)
seeds = st.integers(0, 2**32)


def published(scenario: Scenario, *, seed: int, count: int = 60, epoch: str = "e") -> list[bytes]:
    """Everything that a small fleet would publish, without a broker."""
    hosts = fleet(5, seed=seed)
    agents = [SimAgent(host.id, epoch) for host in hosts]
    startup = Cause(kind="startup")
    sent = []
    for agent, host in zip(agents, hosts, strict=True):
        sent += agent.look(documents_of(picture_of(host)), cause=startup, observed_at=NOW)
    for event in islice(events(scenario, hosts, seed=seed), count):
        documents = documents_of(picture_of(event.host))
        sent += agents[event.index].look(documents, cause=event.cause, observed_at=NOW)
    return [data for _, data in sent]


@pytest.mark.parametrize("scenario", ["boot", "churn", "upgrade", "demo"])
def test_the_same_seed_publishes_the_same_bytes(scenario: Scenario) -> None:
    """MUST: a trial can be repeated exactly; another seed is another fleet."""
    assert published(scenario, seed=7) == published(scenario, seed=7)
    assert published(scenario, seed=7) != published(scenario, seed=8)


@given(seeds)
@settings(max_examples=20, deadline=None)
def test_every_record_is_one_that_a_registry_accepts(seed: int) -> None:
    """MUST: the simulator's records pass the strict decoder, each host's without a gap."""
    seqs: dict[str, list[int]] = {}
    for data in published("demo", seed=seed):
        record = wire.decode(data).record
        seqs.setdefault(record.host, []).append(record.seq)
    assert all(found == list(range(1, len(found) + 1)) for found in seqs.values())


@given(seeds)
@settings(max_examples=20, deadline=None)
def test_available_instances_follow_what_is_created(seed: int) -> None:
    """MUST: creating an mdev takes its share of the card, removing it gives the same back."""
    hosts = fleet(5, seed=seed)
    for event in islice(events("churn", hosts, seed=seed), 100):
        for parent in picture_of(event.host).parents:
            _check_capacity(parent)


def _check_capacity(parent: Parent) -> None:
    if parent.driver is None or parent.driver.name != A40.driver or parent.pci != A40.pci:
        return
    units = {type_.id: type_.units for type_ in A40.types}
    taken = sum(units[device.type or ""] for device in parent.devices)
    in_use = {device.type for device in parent.devices}
    for type_ in parent.types:
        expected = 0 if in_use - {type_.id} else (A40.capacity - taken) // units[type_.id]
        assert type_.available_instances == expected


def test_churn_both_creates_and_removes() -> None:
    """MUST: a fleet that lives neither fills up nor runs empty."""
    hosts = fleet(5, seed=1)
    actions = Counter(event.cause.action for event in islice(events("churn", hosts, seed=1), 400))
    assert set(actions) == {"add", "unbind"}
    assert min(actions.values()) > 100


def test_an_upgrade_drains_a_card_before_its_driver_goes() -> None:
    """MUST: no parent disappears with mdevs on it, and every one comes back with the next release."""
    state = {host.id: host for host in fleet(5, seed=3)}
    before = {host_id: _releases(host) for host_id, host in state.items()}
    for event in events("upgrade", list(state.values()), seed=3):
        for old, new in zip(state[event.host.id].parents, event.host.parents, strict=True):
            assert new.release is not None or not old.devices or old.release is None
        state[event.host.id] = event.host
    for host_id, host in state.items():
        for release, parent in zip(before[host_id], host.parents, strict=True):
            newest = len(parent.card.builds) - 1
            assert parent.release == min((release or 0) + 1, newest)


@given(seeds)
@settings(max_examples=20, deadline=None)
def test_a_host_never_runs_two_builds_of_one_driver(seed: int) -> None:
    """MUST: one kernel module serves all cards of a vendor, at boot and at every moment of a rolling upgrade."""
    hosts = fleet(5, seed=seed)
    happened = islice(events("demo", hosts, seed=seed), 400)
    for host in (*hosts, *(event.host for event in happened)):
        _check_one_build_each(picture_of(host).parents)


def _check_one_build_each(parents: Sequence[Parent]) -> None:
    builds = {parent.driver for parent in parents if parent.driver is not None}
    assert max(Counter(build.name for build in builds).values(), default=1) == 1, builds


def test_an_upgrade_takes_all_cards_of_one_driver_and_no_others() -> None:
    """MUST: a module that goes takes every parent it serves; the host's other drivers stay as they are."""
    state = {host.id: host for host in fleet(5, seed=1)}
    sizes = []
    for event in events("upgrade", list(state.values()), seed=1):
        pairs = zip(state[event.host.id].parents, event.host.parents, strict=True)
        moved = [new.card.driver for old, new in pairs if old.release != new.release]
        served = [parent.card.driver for parent in event.host.parents if parent.card.driver in moved[:1]]
        assert moved == served
        sizes.append(len(moved))
        state[event.host.id] = event.host
    assert sizes.count(2) == 2, "the host with two cards of one vendor: once gone, once back"


def _releases(host: SimHost) -> list[int | None]:
    return [parent.release for parent in host.parents]


def test_the_releases_make_new_load_old_while_old_refuses_new() -> None:
    """MUST: the fleet shows the point: release 18 loads what 17 saves, 17 does not load what 18 saves."""
    _, r17, r18 = A40.builds
    assert (r17.stream, r17.stream_min, r18.stream, r18.stream_min) == ("7", "5", "8", "6")


def test_hosts_have_names_sites_and_ids_of_their_own() -> None:
    """MUST: 50 hosts are 50 ids; names are those of a data centre."""
    hosts = fleet(50, seed=1, sites=("a", "b"))
    assert len({host.id for host in hosts}) == len({host.hostname for host in hosts}) == 50
    assert all(UUID(host.id).version == 5 for host in hosts)
    assert hosts[12].hostname == "hv-a-07"
    assert {len(host.parents) for host in hosts} == {1, 2, 3, 4}


def test_a_booting_fleet_announces_itself_and_leaves(nats_server: Broker, run_cli: RunCli) -> None:
    """MUST: over a real broker every host's complete snapshot arrives, then everyone's goodbye; exit code 0."""

    async def scenario() -> None:
        async with registry_peer(nats_server.url) as peer:
            command = ["mdevreg-agent", "simulate", "--hosts", "12", "--scenario", "boot", "--nats", nats_server.url]
            done = await asyncio.to_thread(run_cli, command)
            assert done.returncode == 0, done.stderr
            expected = {host.id: documents_of(picture_of(host)).digest for host in fleet(12, seed=1)}
            await until(lambda: {id_: known.digest for id_, known in peer.hosts.items()} == expected, "all hosts")
            await until(lambda: {beat.host for beat in peer.beats if beat.leaving} == set(expected), "goodbyes")

    asyncio.run(scenario())


def test_a_living_fleet_ends_after_so_many_events(nats_server: Broker, run_cli: RunCli) -> None:
    """MUST: --events bounds a trial, and it ends in the state that the seed says."""

    async def scenario() -> None:
        async with registry_peer(nats_server.url) as peer:
            command = ["mdevreg-agent", "simulate", "--hosts", "5", "--scenario", "churn", "--nats", nats_server.url]
            done = await asyncio.to_thread(run_cli, [*command, "--rate", "500", "--events", "40", "--seed", "4"])
            assert done.returncode == 0, done.stderr
            expected = [wire.decode(data).record.digest for data in published("churn", seed=4, count=40)]
            await until(lambda: len(peer.records) == len(expected), "all records")
            assert Counter(record.digest for record in peer.records) == Counter(expected)

    asyncio.run(scenario())


def test_ctrl_c_ends_a_steady_fleet_with_goodbyes(nats_server: Broker, start_cli: StartCli) -> None:
    """MUST: a signal is a clean end."""

    async def scenario() -> None:
        async with registry_peer(nats_server.url) as peer:
            command = ["mdevreg-agent", "simulate", "--hosts", "3", "--scenario", "steady", "--nats", nats_server.url]
            fleet_ = start_cli([*command, "--beat-s", "0.3"])
            await asyncio.to_thread(fleet_.wait_for, "fleet.booted hosts=3")
            await until(lambda: len({beat.host for beat in peer.beats}) == 3, "a beat of everyone")
            assert await asyncio.to_thread(fleet_.interrupt) == 0
            await until(lambda: sum(beat.leaving for beat in peer.beats) == 3, "goodbyes")

    asyncio.run(scenario())


def test_no_broker_is_exit_code_5(run_cli: RunCli) -> None:
    """MUST: a trial without a broker says so within seconds."""
    done = run_cli(["mdevreg-agent", "simulate", "--hosts", "1", "--scenario", "boot", "--nats", "nats://127.0.0.1:1"])
    assert done.returncode == 5
    assert "mdevreg-agent: UNREACHABLE: nats://127.0.0.1:1" in done.stderr
