"""The fleet stream of a real broker, as a registry would have filled it."""

from __future__ import annotations

import asyncio

import nats
from fleets import Fleet
from nats.aio.client import Client

from mdevreg.subjects import FLEET_STREAM
from mdevreg_server.bus import ensure_streams


async def publish(url: str, fleet: Fleet) -> None:
    """Put the whole fleet, as fast as the broker takes it; returns when all of it is stored."""
    client = await nats.connect(url)
    try:
        await ensure_streams(client.jetstream())
        count = await _publish(client, fleet)
        while (await client.jetstream().stream_info(FLEET_STREAM)).state.messages < count:
            await asyncio.sleep(0.02)
    finally:
        await client.close()


async def _publish(client: Client, fleet: Fleet) -> int:
    count = 0
    for count, (subject, data) in enumerate(fleet.messages(), start=1):  # noqa: B007  (the last number is the count)
        await client.publish(subject, data)
        if client.pending_data_size > 1_000_000:
            await client.flush(60)
    await client.flush(60)
    return count
