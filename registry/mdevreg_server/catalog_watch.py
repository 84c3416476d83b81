"""Keeps what the registry believes at what it ships and at the operators' folder, which is watched.

A folder is looked at every few seconds; a change is in force at the next question. While a file is faulty nothing is
removed: what was believed stays, the file lies in quarantine with its faults, and the log says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path
from typing import TypeVar

from mdevreg.catalog import Entry
from mdevreg.catalog_folder import Reading, Refused, Stamp, faults, read_files, stamp_of
from mdevreg.errors import MdevregError
from mdevreg.texts import printable
from mdevreg_server import quarantine
from mdevreg_server.engine import converted
from mdevreg_server.ledger import Ledger
from mdevreg_server.messages import Message
from mdevreg_server.quarantine import Refusal
from mdevreg_server.rulebook import Rulebook, Told

T = TypeVar("T")

LOOK_EVERY_S = 2.0
#: Subject of a file in quarantine: ``catalog.<file>``.
SUBJECT = "catalog"


class CatalogWatch:
    """The catalog of one registry. ``folder`` None: only what is shipped. ``told``: each change that was written."""

    def __init__(
        self,
        ledger: Ledger,
        writer: Executor,
        folder: Path | None,
        *,
        now_us: Callable[[], int],
        say: Callable[[str], None],
        told: Told = lambda _: None,
    ) -> None:
        self._ledger, self._writer, self._folder = ledger, writer, folder
        self._now_us, self._say, self._told = now_us, say, told
        self._stamp: Stamp | None = None
        self._trouble = ""

    async def ship(self, entries: tuple[Entry, ...], version: str) -> None:
        """Believe what this program ships. What an older one shipped stays in the history."""
        await self._in_writer(lambda: self._book().set_entries("shipped", entries, author=f"mdevreg {version}"))

    async def run(self) -> None:
        """Look at the folder again and again."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            if self._folder is not None:
                await self._patiently(self._folder)

    async def look(self) -> None:
        """Look once. Raises ``StateError`` if there is no such folder."""
        if self._folder is not None:
            await self._look(self._folder)
            return
        kept = await self._in_writer(lambda: len(self._ledger.knowledge().entries["folder"]))
        if kept:
            self._say(
                f"catalog.unwatched entries={kept} (of a folder; they are believed on, an empty one removes them)"
            )

    async def _patiently(self, folder: Path) -> None:
        """A folder that is away for a moment, or a database that is busy, must not end the registry."""
        try:
            await self._look(folder)
        except MdevregError as error:
            if error.message != self._trouble:
                self._say(f"catalog.waiting code={error.code} error={error.message!r}")
            self._trouble = error.message
            return
        if self._trouble:
            self._say("catalog.recovered")
        self._trouble = ""

    async def _look(self, folder: Path) -> None:
        stamp = await asyncio.to_thread(stamp_of, folder)
        if stamp == self._stamp:
            return
        reading = await asyncio.to_thread(read_files, [folder])
        await self._in_writer(lambda: self._believe(reading))
        self._stamp = stamp
        for fault in faults(reading):
            self._say(f"catalog.refused {fault}")

    def _believe(self, reading: Reading) -> None:
        self._keep_refused(reading.refused)  # first: who sees the entries sees what was refused beside them
        book, author = self._book(), f"folder {printable(str(self._folder))}"
        if reading.refused:
            book.put_entries("folder", reading.entries, author=author)
        else:
            book.set_entries("folder", reading.entries, author=author)

    def _keep_refused(self, refused: tuple[Refused, ...]) -> None:
        now_us = self._now_us()
        items = [
            Refusal(Message(f"{SUBJECT}.{each.file}", each.data, 0, now_us), each.error.code, each.error.message)
            for each in refused
        ]
        with converted(self._ledger.engine), self._ledger.engine.begin() as connection:
            quarantine.keep_files(connection, SUBJECT, items, now_us)

    def _book(self) -> Rulebook:
        return Rulebook(self._ledger, self._now_us(), self._told)

    async def _in_writer(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._writer, work)
