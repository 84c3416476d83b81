"""uvicorn as a part of the registry: in its event loop, on a socket of ours, leaving signals alone."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from litestar.types import ASGIApp

#: Requests at the same time; more are told 503.
MOST_AT_ONCE = 1_000
#: A cursor in a URL may be 24,000 characters.
MAX_HEAD_BYTES = 64 * 1024
#: How long an idle connection is kept: longer than clients of ours keep theirs (``mdevreg.query.http_link``).
KEPT_S = 75
#: How long answers on their way may take when the registry ends.
GRACE_S = 2


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """The registry has its own handlers, and ends in order."""
        yield


class Serving:
    """An application on a listening socket."""

    def __init__(self, app: ASGIApp, listening: socket.socket) -> None:
        config = uvicorn.Config(
            app,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            ws="none",
            limit_concurrency=MOST_AT_ONCE,
            h11_max_incomplete_event_size=MAX_HEAD_BYTES,
            timeout_keep_alive=KEPT_S,
            timeout_graceful_shutdown=GRACE_S,
        )
        self._server, self._listening = _Server(config), listening

    async def run(self) -> None:
        """Serve until cancelled; then let answers that are on their way leave."""
        serving = asyncio.ensure_future(self._server.serve(sockets=[self._listening]))
        try:
            await asyncio.shield(serving)
        finally:
            self._server.should_exit = True
            await asyncio.wait({serving}, timeout=2 * GRACE_S)
