"""The agent as a process, on real files, over a real broker: nothing is lost, whatever is killed."""

from __future__ import annotations

import asyncio
import shutil
import signal
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mdevreg.records import Beat, CompleteBody, Record, TombstoneBody
from mdevreg_agent.outbox import OUTBOX_FILE
from mdevreg_server.broker import Broker
from support.host_root import MTTY, HostRoot
from support.nats_server import wipe
from support.processes import Program
from support.registry_peer import RegistryPeer, registry_peer, until

from .conftest import StartAgent

Scenario = Callable[[RegistryPeer], Awaitable[None]]


def with_peer(broker: Broker, scenario: Scenario) -> None:
    """Run a scenario beside a registry that answers receipts."""

    async def run() -> None:
        async with registry_peer(broker.url) as peer:
            await scenario(peer)

    asyncio.run(run())


def poke(agent: Program) -> None:
    """An operator wants a look."""
    agent.process.send_signal(signal.SIGHUP)


def kinds(records: list[Record]) -> list[str]:
    return [str(record.body.__struct_config__.tag) for record in records]


def settled(peer: RegistryPeer, seq: int) -> Callable[[], bool]:
    """The agent's beat says that it stands at ``seq`` with nothing unsent."""
    return lambda: bool(peer.beats) and (peer.beats[-1].seq, peer.beats[-1].unsent) == (seq, 0)


def settled_at_the_end(peer: RegistryPeer) -> Callable[[], bool]:
    """The agent's beat says that nothing is unsent, and the registry has all up to there."""

    def holds() -> bool:
        known = peer.hosts.get("h1")
        return known is not None and bool(peer.beats) and (peer.beats[-1].seq, peer.beats[-1].unsent) == (known.seq, 0)

    return holds


def test_a_host_announces_itself_completely_and_its_receipt_empties_the_outbox(
    nats_server: Broker, start_agent: StartAgent
) -> None:
    """MUST: first a complete snapshot; after the receipt nothing waits, and the digests agree."""

    async def scenario(peer: RegistryPeer) -> None:
        start_agent()
        await until(settled(peer, 3), "three records receipted")
        assert kinds(peer.of("h1")) == ["host", "parent", "complete"]
        assert {record.cause.kind for record in peer.of("h1")} == {"startup"}
        assert peer.beats[-1].digest == peer.hosts["h1"].digest == peer.of("h1")[-1].digest
        before = datetime.now(UTC)
        heard = len(peer.beats)
        await until(lambda: len(peer.beats) > heard + 1, "beats")
        sent_at = peer.beats[-1].at
        assert sent_at is not None
        assert before <= sent_at <= datetime.now(UTC)

    with_peer(nats_server, scenario)


def test_a_change_is_one_record_with_its_cause(
    nats_server: Broker, start_agent: StartAgent, host_root: HostRoot
) -> None:
    """MUST: only what changed is published; a parent that is gone becomes a tombstone."""

    async def scenario(peer: RegistryPeer) -> None:
        agent = start_agent()
        await until(settled(peer, 3), "the snapshot")
        host_root.create("83b8f4f2-509f-382f-3c1e-e6bfe0fa1001")
        poke(agent)
        await until(settled(peer, 4), "the mdev")
        assert (kinds(peer.of("h1"))[3:], peer.of("h1")[3].cause.kind) == (["parent"], "operator")
        host_root.remove_mtty()
        poke(agent)
        await until(settled(peer, 5), "the tombstone")
        assert peer.of("h1")[4].body == TombstoneBody(path=MTTY)

    with_peer(nats_server, scenario)


def test_what_has_no_uevent_is_found_by_the_periodic_rescan(
    nats_server: Broker, start_agent: StartAgent, host_root: HostRoot
) -> None:
    """MUST: available_instances moves without an event, and is published all the same."""

    async def scenario(peer: RegistryPeer) -> None:
        start_agent("--rescan-s", "0.3")
        await until(settled(peer, 3), "the snapshot")
        host_root.set_free(23)
        await until(settled(peer, 4), "the change")
        assert peer.of("h1")[3].cause.kind == "rescan"

    with_peer(nats_server, scenario)


