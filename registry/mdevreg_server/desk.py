"""The ledger's one thread, as the event loop uses it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import TypeVar

from mdevreg_server.ledger import Ledger
from mdevreg_server.publication import Publication

T = TypeVar("T")


class Desk:
    """Does things with the ledger, in its own thread, one after the other."""

    def __init__(self, ledger: Ledger, writer: Executor) -> None:
        self._ledger, self._writer = ledger, writer

    async def do(self, work: Callable[[Ledger], T]) -> T:
        """The result of ``work``. Raises what it raises."""
        return await asyncio.get_running_loop().run_in_executor(self._writer, work, self._ledger)

    async def publications(self, hosts: Sequence[str]) -> tuple[Publication, ...]:
        """The present state of these hosts, in log order."""
        return await self.do(lambda ledger: ledger.publications(hosts))
