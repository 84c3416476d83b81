"""What one has after an afternoon with NATS: a KV bucket with one key per host and type, cached by a watch.

A value is what was read of the type (driver, stream version, minimum, free instances); the rule is evaluated over it.
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import nats
from apart import rss_of
from fleets import Fleet, Host
from floor import Named
from nats.aio.client import Client
from nats.js.api import StorageType
from nats.js.kv import KeyValue

BUCKET = "bench"
#: By ``HOST.TYPE``.
Cache = dict[str, dict[str, Any]]


async def publish(client: Client, fleet: Fleet) -> None:
    """Put the whole fleet, as fast as the broker takes it."""
    bucket = await client.jetstream().create_key_value(bucket=BUCKET, storage=StorageType.FILE)
    for host in fleet.hosts:
        for kind, value in values_of(host).items():
            await client.publish(f"$KV.{BUCKET}.{host.hostname}.{kind}", value)
        if client.pending_data_size > 500_000:
            await client.flush(60)
    await client.flush(60)
    wanted = 4 * len(fleet.hosts)
    while (await bucket.status()).values < wanted:
        await asyncio.sleep(0.02)


def values_of(host: Host) -> dict[str, bytes]:
    """The value of each of its types."""
    found, free = {}, iter(host.free)
    for card, number in zip(host.cards, host.releases, strict=True):
        release = card.releases[number]
        for kind, _ in card.types:
            said = {
                "driver": card.driver,
                "driver_version": release.version,
                "stream": release.stream,
                "stream_min": release.stream_min,
                "free": next(free),
                "site": host.site,
            }
            found[kind] = json.dumps(said).encode()
    return found


async def fill(bucket: KeyValue) -> Cache:
    """The cache as it stands when the watch has told everything there is."""
    cache: Cache = {}
    keys = (await bucket.status()).values
    watcher = await bucket.watchall()
    async for entry in watcher:
        if entry is not None:
            cache[entry.key] = json.loads(entry.value or b"{}")
        # nats-py's own mark of the end comes first where all was delivered before it asked what is pending.
        if len(cache) >= keys:
            break
    return cache


async def filled(url: str) -> Cache:
    """From connecting to a full cache."""
    client = await nats.connect(url)
    try:
        return await fill(await client.jetstream().key_value(BUCKET))
    finally:
        await client.close()


def filling(url: str) -> tuple[float, float]:
    """Seconds from connecting to a full cache, and how many MiB this process grew by."""
    started = time.perf_counter()
    cache, grown = rss_of(lambda: asyncio.run(filled(url)))
    taken = time.perf_counter() - started
    assert cache, "the bucket is empty"
    return taken, grown


class Cached:
    """Questions to the cache."""

    def __init__(self, cache: Cache) -> None:
        self.cache = cache

    def pair(self, asked: tuple[str, str, str]) -> bool:
        """The verdict for a host's type and a target."""
        host, kind, target = asked
        found = self.cache.get(f"{target}.{kind}")
        return found is not None and _loads(self.cache[f"{host}.{kind}"], found)

    def names(self, source: Named) -> list[str]:
        """Every host that accepts it: by a scan, there is no other way."""
        host, kind = source
        saved, end = self.cache[f"{host}.{kind}"], f".{kind}"
        return [
            key.partition(".")[0]
            for key, found in self.cache.items()
            if key.endswith(end) and found["free"] and _loads(saved, found)
        ]

    def count(self, source: Named) -> int:
        """How many they are."""
        return len(self.names(source))


def _loads(saved: dict[str, Any], target: dict[str, Any]) -> bool:
    """Same driver, and the stream between the target's minimum and its own version."""
    if saved["driver"] != target["driver"]:
        return False
    low, high = target["stream_min"], target["stream"]
    if low is None:
        return bool(saved["stream"] == high)
    return _number(low) <= _number(saved["stream"]) <= _number(high)


def _number(text: str) -> tuple[int, ...]:
    return tuple(int(part, 0) for part in text.split("."))
