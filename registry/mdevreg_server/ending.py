"""How running parts are ended."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any

#: A part that is still there after this time is cancelled again; ending one takes far less.
CANCEL_AGAIN_S = 3.0


async def cancelled(tasks: Iterable[asyncio.Future[Any]]) -> None:
    """Cancel until all have ended: below Python 3.12, ``wait_for`` in a library may swallow a cancellation."""
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=CANCEL_AGAIN_S)


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
