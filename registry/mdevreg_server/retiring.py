"""Lets documents go when the policy says so, while the registry runs: in lots, beside ingest, never in a request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial
from typing import TypeVar

import sqlalchemy as sa

from mdevreg.errors import MdevregError, StateError
from mdevreg.times import micros
from mdevreg_server import pruner
from mdevreg_server.ending import in_thread
from mdevreg_server.engine import converted
from mdevreg_server.keeping import entries, unfinished
from mdevreg_server.ledger import Ledger
from mdevreg_server.pruner import Begun
from mdevreg_server.pruning import Freed

T = TypeVar("T")

#: How often the policy is looked at.
LOOK_EVERY_S = 3_600.0
#: A prune begins so long after the last one, and after the policy was set: one set by mistake can be set back.
REST_S = 86_400.0
#: Between two lots: what waits for the writer comes first.
PAUSE_S = 0.05


class Retiring:
    """Prunes by the policy. ``writer``: the ledger's thread; ``pool``: others, in which the database is read."""

    def __init__(
        self,
        ledger: Ledger,
        writer: Executor,
        reader: sa.Engine,
        pool: Executor,
        *,
        now_us: Callable[[], int],
        say: Callable[[str], None],
    ) -> None:
        self._ledger, self._writer, self._reader, self._pool = ledger, writer, reader, pool
        self._now_us, self._say = now_us, say
        self._stopping = False

    async def run(self) -> None:
        """Look again and again, until cancelled. One process at a time may do this on a database."""
        while True:
            try:
                await self._look()
            except MdevregError as error:  # the next look tries again; nothing that was begun is lost
                self._say(f"prune.waiting code={error.code} error={error.message!r}")
            await asyncio.sleep(LOOK_EVERY_S)

    async def _look(self) -> None:
        found = await self._in(self._pool, self._proposed)
        if found is None:
            return
        author = "registry, by its retention policy"
        at, prune = found
        if at == 0:
            begin = partial(pruner.begin, self._ledger, prune, author=author, now_us=self._now_us())
            at, _ = await self._in(self._writer, begin)
        self._say(f"prune.begun position={at} before={prune.before.isoformat()} horizon={prune.horizon}")
        freed = await self._prune((at, prune))
        end = partial(pruner.end, self._ledger, (at, prune), freed, author=author, now_us=self._now_us())
        await self._in(self._writer, end)
        self._say(f"prune.ended position={at} hosts={freed.hosts} bodies={freed.bodies} bytes={freed.bytes}")

    async def _prune(self, begun: Begun) -> Freed:
        hosts = await self._in(self._pool, partial(pruner.hosts_to_prune, self._reader))
        freed = Freed()
        while hosts:
            freed += await self._in(self._writer, partial(pruner.prune_lot, self._ledger, begun[1], hosts))
            await asyncio.sleep(PAUSE_S)
        return freed

    def _proposed(self) -> Begun | None:
        now_us = self._now_us()
        with converted(self._reader), self._reader.connect() as connection:
            before_us = pruner.due(connection, now_us)
            begun = unfinished(connection)
            rests = any(now_us - micros(entry.keeping.at) < REST_S * 1e6 for entry in entries(connection)[-1:])
        if begun is not None:
            return begun
        return None if before_us is None or rests else pruner.proposed(self._reader, before_us, now_us, self._pulse)

    def _pulse(self) -> None:
        if self._stopping:
            raise StateError("the registry stops; a prune that was begun goes on at its next start", code="STOPPING")

    async def _in(self, threads: Executor, work: Callable[[], T]) -> T:
        """What a thread has begun it ends, soon."""
        return await in_thread(threads, work, self._stop)

    def _stop(self) -> None:
        self._stopping = True
