"""One agent's life: everything put together, from the claim on the state folder to the goodbye."""

from __future__ import annotations

import asyncio
import random
import secrets
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from mdevreg.errors import MdevregError
from mdevreg_agent.config import Settings
from mdevreg_agent.deliver import Publisher
from mdevreg_agent.heart import Heart
from mdevreg_agent.identity import claimed, default_state_dir, host_id_of, machine_id_of
from mdevreg_agent.journal import Journal
from mdevreg_agent.link import Address, Link, check_creds
from mdevreg_agent.monitor import Monitor
from mdevreg_agent.outbox import Outbox, open_outbox
from mdevreg_agent.picture import Picture
from mdevreg_agent.receipts import Receipts, Resyncs
from mdevreg_agent.reconcile import Reconciler
from mdevreg_agent.recorder import Limits, Recorder
from mdevreg_agent.sysfs import read_picture
from mdevreg_agent.wake import Wake
from mdevreg_agent.worker import Worker

#: Between two attempts at an attribute that may not be there yet (the ``mdev_type`` link after ``add``).
READ_RETRY_S = 0.02


async def live(settings: Settings, *, environ: Mapping[str, str], journal: Journal) -> None:
    """Watch, record and publish until SIGTERM or SIGINT; SIGHUP looks again at once.

    Raises ``StateError``, ``AuthError`` or ``MissingExtraError`` for what keeps it from starting.
    """
    check_creds(settings.creds)
    state_dir = Path(settings.state_dir) if settings.state_dir else default_state_dir(environ)
    with claimed(state_dir):
        host = settings.host_id or host_id_of(
            state_dir, machine_id=machine_id_of(Path(settings.root)), keep=settings.keep_host_id
        )
        async with AsyncExitStack() as stack:
            worker = Worker()
            stack.callback(worker.close)
            outbox, moved = await worker.do(open_outbox, state_dir, host=host, new_epoch=new_epoch)
            stack.push_async_callback(worker.do, outbox.close)
            if moved:
                journal.warn("outbox.moved_aside", error=moved)
            await _Agent(settings, host, outbox, worker, journal).run()


def new_epoch() -> str:
    """A token for one life of an outbox: when it began (hex of Unix milliseconds), and chance."""
    return f"{time.time_ns() // 1_000_000:012x}-{secrets.token_hex(4)}"


class _Agent:
    """The stations of one agent, wired to each other."""

    def __init__(self, settings: Settings, host: str, outbox: Outbox, worker: Worker, journal: Journal) -> None:
        clock, chance = asyncio.get_running_loop().time, random.SystemRandom()
        self.settings, self.host, self.outbox, self.worker, self.journal = settings, host, outbox, worker, journal
        self.stopping = threading.Event()
        self.wake = Wake(quiet_s=settings.debounce_s, most_s=settings.max_debounce_s, clock=clock)
        limits = Limits(records=settings.max_unsent, max_bytes=settings.max_unsent_bytes)
        recorder = Recorder(outbox, limits=limits, new_epoch=new_epoch)
        address = Address(url=settings.nats, client=host, creds=settings.creds, host=host)
        self.link = Link(address, chance=chance, on_change=self._link_changed)
        self.publisher = Publisher(
            outbox=outbox,
            worker=worker,
            link=self.link,
            journal=journal,
            chance=chance,
            clock=clock,
            retransmit_s=settings.retransmit_s,
        )
        self.reconciler = Reconciler(
            look=self._look,
            recorder=recorder,
            worker=worker,
            wake=self.wake,
            journal=journal,
            now=lambda: datetime.now(UTC),
            chance=chance,
            written=self.publisher.wake,
        )
        self.resyncs = Resyncs(start=self.reconciler.resync, chance=chance, clock=clock)
        self.receipts = Receipts(
            link=self.link,
            recorder=recorder,
            worker=worker,
            resyncs=self.resyncs,
            journal=journal,
            settled=self.publisher.received,
        )
        self.heart = Heart(
            outbox=outbox,
            worker=worker,
            link=self.link,
            journal=journal,
            chance=chance,
            period_s=settings.beat_s,
            foreign_epoch=lambda: self.receipts.foreign_epoch,
        )

    async def run(self) -> None:
        """Live until told to stop; then say goodbye."""
        stop = asyncio.Event()
        with _signals(stop, self.wake), self._watching():
            standing = await self.worker.do(self.outbox.standing)
            self.journal.say("agent.started", host=self.host, epoch=standing.epoch, seq=standing.last_seq)
            try:
                await self._until(stop)
            finally:
                self.stopping.set()
                self.resyncs.cancel()
                await self.heart.beat(leaving=True)
                await self.link.close()
            self.journal.say("agent.stopped", host=self.host)

    async def _until(self, stop: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as group:
            stations = (
                self.link.keep(),
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
        )

    def _pause(self) -> None:
        self.stopping.wait(READ_RETRY_S)

    @contextmanager
    def _watching(self) -> Iterator[None]:
        """The kernel's events, read on the loop's thread: libudev objects belong to one thread."""
        monitor = Monitor(source=self.settings.source, receive_buffer_bytes=self.settings.receive_buffer_bytes)
        loop = asyncio.get_running_loop()

        def readable() -> None:
            for hint in monitor.read():
                self.wake.hint(hint)

        loop.add_reader(monitor.fileno(), readable)
        try:
            yield
        finally:
            loop.remove_reader(monitor.fileno())
            monitor.close()

    def _link_changed(self, error: MdevregError | None) -> None:
        if error is None:
            self.journal.say("link.up", nats=self.settings.nats)
        else:
            self.journal.warn("link.failed", code=error.code, error=error)


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
