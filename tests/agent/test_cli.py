"""The command line: what is said, where, and with which exit code."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from mdevreg import wire
from mdevreg.records import HostBody, ParentBody
from mdevreg_server.broker import Broker
from support.host_root import HostRoot
from support.processes import RunCli, StartCli
from support.registry_peer import registry_peer, until

from .conftest import StartAgent

COMMANDS = ("run", "scan", "simulate")
#: Nothing of the server, of SQL, or of the query library belongs into a host's agent.
FORBIDDEN = ("sqlalchemy", "alembic", "mdevreg_server", "mdevreg.query", "click", "rich", "uvloop")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_begins_with_examples(run_cli: RunCli, command: str) -> None:
    """MUST: the first thing that help shows is how the command is used."""
    done = run_cli(["mdevreg-agent", command, "--help"])
    assert done.returncode == 0
    assert done.stdout.startswith(f"examples:\n  mdevreg-agent {command}")


def test_the_version_is_the_package_s(run_cli: RunCli) -> None:
    """MUST: one version, from the package's metadata."""
    from importlib.metadata import version

    assert run_cli(["mdevreg-agent", "--version"]).stdout == f"mdevreg-agent {version('mdevreg')}\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["frobnicate"], "invalid choice"),
        ([], "required"),
        (["run", "--rescan-s", "never"], "--rescan-s: 'never' can't be meant"),
        (["run", "--source", "netlink"], "--source: 'netlink'"),
        (["simulate", "--hosts", "0", "--scenario", "boot"], "0 is not positive"),
        (["simulate", "--hosts", "1", "--scenario", "boot", "--events", "1", "--duration-s", "1"], "not allowed with"),
        (["scan", "--config", "/nowhere.toml"], "/nowhere.toml can't be read"),
    ],
)
def test_a_usage_error_is_one_line_and_exit_code_2(run_cli: RunCli, arguments: list[str], said: str) -> None:
    """MUST: ``mdevreg-agent: CODE: message`` on stderr, nothing on stdout."""
    done = run_cli(["mdevreg-agent", *arguments])
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("mdevreg-agent: USAGE: ")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_credentials_that_are_none_are_exit_code_4(run_cli: RunCli, tmp_path: Path) -> None:
    """MUST: said before anything is watched or written."""
    done = run_cli(["mdevreg-agent", "run", "--state-dir", tmp_path / "state", "--creds", tmp_path / "none.creds"])
    assert done.returncode == 4
    assert done.stderr.startswith("mdevreg-agent: AUTH: ")
    assert not (tmp_path / "state").exists()


def test_a_root_without_sysfs_is_exit_code_2(run_cli: RunCli, tmp_path: Path) -> None:
    """MUST: an empty folder is not an empty host."""
    done = run_cli(["mdevreg-agent", "scan", "--root", tmp_path])
    assert done.returncode == 2
    assert str(tmp_path) in done.stderr


def test_scan_prints_what_run_publishes(
    run_cli: RunCli, start_agent: StartAgent, nats_server: Broker, host_root: HostRoot
) -> None:
    """MUST: the documents of scan are those of the records, to the byte."""

    async def scenario() -> None:
        async with registry_peer(nats_server.url) as peer:
            start_agent("--site", "ams1")
            await until(lambda: len(peer.of("h1")) == 3, "the snapshot")
            command = ["mdevreg-agent", "scan", "--root", host_root.root, "--site", "ams1"]
            scanned = json.loads((await asyncio.to_thread(run_cli, command)).stdout)
            facts, parent = (record.body for record in peer.of("h1")[:2])
            assert isinstance(facts, HostBody)
            assert isinstance(parent, ParentBody)
            assert wire.encode(scanned["facts"]) == bytes(facts.facts)
            assert [wire.encode(found) for found in scanned["parents"]] == [bytes(parent.parent)]

    asyncio.run(scenario())


