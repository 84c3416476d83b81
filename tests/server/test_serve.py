"""How a registry ends."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from mdevreg_server import ending


def test_a_part_that_swallows_a_cancellation_is_cancelled_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """As ``wait_for`` may below Python 3.12: the registry ends all the same."""
    monkeypatch.setattr(ending, "CANCEL_AGAIN_S", 0.01)

    async def deaf() -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        await asyncio.sleep(60)

    async def end() -> bool:
        task = asyncio.ensure_future(deaf())
        await asyncio.sleep(0)
        await asyncio.wait_for(ending.cancelled([task]), 5)
        return task.cancelled()

    assert asyncio.run(end())