def test_a_restart_publishes_the_difference_and_says_goodbye_before(
    nats_server: Broker, start_agent: StartAgent, host_root: HostRoot
) -> None:
    """MUST: SIGTERM ends in a leaving beat and exit code 0; the next start goes on in the same epoch."""

    async def scenario(peer: RegistryPeer) -> None:
        agent = start_agent()
        await until(settled(peer, 3), "the snapshot")
        assert await asyncio.to_thread(agent.terminate) == 0
        await until(lambda: peer.beats[-1].leaving, "the goodbye")
        host_root.set_free(20)
        start_agent()
        await until(settled(peer, 4), "the difference")
        assert peer.of("h1")[3].cause.kind == "startup"
        assert len({record.epoch for record in peer.of("h1")}) == 1

    with_peer(nats_server, scenario)


def test_with_the_broker_away_everything_is_kept_and_arrives_in_order(
    nats_server: Broker, start_agent: StartAgent, host_root: HostRoot
) -> None:
    """MUST: the agent goes on recording; when the broker is back the records come once each, in order."""

    async def scenario(peer: RegistryPeer) -> None:
        agent = start_agent()
        await until(settled(peer, 3), "the snapshot")
        nats_server.kill()
        for free in range(10, 15):
            host_root.set_free(free)
            poke(agent)
            await asyncio.to_thread(agent.wait_for, f"record.written seq={free - 6} ")
        nats_server.start()
        await until(settled(peer, 8), "all of them", timeout_s=30)
        assert [record.seq for record in peer.of("h1")] == list(range(1, 9))
        assert peer.hosts["h1"].digest == peer.beats[-1].digest

    with_peer(nats_server, scenario)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_killed_anywhere_it_loses_nothing_and_leaves_no_gap(
    nats_server: Broker, start_agent: StartAgent, host_root: HostRoot, seed: int
) -> None:
    """MUST: kill -9 at any moment, several times: every seq arrives, and the states agree in the end."""

    async def scenario(peer: RegistryPeer) -> None:
        for life in range(3):
            agent = start_agent("--rescan-s", "0.05")
            for step in range(4 + 3 * seed):
                host_root.set_free(life * 100 + step)
                await asyncio.sleep(0.05 + 0.013 * seed)
            await asyncio.to_thread(agent.kill)
        start_agent()
        await until(settled_at_the_end(peer), "receipted")
        records = peer.of("h1")
        await until(lambda: peer.hosts["h1"].digest == peer.beats[-1].digest, "the digests agree")
        assert [record.seq for record in records] == list(range(1, len(records) + 1))
        assert len({record.epoch for record in records}) == 1

    with_peer(nats_server, scenario)


def test_without_a_receipt_records_are_published_again(nats_server: Broker, start_agent: StartAgent) -> None:
    """MUST: the publish-ack removes nothing; a wiped broker gets everything once more."""

    async def scenario() -> None:
        async with registry_peer(nats_server.url) as deaf:
            deaf.deaf = True
            agent = start_agent("--retransmit-s", "0.5")
            await asyncio.to_thread(agent.wait_for, "record.published seq=3 ")
        wipe(nats_server)
        async with registry_peer(nats_server.url) as peer:
            await until(settled(peer, 3), "published again and receipted", timeout_s=30)
            assert kinds(peer.of("h1")) == ["host", "parent", "complete"]

    asyncio.run(scenario())


def test_a_registry_that_lost_the_host_gets_a_complete_snapshot(nats_server: Broker, start_agent: StartAgent) -> None:
    """MUST: "nothing known of you" is answered with all that there is, declared as following what was receipted."""

    async def scenario(peer: RegistryPeer) -> None:
        start_agent()
        await until(settled(peer, 3), "the snapshot")
        del peer.hosts["h1"]
        await peer.confirm("h1")
        await until(settled(peer, 6), "the second snapshot")
        last = peer.of("h1")[-1]
        assert isinstance(last.body, CompleteBody)
        assert (last.cause.kind, last.body.skipped) == ("resync", (1, 3))
        assert peer.hosts["h1"].digest == last.digest

    with_peer(nats_server, scenario)


def test_a_registry_that_never_agrees_is_not_stormed(nats_server: Broker, start_agent: StartAgent) -> None:
    """MUST: complete snapshots come at ever longer intervals, however often the registry disagrees."""

    async def scenario(peer: RegistryPeer) -> None:
        start_agent()
        await until(settled(peer, 3), "the snapshot")
        peer.silent = True
        for _ in range(60):
            last = peer.of("h1")[-1]
            await peer.say("h1", last.epoch, last.seq, "0" * 64)
            await asyncio.sleep(0.05)
        snapshots = sum(isinstance(record.body, CompleteBody) for record in peer.of("h1")) - 1
        assert 1 <= snapshots <= 3

    with_peer(nats_server, scenario)


