"""Keeps room in a bounded MDEVREG_RECORDS: what was consumed may go, what was not is never dropped.

The broker refuses records while there is no room; agents keep them in their outboxes and come again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TYPE_CHECKING

from mdevreg.errors import MdevregError
from mdevreg_server.bus import BROKEN, make_room
from mdevreg_server.ledger import Ledger

if TYPE_CHECKING:  # only the bus speaks NATS
    from nats.aio.client import Client

LOOK_EVERY_S = 1.0


async def keep_room(client: Client, ledger: Ledger, writer: Executor, say: Callable[[str], None]) -> None:
    """Look again and again, until cancelled. ``ledger``: its right must be to everything that is consumed."""

    async def consumed(life: str) -> int:
        return await asyncio.get_running_loop().run_in_executor(writer, ledger.consumed, life)

    while True:
        await asyncio.sleep(LOOK_EVERY_S)
        try:
            removed = await make_room(client.jetstream(), consumed)
        except (*BROKEN, MdevregError):  # ingest tells of it
            continue
        if removed:
            say(f"stream.trimmed removed={removed} (consumed; the stream is bounded)")
