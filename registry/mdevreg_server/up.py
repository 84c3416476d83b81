"""`up`: broker, registry and agent on one machine, for a first look. Starting again keeps the history.

Children run in sessions of their own: Ctrl-C reaches this process alone, which then ends them in order, so that
the agent's goodbye still finds a broker.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec

from mdevreg.errors import StateError
from mdevreg.facts import NOW, HostView
from mdevreg_server import schema
from mdevreg_server.audit.files import make_key, own_name
from mdevreg_server.audit.keeper import AuditConfig
from mdevreg_server.broker import Broker
from mdevreg_server.children import Child
from mdevreg_server.engine import open_engine
from mdevreg_server.http.config import HttpConfig
from mdevreg_server.lines import Lines
from mdevreg_server.serve import ServeConfig, serve, stop_on_signals
from mdevreg_server.sql_door import SqlDoor

Say = Callable[[str], None]

#: How long `up` waits for the first host before it names commands all the same.
KNOWN_WITHIN_S = 15.0
TRY_EVERY_S = 20.0
#: How many hosts are looked at for a command that shows something.
LOOKED_AT = 20


class UpConfig(msgspec.Struct, frozen=True):
    """What `up` was asked for."""

    state: Path
    port: int = 4222
    demo_hosts: int | None = None
    seed: int = 1
    agent: bool = True
    url_file: Path | None = None  # where `mdevreg` looks for the broker's URL; None: it is not told there
    catalog: str | None = None  # the operators' folder of catalog files
    http: HttpConfig | None = None  # the HTTP face, if there is to be one


def run_up(config: UpConfig, say: Say) -> None:
    """Run until Ctrl-C. Raises ``StateError``: a second copy, a taken port, a folder that can't be written."""
    with ExitStack() as stack:
        stack.enter_context(_locked(config.state))
        database = f"sqlite:///{config.state / 'registry.sqlite3'}"
        engine = open_engine(database, writer=True, create=True)
        schema.upgrade(engine)
        engine.dispose()
        broker = stack.enter_context(Broker(config.state / "broker", port=config.port, sync_interval="always"))
        if config.url_file is not None:
            stack.enter_context(_told(config.url_file, broker.url))
        asyncio.run(_serve(config, database, broker.url, say))
        say("stopped; the history is kept")


@contextmanager
def _locked(state: Path) -> Iterator[None]:
    """One copy per state folder, for as long as this process lives."""
    try:
        state.mkdir(parents=True, exist_ok=True, mode=0o750)
        lock = os.open(state / "up.lock", os.O_RDWR | os.O_CREAT, 0o640)
    except OSError as error:
        text = f"can't keep anything in {state}: {error.strerror}; make it writable, or choose another with --state-dir"
        raise StateError(text, code="STATE_FOLDER") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        other = os.read(lock, 32).decode(errors="replace").strip() or "?"
        os.close(lock)
        text = f"another copy (pid {other}) uses {state}; stop it, or choose another folder with --state-dir"
        raise StateError(text, code="SECOND_COPY") from error
    try:
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(lock)


@contextmanager
def _told(file: Path, url: str) -> Iterator[None]:
    """Where the broker listens, for the command line's default."""
    file.write_text(url + "\n")
    try:
        yield
    finally:
        if file.exists() and file.read_text() == url + "\n":  # not another copy's by now
            file.unlink()


async def _serve(config: UpConfig, database: str, url: str, say: Say) -> None:
    stop = asyncio.Event()
    stop_on_signals(stop)
    children: list[Child] = []
    tasks: set[asyncio.Task[None]] = set()

    def ready() -> None:
        say(f"mdevreg is up: {url}, history in {config.state / 'registry.sqlite3'}; Ctrl-C ends it")
        tasks.add(asyncio.ensure_future(_started(config, database, url, children, say)))

    ending, lines = asyncio.Event(), Lines(say)
    serving = asyncio.ensure_future(
        serve(
            ServeConfig(database, url, catalog=config.catalog, http=config.http, audit=_audit(config.state)),
            say=_quiet(say),
            applied=lines.applied,
            amended=lines.amended,
            ready=ready,
            stop=ending,
        )
    )
    waiting = asyncio.ensure_future(stop.wait())
    await asyncio.wait((serving, waiting), return_when=asyncio.FIRST_COMPLETED)
    for task in (waiting, *tasks):
        task.cancel()
    await asyncio.gather(waiting, *tasks, return_exceptions=True)
    for child in children:
        await child.stop()
    ending.set()
    await serving


async def _started(config: UpConfig, database: str, url: str, children: list[Child], say: Say) -> None:
    """Start the agents, and once something is known name three commands that show it."""
    agent = [sys.executable, "-m", "mdevreg_agent"]
    if config.agent:
        state = str(config.state / "agent")
        children.append(
            await Child.start("agent", [*agent, "run", "--nats", url, "--state-dir", state, "--quiet"], say)
        )
    if config.demo_hosts is not None:
        fleet = ["simulate", "--hosts", str(config.demo_hosts), "--scenario", "demo", "--seed", str(config.seed)]
        children.append(await Child.start("fleet", [*agent, *fleet, "--quiet", "--nats", url], say))
    await asyncio.sleep(3.0 if config.demo_hosts else 0.5)
    if children:
        await _somebody(database)
    while True:
        say(await asyncio.to_thread(_try, config, database, url))
        if config.demo_hosts is None:
            return
        await asyncio.sleep(TRY_EVERY_S)  # a living fleet's lines push it off the screen


def _audit(state: Path) -> AuditConfig:
    """A key of this folder's own, made at the first start, and its checkpoints beside the history."""
    key = state / "audit.key"
    if not key.exists():
        make_key(key, own_name())
    return AuditConfig(key=key, folder=state / "checkpoints")


async def _somebody(database: str) -> None:
    """Wait until a host is known: a slow machine's agent takes its time."""
    with SqlDoor(open_engine(database, writer=False)) as door:
        for _ in range(int(KNOWN_WITHIN_S / 0.2)):
            if (await asyncio.to_thread(door.hosts, NOW)).hosts:
                return
            await asyncio.sleep(0.2)


def _try(config: UpConfig, database: str, url: str) -> str:
    """Three commands that answer something now."""
    command = f"{sys.argv[0].removesuffix('-server')}"
    if config.url_file is None:
        command += f" --url {url}"
    with SqlDoor(open_engine(database, writer=False)) as door:
        views = [door.host(host.evidence.host, NOW) for host in door.hosts(NOW).hosts[:LOOKED_AT]]
    offer = _telling(views)
    name = offer.partition("/")[0] if offer else next((view.evidence.hostname for view in views), "HOST")
    third = f"{command} targets {offer}" if offer else f"{command} drivers"
    hint = "" if offer else "\nno mediated devices here; to see a fleet that has some: make demo"
    return f"try:\n  {command} hosts\n  {command} show {name}\n  {third}{hint}"


def _telling(views: Sequence[HostView]) -> str | None:
    """An offer as HOST/PARENT/TYPE: one whose driver states a stream version, if there is any; there is more to see."""
    offers = {
        f"{view.evidence.hostname}/{parent.name}/{kind.id}": kind.migration_stream_version is not None
        for view in views
        for parent in view.parents
        for kind in parent.types
    }
    return max(offers, key=lambda name: offers[name], default=None)


def _quiet(say: Say) -> Say:
    """Only what a newcomer must know: troubles, not routine."""

    def tell(line: str) -> None:
        if not line.startswith(("ingest.attached", "broker.", "catalog.changed", "rule.", "audit.checkpoint")):
            say(line)

    return tell
