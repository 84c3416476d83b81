"""What is added to a look: NVML first, then plug-ins; in ``scan``, in ``run``, and within one record."""

from __future__ import annotations

import asyncio
import importlib
import json
import signal
import sys
import time
from pathlib import Path
from types import ModuleType

import msgspec
import pytest

from mdevreg import wire
from mdevreg.records import (
    MAX_RECORD_BYTES,
    MAX_TYPES,
    SCHEMA,
    DriverBuild,
    Fault,
    HostFacts,
    MdevType,
    Nvml,
    Parent,
    ParentBody,
    PciIds,
)
from mdevreg.statements import Statement
from mdevreg_agent.additions import Additions, additions_of
from mdevreg_agent.config import Settings
from mdevreg_agent.sysfs import read_picture
from mdevreg_server.broker import Broker
from support.host_root import MTTY, HostRoot
from support.looking import look
from support.plugin_folder import FACTS, PARENT, PluginFolder
from support.processes import RunCli, StartCli
from support.registry_peer import registry_peer, until
from support.tree import ROOT

from .conftest import StartAgent

ANSWER = '{"types": {"mtty-1": {"saves": "1.0"}}}'
GPU = Parent(path="/devices/gpu", name="gpu", pci=PciIds(vendor="0x10de"))


@pytest.fixture
def plugins(tmp_path: Path) -> PluginFolder:
    return PluginFolder(tmp_path / "plugins.d")


class Library:
    """Stands for an open NVML; answers of every parent."""

    closed = False

    def added(self, parents: tuple[Parent, ...], *, host_os: str | None) -> tuple[Parent, ...]:
        return tuple(msgspec.structs.replace(parent, nvml=Nvml(name="a GPU", host_os=host_os)) for parent in parents)

    def close(self) -> None:
        self.closed = True


class Nvmls:
    """Stands for ``mdevreg_agent.nvml``: how often the library was looked for, and what is found."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, boot_id: Path) -> None:
        self.opened, self.library = 0, Library()
        self.found: Library | None = self.library
        self.boot_id = boot_id
        boot_id.write_text("this-boot\n")
        self.facts = msgspec.structs.replace(FACTS, boot_id="this-boot")
        module = ModuleType("mdevreg_agent.nvml")
        module.open_nvml = self._open  # type: ignore[attr-defined]  # a module made for the test
        monkeypatch.setitem(sys.modules, "mdevreg_agent.nvml", module)

    def additions(self, plugins: PluginFolder, *, nvml: bool = True) -> Additions:
        return Additions(plugins=plugins.plugins, nvml=nvml, boot_id=self.boot_id)

    def _open(self) -> Library | None:
        self.opened += 1
        return self.found


@pytest.fixture
def nvmls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Nvmls:
    return Nvmls(monkeypatch, tmp_path / "boot_id")


def test_plugins_see_what_nvml_says(plugins: PluginFolder, nvmls: Nvmls, tmp_path: Path) -> None:
    """MUST: NVML first; a vendor's rules need the host's system."""
    plugins.shell("p", f"cat > {tmp_path}/question")
    (gpu,) = nvmls.additions(plugins).added(nvmls.facts, (GPU,))
    assert gpu.nvml == Nvml(name="a GPU", host_os="debian 13")
    asked = json.loads((tmp_path / "question").read_text())
    assert asked["parent"]["nvml"] == {"name": "a GPU", "host_os": "debian 13"}


def test_nvml_is_opened_once_and_closed(plugins: PluginFolder, nvmls: Nvmls) -> None:
    """MUST: one library for the agent's life."""
    additions = nvmls.additions(plugins)
    for _ in range(2):
        additions.added(nvmls.facts, (GPU,))
    additions.close()
    assert (nvmls.opened, nvmls.library.closed) == (1, True)


def test_a_driver_that_comes_later_is_found(plugins: PluginFolder, nvmls: Nvmls) -> None:
    """MUST: without a library nothing is known; the next look tries again."""
    additions = nvmls.additions(plugins)
    nvmls.found = None
    assert additions.added(nvmls.facts, (GPU,)) == (GPU,)
    nvmls.found = nvmls.library
    assert additions.added(nvmls.facts, (GPU,))[0].nvml is not None


def test_nvml_is_asked_of_nvidia_s_gpus_of_this_host_only(plugins: PluginFolder, nvmls: Nvmls) -> None:
    """MUST: another root is another host with the same addresses; and where it is switched off, it is off."""
    other = msgspec.structs.replace(nvmls.facts, boot_id="another-boot")
    nvmls.additions(plugins).added(other, (GPU,))
    nvmls.additions(plugins).added(HostFacts(hostname="no boot id"), (GPU,))
    nvmls.additions(plugins).added(nvmls.facts, (PARENT,))
    nvmls.additions(plugins, nvml=False).added(nvmls.facts, (GPU,))
    nvmls.boot_id.unlink()
    nvmls.additions(plugins).added(nvmls.facts, (GPU,))
    assert nvmls.opened == 0


