"""The agent's weight: one look at a big host, memory, and CPU while nothing happens."""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import psutil

from mdevreg_agent.picture import documents_of
from mdevreg_agent.sysfs import read_picture
from mdevreg_server.broker import Broker
from support.host_root import HostRoot
from support.processes import Program, program
from support.sysfs_tree import mdev_parent

PARENTS, TYPES, MDEVS = 8, 12, 64
IDLE_S = 10.0


def report(folder: Path, *, rounds: int) -> None:
    """Measure and print."""
    root = folder / "big-host"
    HostRoot(root)
    for number in range(PARENTS):
        mdev_parent(root, f"0000:{0x3B + number:02x}:00.0", types=TYPES, mdevs_per_type=MDEVS // TYPES + 1)
    seen = read_picture(root, agent_version="bench", wait=lambda: None)
    devices = sum(len(parent.devices) for parent in seen.parents)
    size = sum(map(len, documents_of(seen).parents.values()))
    print(f"\nagent: {len(seen.parents)} parents, {TYPES} types each, {devices} mdevs; {size:,} bytes published")
    taken = [_look(root) for _ in range(max(rounds, 3))]
    floor = [_walk(root) for _ in range(max(rounds, 3))]
    look, bare = statistics.median(taken), statistics.median(floor)
    print(f"  one look {look * 1000:.0f} ms; its files read bare {bare * 1000:.0f} ms; ratio {look / bare:.1f}")
    _print_weight(folder, root)


def _look(root: Path) -> float:
    started = time.perf_counter()
    read_picture(root, agent_version="bench", wait=lambda: None)
    return time.perf_counter() - started


def _walk(root: Path) -> float:
    """The floor: the attribute files of the parents and mdevs, opened and read, nothing made of them."""
    files = [file for file in (root / "sys/devices").rglob("*") if file.is_file() and not file.is_symlink()]
    links = list((root / "sys/devices").rglob("mdev_type"))
    started = time.perf_counter()
    for file in files:
        with file.open("rb", buffering=0) as opened:
            opened.read()
    for link in links:
        link.readlink()
    return time.perf_counter() - started


def _print_weight(folder: Path, root: Path) -> None:
    home = folder / "agent-home"
    home.mkdir()
    with Broker(folder / "agent-broker") as broker:
        where: list[str | Path] = ["--root", root, "--state-dir", home / "state"]
        command: list[str | Path] = [program("mdevreg-agent"), "run", "--nats", broker.url, *where]
        with Program(command, home=home) as running:
            time.sleep(3)
            process = psutil.Process(running.pid)
            before = process.cpu_times()
            time.sleep(IDLE_S)
            after = process.cpu_times()
            spent = after.user + after.system - before.user - before.system
            print(
                f"  running on it: RSS {process.memory_info().rss / 2**20:.0f} MiB; CPU while idle {spent / IDLE_S:.2%}"
            )
