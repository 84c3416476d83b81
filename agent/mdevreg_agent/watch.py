"""Hints from the monitor to the wake, on the loop's thread: libudev objects belong to one thread."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Protocol

from mdevreg.errors import StateError
from mdevreg_agent.hints import OVERRUN, Hint
from mdevreg_agent.journal import Journal
from mdevreg_agent.pace import Backoff
from mdevreg_agent.wake import Wake


class Source(Protocol):
    """Where hints come from: ``monitor.Monitor``."""

    def fileno(self) -> int:
        """What to poll for reading."""
        ...

    def read(self) -> list[Hint]:
        """What is readable now. Raises ``StateError`` when the source is broken for good."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class Watch:
    """Feeds ``wake`` for ever; a source that breaks is opened anew, and counts as an overrun."""

    def __init__(
        self, *, open_source: Callable[[], Source], wake: Wake, journal: Journal, chance: random.Random
    ) -> None:
        """Open the source at once, so that what can't be watched keeps the agent from starting (``StateError``)."""
        self._open_source, self._wake, self._journal = open_source, wake, journal
        self._backoff = Backoff(first_s=1.0, most_s=60.0, chance=chance)
        self._source: Source | None = open_source()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                self._source = self._source or self._open_source()
                await self._follow(self._source)
            except StateError as error:
                self._journal.warn("monitor.failed", code=error.code, error=error)
            finally:
                self.close()
            await asyncio.sleep(self._backoff.pause())
            self._wake.hint(OVERRUN)

    def close(self) -> None:
        """Stop listening."""
        if self._source is not None:
            self._source.close()
            self._source = None

    async def _follow(self, source: Source) -> None:
        """Hand on what is readable whenever something is. Raises what ``read`` raised."""
        loop = asyncio.get_running_loop()
        broken: asyncio.Future[None] = loop.create_future()

        def readable() -> None:
            try:
                for hint in source.read():
                    self._wake.hint(hint)
            except StateError as error:
                loop.remove_reader(source.fileno())  # it would stay readable, and be called for ever
                broken.set_exception(error)

        loop.add_reader(source.fileno(), readable)
        try:
            await broken
        finally:
            loop.remove_reader(source.fileno())
