"""A slow look: what it waits for must not hold up the rest of the agent."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

from mdevreg_server.broker import Broker
from support.registry_peer import registry_peer, until

from .conftest import StartAgent


def test_beats_go_on_while_a_plug_in_takes_its_time(
    nats_server: Broker, start_agent: StartAgent, tmp_path: Path
) -> None:
    """A host whose look is slow is not stale: its facts are as old as they were, and its agent is there."""
    folder, asked, go = tmp_path / "plugins.d", tmp_path / "asked", tmp_path / "go"
    folder.mkdir()
    plugin = folder / "slow"
    plugin.write_text(f"#!/bin/sh\ntouch {asked}\nwhile ! [ -e {go} ]; do sleep 0.05; done\necho '{{}}'\n")
    plugin.chmod(0o755)

    async def run() -> None:
        async with registry_peer(nats_server.url) as peer:
            agent = start_agent("--plugins", str(folder), "--plugin-timeout-s", "40", "--plugin-budget-s", "40")
            await until(asked.exists, "the first look waits for the plug-in")
            before = len(peer.beats)
            await until(lambda: len(peer.beats) >= before + 3, "its heart beats on")
            assert not go.exists()
            go.touch()
            await until(lambda: "h1" in peer.hosts, "the look is published")
            agent.process.send_signal(signal.SIGTERM)

    asyncio.run(run())
