"""Processes that `up` starts and ends: by pid, in their own session, gone when `up` is gone."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from contextlib import suppress

from mdevreg_server.lifeline import dying_with_us


class Child:
    """One child process, its output said line by line under its name."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, say: Callable[[str], None]) -> None:
        self._name, self._process, self._say = name, process, say
        self._stopping = False
        self._reading = asyncio.ensure_future(self._read())

    @classmethod
    async def start(cls, name: str, command: list[str], say: Callable[[str], None]) -> Child:
        """Start a program. It gets SIGTERM when this process dies."""
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *dying_with_us(command),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=pipe,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        return cls(name, process, say)

    async def stop(self, timeout_s: float = 5.0) -> None:
        """SIGTERM, and SIGKILL after a while."""
        self._stopping = True
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self._process.wait(), timeout_s)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        await self._reading

    async def _read(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            self._say(f"{self._name}: {line.decode(errors='replace').rstrip()}")
        code = await self._process.wait()
        if not self._stopping:
            self._say(f"{self._name}: ended by itself (exit {code}); the registry goes on")