def test_what_is_added_fits_into_a_record(plugins: PluginFolder, nvmls: Nvmls) -> None:
    """MUST: whatever is said of a large parent."""
    plugins.says("p", json.dumps({"types": {f"t-{number}": {"format": "f" * 200} for number in range(1_000)}}))
    types = tuple(MdevType(id=f"{number:04}", name="n" * 190) for number in range(4_000))
    (parent,) = nvmls.additions(plugins).added(FACTS, (msgspec.structs.replace(PARENT, types=types),))
    assert len(wire.encode(parent)) < MAX_RECORD_BYTES
    assert len(parent.types) == 4_000
    assert [fault.path for fault in parent.faults] == ["plugins/p"]


def test_thousands_of_faults_of_nvml_become_a_bounded_number(
    plugins: PluginFolder, nvmls: Nvmls, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MUST: the last word on what is published has the bounds of a record, whoever added."""
    faults = tuple(Fault(path=f"nvml/{number}", error="EIO") for number in range(MAX_TYPES + 1))
    faulty = msgspec.structs.replace(GPU, faults=faults)
    monkeypatch.setattr(nvmls.library, "added", lambda parents, host_os: (faulty,))
    (parent,) = nvmls.additions(plugins).added(nvmls.facts, (GPU,))
    assert len(parent.faults) == MAX_TYPES


def test_the_additions_are_made_once_per_look(host_root: HostRoot) -> None:
    """MUST: of the look that counts, not of those that wait for an mdev's type."""
    uuid = "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001"
    host_root.create(uuid)
    link = host_root.root / f"sys{MTTY}/{uuid}/mdev_type"
    link.unlink()
    seen: list[tuple[Parent, ...]] = []

    def add(facts: HostFacts, parents: tuple[Parent, ...]) -> tuple[Parent, ...]:
        assert facts.hostname == "hv-test-01"
        seen.append(parents)
        return tuple(msgspec.structs.replace(parent, attributes={"added": "1"}) for parent in parents)

    def wait() -> None:
        link.symlink_to("../mdev_supported_types/mtty-1")

    picture = read_picture(host_root.root, agent_version="test", wait=wait, add=add)
    assert [[device.type for device in parent.devices] for (parent,) in seen] == [["mtty-1"]]
    assert picture.parents[0].attributes == {"added": "1"}
    assert look(host_root.root).parents == seen[0]


def test_scan_shows_what_is_added(run_cli: RunCli, host_root: HostRoot, plugins: PluginFolder) -> None:
    """MUST: in one JSON document for the whole host, and for people."""
    plugins.says("hisi", ANSWER)
    plugins.shell("lame", "echo no card >&2; exit 1")
    command = ["mdevreg-agent", "scan", "--root", host_root.root, "--plugins", plugins.folder]
    scanned = json.loads(run_cli(command).stdout)
    assert scanned.keys() == {"schema", "facts", "parents"}
    assert scanned["schema"] == SCHEMA
    (parent,) = msgspec.convert(scanned["parents"], list[Parent])
    assert wire.encode(parent.answers) == b'{"hisi":{"types":{"mtty-1":{"saves":"1.0"}}}}'
    lines = run_cli([*command, "-o", "table"]).stdout.splitlines()
    assert '  plug-in hisi  type mtty-1  {"saves":"1.0"}' in lines
    assert lines[-1] == "  fault plugins/lame: exit code 1: no card"


def test_a_plugin_never_sees_the_agent_s_credentials(
    start_cli: StartCli, nats_server: Broker, host_root: HostRoot, plugins: PluginFolder, tmp_path: Path
) -> None:
    """MUST: neither in its environment nor in an open file nor in a path, while the agent uses them."""
    nkeys = importlib.import_module("nkeys")
    seed = nkeys.encode_seed(bytes(range(32)), nkeys.PREFIX_BYTE_USER).decode()
    creds = tmp_path / "agent.creds"
    creds.write_text(
        "-----BEGIN NATS USER JWT-----\neyJhbGciOiJub25lIn0.e30.\n------END NATS USER JWT------\n"
        f"-----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
    )
    out, asked = tmp_path / "out", tmp_path / "asked"
    shown = "cat; env; cat /proc/self/environ /proc/self/cmdline; ls -l /proc/self/fd"
    plugins.shell("p", f"echo >> {asked}; {{ {shown}; }} > {out}.new 2>&1; mv {out}.new {out}")

    async def scenario() -> None:
        async with registry_peer(nats_server.url) as peer:
            url = nats_server.url.replace("//", "//agent:pass-word@")
            arguments = ["--root", host_root.root, "--state-dir", tmp_path / "state", "--plugins", plugins.folder]
            agent = start_cli(
                ["mdevreg-agent", "run", *arguments, "--plugin-max-age-s", "0", "--host-id", "h1"],
                env={"MDEVREG_AGENT_CREDS": str(creds), "MDEVREG_AGENT_NATS": url, "SECRET": "in-the-environment"},
            )
            await until(lambda: len(peer.of("h1")) == 3, "the snapshot, so the link is up")
            before = asked.read_text().count("\n")
            agent.process.send_signal(signal.SIGHUP)
            await until(lambda: asked.read_text().count("\n") > before, "asked again")
            agent.terminate()

    asyncio.run(scenario())
    seen = out.read_text(errors="replace")
    assert "MDEVREG_PLUGIN_SCHEMA=1.0" in seen
    assert "0 -> " in seen
    for secret in (
        seed,
        "pass-word",
        "in-the-environment",
        "agent.creds",
        "socket:",
        str(tmp_path / "state"),
        "outbox",
    ):
        assert secret not in seen


def test_run_publishes_what_plugins_say_and_when_it_changes(
    nats_server: Broker, start_agent: StartAgent, plugins: PluginFolder
) -> None:
    """MUST: the same road as everything else: look, diff, record."""
    plugins.says("p", ANSWER)

    async def scenario() -> None:
        async with registry_peer(nats_server.url) as peer:
            agent = start_agent("--plugins", str(plugins.folder))
            await until(lambda: len(peer.of("h1")) == 3, "the snapshot")
            plugins.says("p", ANSWER.replace("1.0", "2.0"))
            agent.process.send_signal(signal.SIGHUP)
            await until(lambda: len(peer.of("h1")) == 4, "the new answer")
            bodies = [record.body for record in peer.of("h1") if isinstance(record.body, ParentBody)]
            saves = [wire.decode_parent(bytes(body.parent)).answers["p"].types["mtty-1"].saves for body in bodies]
            assert saves == ["1.0", "2.0"]

    asyncio.run(scenario())


def test_a_plugin_that_hangs_delays_no_goodbye_and_is_no_record(
    start_cli: StartCli, host_root: HostRoot, plugins: PluginFolder, tmp_path: Path
) -> None:
    """MUST: SIGTERM in the middle of a look ends the plug-in, and writes nothing of half a look."""
    plugins.shell("p", f"touch {tmp_path}/asked; sleep 600")
    arguments = ["--root", host_root.root, "--state-dir", tmp_path / "state", "--nats", "nats://127.0.0.1:1"]
    agent = start_cli(["mdevreg-agent", "run", *arguments, "--plugins", plugins.folder, "--plugin-timeout-s", "40"])
    agent.wait_for("agent.started")
    asyncio.run(until((tmp_path / "asked").exists, "asked"))
    before = time.monotonic()
    assert agent.terminate() == 0
    assert time.monotonic() - before < 15
    assert "record.written" not in agent.output


def test_a_user_that_cannot_be_taken_keeps_the_agent_from_starting(run_cli: RunCli, tmp_path: Path) -> None:
    """MUST: said before anything is watched, written or run."""
    flags = ["--state-dir", tmp_path / "state", "--plugin-user", "no-such-user"]
    done = run_cli(["mdevreg-agent", "run", *flags])
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "mdevreg-agent: USAGE: plugin_user: this host has no user 'no-such-user'\n"
    assert not (tmp_path / "state").exists()


def test_no_folder_is_no_folder() -> None:
    """MUST: an empty setting switches the folder off."""
    additions = additions_of(Settings(plugins="", nvml=False), clock=time.monotonic)
    assert additions.added(FACTS, (PARENT,)) == (PARENT,)


def test_the_plugin_of_the_documentation_works(host_root: HostRoot, plugins: PluginFolder) -> None:
    """MUST: as it is printed; it speaks of its own driver only."""
    text = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
    script = text.partition("```python\n")[2].partition("```")[0]
    assert script.startswith("#!/usr/bin/python3\n")
    plugins.python("hisi", script.partition("\n")[2])
    driver = DriverBuild(name="hisi_sec2")
    parent = msgspec.structs.replace(PARENT, path="/devices/hisi", name="0000:75:00.0", driver=driver)
    pairs = host_root.root / "etc" / "mdevreg" / "qp_num"
    pairs.parent.mkdir()
    pairs.write_text("0000:75:00.0 256\n0000:76:00.0 1024\n")
    settings = Settings(root=str(host_root.root), plugins=str(plugins.folder), nvml=False)
    hisi, other = additions_of(settings, clock=time.monotonic).added(FACTS, (parent, PARENT))
    assert hisi.answers["hisi"].all == Statement(fields={"qp_num": "256"})
    assert other == PARENT
