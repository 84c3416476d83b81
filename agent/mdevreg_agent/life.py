"""One agent's life: everything put together, from the claim on the state folder to the goodbye."""

from __future__ import annotations

import asyncio
import random
import secrets
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack, closing, contextmanager
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path

from mdevreg.errors import MdevregError
from mdevreg_agent.additions import Additions, additions_of
from mdevreg_agent.config import Settings
from mdevreg_agent.deliver import Publisher
from mdevreg_agent.heart import Heart
from mdevreg_agent.identity import claimed, default_state_dir, host_id_of, machine_id_of
from mdevreg_agent.journal import Journal
from mdevreg_agent.link import Address, Link, check_creds
from mdevreg_agent.means import Means
from mdevreg_agent.monitor import Monitor
from mdevreg_agent.outbox import Outbox, open_outbox
from mdevreg_agent.picture import Picture
from mdevreg_agent.plugin_user import hide_memory
from mdevreg_agent.receipts import Receipts
from mdevreg_agent.reconcile import Reconciler
from mdevreg_agent.recorder import Limits, Recorder
from mdevreg_agent.sysfs import read_picture
from mdevreg_agent.wake import Wake
from mdevreg_agent.watch import Watch
from mdevreg_agent.worker import Worker

#: Between two attempts at an attribute that may not be there yet (the ``mdev_type`` link after ``add``).
READ_RETRY_S = 0.02


async def live(settings: Settings, *, environ: Mapping[str, str], journal: Journal) -> None:
    """Watch, record and publish until SIGTERM or SIGINT; SIGHUP looks again at once.

    Raises ``StateError``, ``AuthError`` or ``MissingExtraError`` for what keeps it from starting.
    """
    check_creds(settings.creds)
    hide_memory()
    stopping = threading.Event()
    additions = additions_of(settings, clock=time.monotonic, stopped=stopping.is_set)
    state_dir = Path(settings.state_dir) if settings.state_dir else default_state_dir(environ)
    with claimed(state_dir):
        host = settings.host_id or host_id_of(
            state_dir, machine_id=machine_id_of(Path(settings.root)), keep=settings.keep_host_id
        )
        async with AsyncExitStack() as stack:
            stack.callback(additions.close)
            worker = Worker()
            stack.callback(worker.close)
            outbox, moved = await worker.do(open_outbox, state_dir, host=host, new_epoch=new_epoch)
            stack.push_async_callback(worker.do, outbox.close)
            if moved:
                journal.warn("outbox.moved_aside", error=moved)
            looker = Worker()
            stack.callback(looker.close)
            means = _means(settings, host, outbox, (looker, worker), journal)
            await _Agent(settings, means, additions, stopping).run()


def new_epoch() -> str:
    """A token for one life of an outbox: when it began (hex of Unix milliseconds), and chance."""
    return f"{time.time_ns() // 1_000_000:012x}-{secrets.token_hex(4)}"


class _Agent:
    """The stations of one agent, wired to each other."""

    def __init__(self, settings: Settings, means: Means, additions: Additions, stopping: threading.Event) -> None:
        self.settings, self.means = settings, means
        self.additions, self.stopping = additions, stopping
        self.wake = Wake(quiet_s=settings.debounce_s, most_s=settings.max_debounce_s, clock=means.clock)
        self.publisher = Publisher(means, retransmit_s=settings.retransmit_s)
        self.reconciler = Reconciler(means, look=self._look, wake=self.wake, written=self.publisher.wake)
        self.receipts = Receipts(means, resync=self.reconciler.resync, settled=self.publisher.received)
        self.heart = Heart(means, period_s=settings.beat_s, foreign_epoch=lambda: self.receipts.foreign_epoch)

    async def run(self) -> None:
        """Live until told to stop; then say goodbye."""
        stop = asyncio.Event()
        with _signals(stop, self.wake), closing(self._watch()) as watch:
            await self._say_hello()
            try:
                await self._until(stop, watch)
            finally:
                self.stopping.set()
                await self.heart.beat(leaving=True)
                await self.means.link.close()
            self.means.journal.say("agent.stopped")

    async def _say_hello(self) -> None:
        now = await self.means.worker.do(self.means.recorder.outbox.standing)
        self.means.journal.say("agent.started", host=now.host, epoch=now.epoch, seq=now.last_seq, unsent=now.unsent)

    async def _until(self, stop: asyncio.Event, watch: Watch) -> None:
        async with asyncio.TaskGroup() as group:
            stations = (
                watch.run(),
                self.means.link.keep(),
                self.receipts.run(),
                self.receipts.fetch(),
                self.publisher.run(),
                self.publisher.retransmit(),
                self.heart.run(),
                self.reconciler.run(),
                self.reconciler.rescan(self.settings.rescan_s),
            )
            tasks = [group.create_task(station) for station in stations]
            await stop.wait()
            self.stopping.set()
            for task in tasks:  # awaited by the group, before the link is closed under them
                task.cancel()

    def _look(self, previous: Picture | None) -> Picture:
        return read_picture(
            Path(self.settings.root),
            site=self.settings.site,
            agent_version=version("mdevreg"),
            previous=previous,
            wait=self._pause,
            add=self.additions.added,
        )

    def _pause(self) -> None:
        self.stopping.wait(READ_RETRY_S)

    def _watch(self) -> Watch:
        means = self.means
        return Watch(open_source=self._monitor, wake=self.wake, journal=means.journal, chance=means.chance)

    def _monitor(self) -> Monitor:
        return Monitor(source=self.settings.source, receive_buffer_bytes=self.settings.receive_buffer_bytes)


def _means(settings: Settings, host: str, outbox: Outbox, workers: tuple[Worker, Worker], journal: Journal) -> Means:
    chance = random.SystemRandom()
    limits = Limits(records=settings.max_unsent, max_bytes=settings.max_unsent_bytes)
    address = Address(url=settings.nats, client=host, creds=settings.creds, host=host)
    return Means(
        looker=workers[0],
        worker=workers[1],
        recorder=Recorder(outbox, limits=limits, new_epoch=new_epoch),
        link=Link(address, chance=chance, on_change=partial(_tell_of_the_link, address.shown, journal)),
        journal=journal,
        chance=chance,
        clock=asyncio.get_running_loop().time,
        now=lambda: datetime.now(UTC),
    )


def _tell_of_the_link(nats: str, journal: Journal, error: MdevregError | None) -> None:
    if error is None:
        journal.say("link.up", nats=nats)
    else:
        journal.warn("link.failed", code=error.code, error=error)


@contextmanager
def _signals(stop: asyncio.Event, wake: Wake) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGINT, stop.set)
    loop.add_signal_handler(signal.SIGHUP, wake.poke, "operator")
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.remove_signal_handler(number)
