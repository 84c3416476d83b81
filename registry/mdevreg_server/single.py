"""One registry on a database: ingest and pulse, which tell each other what was applied and published."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Protocol

from mdevreg.clocks import DEFAULT_MAX_SKEW_US
from mdevreg_server.bus import AS_IT_IS, Wanted
from mdevreg_server.ending import cancelled
from mdevreg_server.ingest import Line
from mdevreg_server.ledger import Amended, Applied, Ledger
from mdevreg_server.publication import Publication
from mdevreg_server.pulse import Pulse
from mdevreg_server.room import keep_room

if TYPE_CHECKING:  # only the bus speaks NATS
    from nats.aio.client import Client

#: How long the reply to a decision waits for the broker to have it.
ANNOUNCED_WITHIN_S = 2.0


class Part(Protocol):
    """What runs beside them."""

    async def run(self) -> None:
        """Until it is cancelled."""
        ...


class Single:
    """Ingest and pulse, which tell each other what was applied and published. ``apart``: what runs beside them."""

    def __init__(
        self,
        client: Client,
        ledger: Ledger,
        writer: ThreadPoolExecutor,
        apart: Sequence[Part],
        *,
        applied: Callable[[Applied], None],
        say: Callable[[str], None],
        now_us: Callable[[], int],
        wanted: Wanted = AS_IT_IS,
        max_skew_us: int = DEFAULT_MAX_SKEW_US,
    ) -> None:
        self._applied, self._apart = applied, apart
        self._room = partial(keep_room, client, ledger, writer, say)
        self.line = Line(
            client,
            ledger,
            writer,
            now_us=now_us,
            applied=self._on_applied,
            published=self._on_published,
            say=say,
            wanted=wanted,
        )
        self._loop, herald = asyncio.get_running_loop(), self.line.herald
        self.publish = herald.publish
        self.pulse = Pulse(
            ledger.engine,
            writer,
            now_us=now_us,
            publish=self.publish,
            say=say,
            written=herald.roll.heard,
            catch_up=herald.catch_up,
            max_skew_us=max_skew_us,
        )

    async def run(self, ready: Callable[[], None], stop: asyncio.Event) -> None:
        """Until ``stop`` is set, or a part of it ends with an error."""
        lines = (self.line.run(), self.line.herald.run())
        apart = (each.run() for each in self._apart)
        parts = [asyncio.ensure_future(part) for part in (*lines, self.pulse.run(), *apart, self._room(), stop.wait())]
        attached = asyncio.ensure_future(self._announce(ready))
        await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
        await cancelled((*parts, attached))  # before the connection closes
        ended = await asyncio.gather(*parts, attached, return_exceptions=True)
        await self.pulse.flush()
        await self.line.settle()
        for error in ended:
            if isinstance(error, Exception):
                raise error

    def committed(self, amended: Amended) -> None:
        """An amendment is in the log: it is to be published. Called by whichever thread wrote it."""
        self.line.herald.committed(amended)

    def announced(self) -> None:
        """Wait until what was decided is published, but not for long; called by whichever thread decided."""
        told = asyncio.run_coroutine_threadsafe(self.line.herald.told(ANNOUNCED_WITHIN_S), self._loop)
        with suppress(TimeoutError, CancelledError):
            told.result(ANNOUNCED_WITHIN_S + 1)

    async def _announce(self, ready: Callable[[], None]) -> None:
        await self.line.attached.wait()
        ready()

    def _on_applied(self, applied: Applied) -> None:
        self.pulse.reported({decoded.record.host for decoded in applied.records})
        self._applied(applied)

    def _on_published(self, lot: Sequence[Publication]) -> None:
        self.pulse.told(lot)
