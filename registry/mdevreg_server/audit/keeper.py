"""Keeps the tree up with the log while a registry runs, and has it vouched for by checkpoints that leave the machine.

With several registries on a database only the leading one does this. A fault here never stops ingest: it is said,
and tried again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from functools import partial
from pathlib import Path
from typing import TypeVar

import msgspec
import sqlalchemy as sa

from mdevreg.audit.notes import read_checkpoint, read_note
from mdevreg.errors import MdevregError
from mdevreg.signing import SigningKey
from mdevreg_server.audit.checkpoints import issue, newest_note
from mdevreg_server.audit.files import CheckpointFolder, load_key
from mdevreg_server.audit.tree import LOT, integrate
from mdevreg_server.engine import converted

T = TypeVar("T")

DEFAULT_EVERY_S = 60.0
LOOK_EVERY_S = 1.0
#: After a fault.
AGAIN_AFTER_S = 10.0


class AuditConfig(msgspec.Struct, frozen=True):
    """Who signs, where checkpoints go, and how often, if the log has grown. Without a key nothing is signed."""

    key: Path | None = None
    folder: Path | None = None
    every_s: float = DEFAULT_EVERY_S


class Keeper:
    """One registry's. ``writer``: the one thread that writes; ``publish``: hands a checkpoint to the broker."""

    def __init__(
        self,
        engine: sa.Engine,
        writer: Executor,
        config: AuditConfig,
        *,
        publish: Callable[[bytes], Awaitable[None]],
        now_us: Callable[[], int],
        say: Callable[[str], None],
    ) -> None:
        self._engine, self._writer, self._config = engine, writer, config
        self._publish, self._now_us, self._say = publish, now_us, say
        self._key: SigningKey | None = load_key(config.key) if config.key else None
        self._folder = CheckpointFolder(config.folder) if config.folder else None
        if self._folder is not None:
            self._folder.prepare()
        self._fault = ""
        self._last = b""

    async def run(self) -> None:
        """Until cancelled; the last checkpoint is signed then."""
        try:
            await self._guarded(self._again)
            await self._keep()
        finally:
            await self._guarded(self._whole)

    async def _keep(self) -> None:
        due = time.monotonic() + self._config.every_s
        while True:
            more = await self._guarded(self._lot)
            if time.monotonic() >= due:
                await self._guarded(self._checkpoint)
                due = time.monotonic() + self._config.every_s
            await asyncio.sleep(AGAIN_AFTER_S if self._fault else 0 if more else LOOK_EVERY_S)

    async def _whole(self) -> bool:
        """Everything that is logged, and a checkpoint of it."""
        while await self._lot():
            pass
        return await self._checkpoint()

    async def _lot(self) -> bool:
        """Integrate some; whether there may be more."""
        return await self._in_writer(partial(integrate, self._engine)) == LOT

    async def _checkpoint(self) -> bool:
        if self._key is None:
            return False
        work = partial(issue, self._engine, self._key, self._folder, now_us=self._now_us())
        note = await self._in_writer(work)
        if note is None:
            if self._last:  # whoever listens only now hears it within one period
                await self._publish(self._last)
            return False
        await self._leave(note)
        self._say(f"audit.checkpoint size={read_checkpoint(read_note(note.encode())).size}")
        return True

    async def _again(self) -> bool:
        """What was signed before this start may not have left."""
        note = await self._in_writer(self._newest)
        if note is not None and self._key is not None:
            await self._leave(note)
        return note is not None

    async def _leave(self, note: str) -> None:
        self._last = note.encode()
        await self._publish(self._last)
        if self._folder is not None:
            await self._in_writer(partial(self._folder.write, note))

    def _newest(self) -> str | None:
        with converted(self._engine), self._engine.connect() as connection:
            return newest_note(connection)

    async def _guarded(self, work: Callable[[], Awaitable[bool]]) -> bool:
        try:
            done = await work()
        except MdevregError as error:
            if self._fault != error.message:
                self._say(f"audit.failed code={error.code} error={error.message!r}")
            self._fault = error.message
            return False
        self._fault = ""
        return done

    async def _in_writer(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._writer, work)
