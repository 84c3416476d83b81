"""Puts questions to a door: in a thread where it blocks, here where the answer is in memory. Bounded in time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeVar

from mdevreg.errors import NotFoundError, UnreachableError
from mdevreg.query.door import Door
from mdevreg.query.requests import Ask
from mdevreg_server.answers import NearbyDoor, door_for

T = TypeVar("T")

#: Questions in the pool at the same time; the rest waits here, so that NATS' questions get their turn.
CONCURRENT = 8


#: What is asked: a door and the request in, the answer as it goes out.
Work = Callable[[Door, Ask], T]


class Asker:
    """Where questions of the HTTP face go. ``near``: a door to a fleet in this process, if there is one."""

    def __init__(self, door: Door, pool: Executor, *, timeout_s: float, near: NearbyDoor | None = None) -> None:
        self._door, self._pool, self._near, self._timeout_s = door, pool, near, timeout_s
        self._free = asyncio.Semaphore(CONCURRENT)

    async def ask(self, endpoint: str, ask: Ask, work: Work[T]) -> T:
        """Do the work of a question with the door that answers it best (``answers.door_for``).

        A fleet in memory is asked inline, what blocks is asked in the pool. Raises what is raised there, and
        ``UnreachableError`` (TIMEOUT).
        """
        door, at_once = door_for(endpoint, ask, self._door, self._near)
        try:
            return work(door, ask) if at_once else await self.apart(partial(work, door, ask))
        except NotFoundError as error:  # the nearest names take their time to be found
            raise await self.apart(error.completed) from error

    def blocks(self, endpoint: str, ask: Ask) -> bool:
        """Whether the database answers."""
        return door_for(endpoint, ask, self._door, self._near)[0] is self._door

    async def apart(self, work: Callable[[], T]) -> T:
        """Do what blocks, in the pool. Raises ``UnreachableError`` (TIMEOUT): it goes on, but nobody waits for it."""
        async with self.within():
            await self._free.acquire()
            running = asyncio.get_running_loop().run_in_executor(self._pool, work)
            running.add_done_callback(self._ended)
            return await asyncio.shield(running)

    @asynccontextmanager
    async def within(self) -> AsyncIterator[None]:
        """A whole question, in its time. Raises ``UnreachableError`` (TIMEOUT)."""
        try:
            async with asyncio.timeout(self._timeout_s):
                yield
        except TimeoutError as error:
            text = f"no answer within {self._timeout_s:g} s; ask again later, or for less"
            raise UnreachableError(text, code="TIMEOUT") from error

    def _ended(self, running: asyncio.Future[Any]) -> None:
        self._free.release()
        if not running.cancelled():
            running.exception()  # who asked may have given up: then nobody else looks at it
