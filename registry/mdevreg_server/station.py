"""One partition while this process holds it: its ledger, whose folds are forgotten with it, and its line."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeVar

import msgspec
import sqlalchemy as sa

from mdevreg.clocks import DEFAULT_MAX_SKEW_US
from mdevreg_server.bus import Wanted
from mdevreg_server.ending import cancelled
from mdevreg_server.hosts import DEFAULT_CACHED_HOSTS
from mdevreg_server.ingest import Line
from mdevreg_server.ledger import Applied, Ledger
from mdevreg_server.partitions import Part
from mdevreg_server.positions import Shared
from mdevreg_server.publication import Publication

if TYPE_CHECKING:  # only the bus speaks NATS
    from nats.aio.client import Client

T = TypeVar("T")


class Listener(Protocol):
    """Who is told what stations do."""

    def applied(self, applied: Applied) -> None:
        """A batch was committed."""
        ...

    def published(self, lot: Sequence[Publication]) -> None:
        """Hosts' states were published."""
        ...


class Floor(msgspec.Struct, frozen=True):
    """What all stations of a process stand on. ``writer``: the one thread that writes. ``of``: partitions there are."""

    client: Client
    engine: sa.Engine
    writer: Executor
    of: int
    max_bytes: int | None
    now_us: Callable[[], int]
    say: Callable[[str], None]
    max_skew_us: int = DEFAULT_MAX_SKEW_US

    @property
    def wanted(self) -> Wanted:
        """How the records stream must be."""
        return Wanted(dealt=True, max_bytes=self.max_bytes)

    async def in_writer(self, work: Callable[[], T]) -> T:
        """Done in the thread that writes."""
        return await asyncio.get_running_loop().run_in_executor(self.writer, work)


class Station:
    """A partition that is held. Open it with the partition's seat held, and close it before that is given back."""

    def __init__(self, part: Part, ledger: Ledger, line: Line) -> None:
        self.part, self.ledger, self.line = part, ledger, line
        self.task: asyncio.Future[None] | None = None

    def start(self) -> None:
        """Begin to consume."""
        self.task = asyncio.ensure_future(self.line.run())

    @property
    def error(self) -> BaseException | None:
        """What ended it, if it has ended by itself."""
        ended = self.task is not None and self.task.done() and not self.task.cancelled()
        return self.task.exception() if ended and self.task else None

    async def close(self, floor: Floor, *, ours: bool) -> None:
        """End it. A commit that is on its way is waited for. ``ours``: it is still held, and left tidy."""
        if self.task is not None:
            await cancelled([self.task])
        await floor.in_writer(lambda: None)
        if ours and self.error is None:
            await self.line.settle()
        await self.line.herald.close()


async def opened(floor: Floor, part: Part, listener: Listener, admit: Callable[[str], None]) -> Station:
    """A station that does not consume yet; who held the partition before can't commit any more."""
    cached_hosts = max(DEFAULT_CACHED_HOSTS // floor.of, 500)
    making = partial(Ledger, floor.engine, cached_hosts=cached_hosts, right=Shared(part))
    ledger = await floor.in_writer(making)
    line = Line(
        floor.client,
        ledger,
        floor.writer,
        now_us=floor.now_us,
        applied=listener.applied,
        published=listener.published,
        say=floor.say,
        part=part,
        wanted=floor.wanted,
        admit=admit,
    )
    return Station(part, ledger, line)
