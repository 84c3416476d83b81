"""An agent as a real process, on a small host of the test's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mdevreg_server.broker import Broker
from support.host_root import HostRoot
from support.processes import Program, StartCli

StartAgent = Callable[..., Program]


@pytest.fixture
def host_root(tmp_path: Path) -> HostRoot:
    """A host with the parent mtty, as files."""
    root = HostRoot(tmp_path / "root")
    root.mtty()
    return root


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    """The agent's state folder, not made yet."""
    return tmp_path / "state"


@pytest.fixture
def start_agent(start_cli: StartCli, nats_server: Broker, host_root: HostRoot, state_dir: Path) -> StartAgent:
    """``start_agent("--beat-s", "1", …)``: host id ``h1``, no periodic rescan within the test, quick beats."""

    def start(*flags: str) -> Program:
        arguments = ["--nats", nats_server.url, "--root", host_root.root, "--state-dir", state_dir, "--host-id", "h1"]
        quick = ["--debounce-s", "0.02", "--rescan-s", "3600", "--beat-s", "0.3"]
        return start_cli(["mdevreg-agent", "run", *arguments, *quick, *flags])

    return start
