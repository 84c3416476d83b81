"""The first connection to a broker: whatever keeps it from being made, no socket stays open behind it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from nats.aio.client import Client

from mdevreg.errors import UnreachableError
from mdevreg.query.connection import connect

#: What a broker says first; a client answers with CONNECT and PING and waits for PONG.
INFO = b'INFO {"server_id":"x","version":"2.10.0","proto":1,"max_payload":1048576,"headers":true}\r\n'


class Listener:
    """Takes connections and says ``words`` to each, then nothing: a broker that hangs. Knows who is still there."""

    def __init__(self, words: list[bytes]) -> None:
        self._words = words
        self.port = 0
        self.came = asyncio.Semaphore(0)
        self.there = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until its other end closes it."""
        self.there += 1
        writer.write(self._words.pop(0) if self._words else b"")
        self.came.release()
        with suppress(OSError):
            while await reader.read(1024):
                pass
        self.there -= 1
        writer.close()

    async def left(self) -> None:
        """Wait until nobody is connected any more."""
        async with asyncio.timeout(5):
            while self.there:
                await asyncio.sleep(0.01)


@asynccontextmanager
async def _listening(*words: bytes) -> AsyncIterator[Listener]:
    listener = Listener(list(words))
    server = await asyncio.start_server(listener.serve, "127.0.0.1", 0)
    async with server:
        listener.port = server.sockets[0].getsockname()[1]
        yield listener


@pytest.mark.parametrize("words", [(), (INFO,), (b"nonsense\r\n", INFO)])
def test_a_connection_that_is_cancelled_leaves_no_socket(words: tuple[bytes, ...]) -> None:
    """Before the broker said anything, after it did, and after a first handshake that failed."""

    async def run() -> None:
        async with _listening(*words) as listener:
            task = asyncio.create_task(_connect(f"nats://127.0.0.1:{listener.port}"))
            for _ in words or (b"",):
                await listener.came.acquire()
            await asyncio.sleep(0.05)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await listener.left()

    asyncio.run(run())


@pytest.mark.parametrize("words", [(), (INFO,), (b"nonsense\r\n", INFO)])
def test_a_broker_that_hangs_is_unreachable_and_leaves_no_socket(words: tuple[bytes, ...]) -> None:
    """As one that is not there."""

    async def run() -> None:
        async with _listening(*words) as listener:
            with pytest.raises(UnreachableError, match="no NATS server answers"):
                await _connect(f"nats://127.0.0.1:{listener.port}", timeout_s=1.5)
            await listener.left()

    asyncio.run(run())


async def _connect(url: str, timeout_s: float = 30) -> None:
    await connect(Client(), url, creds=None, timeout_s=timeout_s)