def test_scan_writes_nothing_anywhere(run_cli: RunCli, host_root: HostRoot, home: Path) -> None:
    """MUST: looking changes neither the host nor the home folder."""
    before = sorted(host_root.root.rglob("*"))
    assert run_cli(["mdevreg-agent", "scan", "--root", host_root.root]).returncode == 0
    assert sorted(host_root.root.rglob("*")) == before
    assert [path.name for path in home.rglob("*")] == ["run"]  # the runtime folder that every process is given


def test_scan_as_a_table_is_for_people(run_cli: RunCli, host_root: HostRoot) -> None:
    """MUST: the host first, then a line per parent, type and device."""
    host_root.create("83b8f4f2-509f-382f-3c1e-e6bfe0fa1001")
    lines = run_cli(["mdevreg-agent", "scan", "--root", host_root.root, "-o", "table"]).stdout.splitlines()
    assert lines[0] == "host hv-test-01  site -  kernel 6.12.0-test"
    assert "  type mtty-1  Single port serial  free 24  vfio-pci  stream -" in lines
    assert any(line.startswith("  mdev 83b8f4f2-509f-382f-3c1e-e6bfe0fa1001  type mtty-1") for line in lines)


def test_the_site_of_the_settings_file_is_scanned_too(run_cli: RunCli, host_root: HostRoot, tmp_path: Path) -> None:
    """MUST: scan shows what run would publish with the same settings."""
    (tmp_path / "agent.toml").write_text(f'site = "ams1"\nroot = "{host_root.root}"\n')
    done = run_cli(["mdevreg-agent", "scan", "--config", tmp_path / "agent.toml"])
    assert json.loads(done.stdout)["facts"]["site"] == "ams1"


@pytest.mark.parametrize("module", ["life", "scan", "simulate", "cli"])
def test_nothing_heavy_is_imported(module: str) -> None:
    """MUST: a host's agent brings msgspec, pyudev, nats-py and nothing more (design section 10)."""
    code = f"import sys, mdevreg_agent.{module}; print(*(name for name in {FORBIDDEN!r} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_scan_needs_no_broker_s_client() -> None:
    """MUST: scan works where nats-py and pyudev are not installed."""
    code = "import sys, mdevreg_agent.cli, mdevreg_agent.scan; print('nats' in sys.modules, 'pyudev' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_the_agent_is_light(nats_server: Broker, start_agent: StartAgent) -> None:
    """MUST: within 60 MiB of resident memory, with the link up and everything published."""

    async def scenario() -> None:
        async with registry_peer(nats_server.url) as peer:
            agent = start_agent()
            await until(lambda: len(peer.of("h1")) == 3, "the snapshot")
            assert psutil.Process(agent.pid).memory_info().rss < 60 * 2**20

    asyncio.run(scenario())


def test_an_agent_without_a_broker_lives_on(start_cli: StartCli, host_root: HostRoot, tmp_path: Path) -> None:
    """MUST: unreachable is said on stderr, not an end; SIGTERM then is a clean one."""
    command = ["mdevreg-agent", "run", "--root", host_root.root, "--nats", "nats://127.0.0.1:1"]
    agent = start_cli([*command, "--state-dir", tmp_path / "state"])
    agent.wait_for("link.failed code=UNREACHABLE")
    agent.wait_for("record.written seq=3 kind=complete cause=startup")
    assert agent.terminate() == 0
    assert "agent.stopped" in agent.output


def test_quiet_says_only_what_went_wrong(start_cli: StartCli, host_root: HostRoot, tmp_path: Path) -> None:
    """MUST: --quiet leaves warnings."""
    command = ["mdevreg-agent", "run", "--quiet", "--root", host_root.root, "--nats", "nats://127.0.0.1:1"]
    agent = start_cli([*command, "--state-dir", tmp_path / "state"])
    agent.wait_for("link.failed")
    agent.terminate()
    assert "record.written" not in agent.output
    assert "agent.started" not in agent.output
