"""The HTTP face as the registry runs it: its parts put together, on a socket that listens already."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

from mdevreg_server.http.address import url_of
from mdevreg_server.http.app import application
from mdevreg_server.http.asking import Asker
from mdevreg_server.http.behind import Behind
from mdevreg_server.http.buckets import Buckets
from mdevreg_server.http.config import HttpConfig
from mdevreg_server.http.gate import Gate
from mdevreg_server.http.handlers import Questions
from mdevreg_server.http.health import Health
from mdevreg_server.http.metrics import Figures
from mdevreg_server.http.server import Serving
from mdevreg_server.http.tokens import TokenFile


class Face:
    """The face. Raises ``StateError`` (HTTP_TOKENS) for a file of tokens that can't be used."""

    def __init__(
        self, config: HttpConfig, listening: socket.socket, behind: Behind, say: Callable[[str], None]
    ) -> None:
        tokens = None if config.tokens is None else TokenFile(Path(config.tokens), say)
        if tokens is not None:
            tokens.check()
        asker = Asker(behind.door, behind.pool, near=behind.near, timeout_s=config.timeout_s)
        gate = Gate(tokens, Buckets(config.rate))
        app = application(
            Questions(gate, asker, behind.tally, behind.decisions, say),
            gate,
            Health(behind.engine, behind.stream, attached=behind.attached, now_us=behind.now_us),
            Figures(behind.tally, behind.replica_age_s, behind.events),
            say=say,
        )
        self._serving, self._listening, self._say = Serving(app, listening), listening, say

    async def run(self) -> None:
        """Serve until cancelled."""
        self._say(f"http.listening url={url_of(self._listening)}")
        await self._serving.run()
