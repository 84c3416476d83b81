"""Runs the HTTP face beside the registry. What the extra [http] brings is imported here, when there is to be a face."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from mdevreg_server.ending import cancelled
from mdevreg_server.http.behind import Behind
from mdevreg_server.http.config import HttpConfig


@asynccontextmanager
async def facing(
    config: HttpConfig | None,
    listening: socket.socket | None,
    behind: Behind,
    say: Callable[[str], None],
    stop: asyncio.Event,
) -> AsyncIterator[None]:
    """The face at work meanwhile, if there is to be one.

    If it ends by itself, ``stop`` is set, and its error raised at the end.
    """
    if config is None or listening is None:
        yield
        return
    from mdevreg_server.http.face import Face

    working = asyncio.ensure_future(Face(config, listening, behind, say).run())
    working.add_done_callback(lambda _: stop.set())
    try:
        yield
    finally:
        await cancelled([working])
    if not working.cancelled():
        working.result()
