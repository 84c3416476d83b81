"""A real broker's fleet stream that a test writes, as a registry would."""

from __future__ import annotations

from collections.abc import Iterable

from nats.aio.client import Client

from mdevreg import subjects
from mdevreg_server.bus import ensure_streams
from support.bus_client import with_client
from support.fleet_model import Sent


def tell(url: str, messages: Iterable[Sent]) -> None:
    """Publish these, in order, each acknowledged; the streams are made where they are missing."""

    async def work(client: Client) -> None:
        stream = client.jetstream()
        await ensure_streams(stream)
        for subject, data in messages:
            await stream.publish(subject, data, timeout=10)

    with_client(url, work)


def forget_consumers(url: str) -> int:
    """Delete every consumer of the fleet stream, as a broker may that lost its memory. Returns how many there were."""

    async def work(client: Client) -> int:
        stream = client.jetstream()
        names = [info.name for info in await stream.consumers_info(subjects.FLEET_STREAM)]
        for name in names:
            await stream.delete_consumer(subjects.FLEET_STREAM, name)
        return len(names)

    return with_client(url, work)
