"""How running parts are ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import Executor
from typing import Any, TypeVar

T = TypeVar("T")

#: A part that is still there after this time is cancelled again; ending one takes far less.
CANCEL_AGAIN_S = 3.0


async def cancelled(tasks: Iterable[asyncio.Future[Any]]) -> None:
    """Cancel until all have ended: below Python 3.12, ``wait_for`` in a library may swallow a cancellation.

    To be cancelled itself meanwhile changes nothing: nobody may be left behind when the loop is closed.
    """
    pending, again = set(tasks), False
    while pending:
        for task in pending:
            task.cancel()
        again |= await _waited(pending, CANCEL_AGAIN_S)
        pending = {task for task in pending if not task.done()}
    if again:
        raise asyncio.CancelledError


async def in_thread(threads: Executor, work: Callable[[], T], stopping: Callable[[], None] = lambda: None) -> T:
    """The result of ``work``. What a thread has begun it ends before this is cancelled: it holds a connection.

    ``stopping``: called when it is, to make it end soon.
    """
    working = asyncio.get_running_loop().run_in_executor(threads, work)
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        stopping()
        while not working.done():
            await _waited({working}, None)
        raise


async def _waited(tasks: set[asyncio.Future[Any]] | set[asyncio.Future[T]], timeout_s: float | None) -> bool:
    """Wait for them. Returns whether that was cancelled."""
    try:
        await asyncio.wait(tasks, timeout=timeout_s)
    except asyncio.CancelledError:
        return True
    return False


async def until_one_ends(*work: Coroutine[Any, Any, Any]) -> None:
    """Run these together; when one of them ends, end the others. Raises the first one's error, in their order."""
    parts = [asyncio.ensure_future(part) for part in work]
    try:
        await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await cancelled(parts)
    for ended in await asyncio.gather(*parts, return_exceptions=True):
        if isinstance(ended, Exception):
            raise ended
