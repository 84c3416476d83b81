"""From a uevent to an answer: a real kernel uevent wakes a real agent; the clock stops when a query sees the change.

The change itself is made in a folder that stands for the host's sysfs (mdevs need a driver); the uevent that tells
it is the kernel's own (a synthetic one for a module, which needs root), so netlink, debounce, reading, outbox,
broker, commit and query are all in the figure. Not root: the operator's poke (SIGHUP) stands for the uevent.
"""

from __future__ import annotations

import os
import signal
import statistics
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from mdevreg import query
from mdevreg.errors import NotFoundError
from mdevreg.facts import NOW
from mdevreg_server import schema
from mdevreg_server.broker import Broker
from mdevreg_server.engine import open_engine
from support.databases import postgresql_url, sqlite_url
from support.host_root import HostRoot
from support.postgres import PostgresMissingError, private_cluster
from support.processes import Program, eventually, program

#: The agent's default: this much quiet before it looks.
DEBOUNCE_S = 0.1
TIMEOUT_S = 10.0


def report(folder: Path, *, events: int) -> None:
    """Measure over both databases and print p50 and p99."""
    how = "kernel uevent" if os.geteuid() == 0 else "SIGHUP, not being root"
    print(
        f"\nfrom a uevent to an answer: {events} mdevs created one by one ({how}); debounce {DEBOUNCE_S * 1000:.0f} ms"
    )
    below = folder / "latency"
    below.mkdir()
    _print("SQLite", _measure(below / "sqlite", sqlite_url(_made(below / "db")), events))
    try:
        with private_cluster() as cluster, postgresql_url(cluster) as url:
            _print("PostgreSQL", _measure(below / "postgresql", url, events))
    except PostgresMissingError as error:
        print(f"  PostgreSQL: not measured, {error}")


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _print(name: str, taken_s: list[float]) -> None:
    ordered = sorted(taken_s)
    p50, p99 = statistics.median(ordered), ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    beyond = (p50 - DEBOUNCE_S) * 1000
    print(f"  {name}: p50 {p50 * 1000:.0f} ms, p99 {p99 * 1000:.0f} ms; p50 beyond the debounce {beyond:.0f} ms")


def _measure(folder: Path, database: str, events: int) -> list[float]:
    folder.mkdir()
    host = HostRoot(folder / "root")
    host.mtty(free=24)
    engine = open_engine(database, writer=True, create=True)
    schema.upgrade(engine)
    engine.dispose()
    with ExitStack() as stack:
        broker = stack.enter_context(Broker(folder / "broker"))
        wake = stack.enter_context(_running(folder, database, broker.url, host.root))
        door = stack.enter_context(query.open(broker.url))
        eventually(lambda: bool(door.hosts(NOW).hosts), "the host is known", TIMEOUT_S)
        return [_one(host, door, wake) for _ in range(events)]


@contextmanager
def _running(folder: Path, database: str, url: str, root: Path) -> Iterator[Callable[[], None]]:
    server = [program("mdevreg-server"), "serve", "--database", database, "--nats", url]
    where: list[str | Path] = ["--root", root, "--state-dir", folder / "agent"]
    agent: list[str | Path] = [program("mdevreg-agent"), "run", "--nats", url, *where]
    with Program(server, home=folder) as registry, Program([*agent, "--rescan-s", "3600"], home=folder) as watching:
        registry.wait_for("registry.ready")
        module = next((file for file in Path("/sys/module").glob("*/uevent") if os.access(file, os.W_OK)), None)

        def wake() -> None:
            if os.geteuid() == 0 and module is not None:
                module.write_text("change")
            else:
                os.kill(watching.pid, signal.SIGHUP)

        yield wake


def _one(host: HostRoot, door: query.Door, wake: Callable[[], None]) -> float:
    name = str(uuid.uuid4())
    host.create(name)
    started = time.perf_counter()
    wake()
    while not _seen(door, name):
        if time.perf_counter() - started > TIMEOUT_S:
            raise TimeoutError(f"{name} is not seen after {TIMEOUT_S:g} s")
        time.sleep(0.002)
    taken = time.perf_counter() - started
    time.sleep(0.05)
    return taken


def _seen(door: query.Door, name: str) -> bool:
    try:
        door.history(name, NOW, 1)
    except NotFoundError:
        return False
    return True