def test_an_overflow_is_declared_and_ends_in_the_right_state(
    nats_server: Broker, start_agent: StartAgent, host_root: HostRoot
) -> None:
    """MUST: what was dropped is named in the snapshot and on stderr, and the registry ends up right."""

    async def scenario(peer: RegistryPeer) -> None:
        agent = start_agent("--max-unsent", "5", "--rescan-s", "0.05")
        await until(settled(peer, 3), "the snapshot")
        nats_server.kill()
        free = 0
        while "outbox.overflowed first=4 " not in agent.output:
            free = free % 20 + 1
            host_root.set_free(free)
            await asyncio.sleep(0.05)
        nats_server.start()
        await until(lambda: any(_skips(record) for record in peer.of("h1")), "the declaration", timeout_s=30)
        await until(settled_at_the_end(peer), "receipted")
        assert peer.hosts["h1"].digest == peer.beats[-1].digest

    with_peer(nats_server, scenario)


def _skips(record: Record) -> bool:
    return isinstance(record.body, CompleteBody) and record.body.skipped is not None


def test_an_outbox_restored_from_an_older_copy_begins_a_new_epoch(
    nats_server: Broker, start_agent: StartAgent, host_root: HostRoot, state_dir: Path, tmp_path: Path
) -> None:
    """MUST: sequence numbers that the registry has seen are not used again for something else."""

    async def scenario(peer: RegistryPeer) -> None:
        agent = start_agent()
        await until(settled(peer, 3), "the snapshot")
        await asyncio.to_thread(agent.terminate)
        shutil.copytree(state_dir, tmp_path / "backup")
        agent = start_agent()
        await asyncio.to_thread(agent.wait_for, "agent.started")
        host_root.set_free(5)
        poke(agent)
        await until(settled(peer, 4), "one more record")
        await asyncio.to_thread(agent.terminate)
        shutil.rmtree(state_dir)
        (tmp_path / "backup").rename(state_dir)
        start_agent()
        await until(lambda: len({beat.epoch for beat in peer.beats}) == 2, "a new epoch")
        await until(settled(peer, 3), "its snapshot receipted")
        assert peer.hosts["h1"].digest == peer.beats[-1].digest

    with_peer(nats_server, scenario)


def test_a_locked_outbox_is_waited_for(
    nats_server: Broker, start_agent: StartAgent, host_root: HostRoot, state_dir: Path
) -> None:
    """MUST: a lock held by another program is reported; the change is recorded when it is gone."""

    async def scenario(peer: RegistryPeer) -> None:
        agent = start_agent()
        await until(settled(peer, 3), "the snapshot")
        with closing(sqlite3.connect(state_dir / OUTBOX_FILE, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            host_root.set_free(9)
            poke(agent)
            await asyncio.to_thread(agent.wait_for, "look.failed code=STATE")
        await until(settled(peer, 4), "the change", timeout_s=30)

    with_peer(nats_server, scenario)


def test_a_registry_that_holds_another_epoch_is_told_on_stderr(nats_server: Broker, start_agent: StartAgent) -> None:
    """MUST: a second agent with this id does not go unnoticed."""

    async def scenario(peer: RegistryPeer) -> None:
        agent = start_agent()
        await until(settled(peer, 3), "the snapshot")
        peer.silent = True
        await peer.say("h1", "another", 9, "0" * 64)
        await asyncio.to_thread(agent.wait_for, "identity.disputed epoch=another")
        assert _standing(peer.beats[-1]) == (3, 0)

    with_peer(nats_server, scenario)


def _standing(beat: Beat) -> tuple[int, int]:
    return beat.seq, beat.unsent


def test_a_second_agent_on_the_same_state_folder_is_refused(start_agent: StartAgent) -> None:
    """MUST: exit code 2 and the way out; the first one lives on."""
    first = start_agent()
    first.wait_for("agent.started")
    second = start_agent()
    assert second.process.wait(20) == 2
    assert "mdevreg-agent: STATE_IN_USE: another agent" in second.output
    assert first.running
