"""Mends an index that differs from what the registry published: asks which hosts differ, and for those again."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import nats.errors
from nats.aio.client import Client

from mdevreg import subjects
from mdevreg.fleet import FleetView

ASK_S = 5.0
#: Hosts that are asked for at once.
LOT = 1_000
#: A bucket that differs again and again is not mended by asking.
TRIES = 3


class _Tokens(msgspec.Struct):
    position: int
    hosts: dict[str, str] = {}


class Mending:
    """Counts what was mended: ``differences`` that were seen, ``hosts`` that were asked for again."""

    def __init__(self) -> None:
        self._tried: dict[int, int] = {}
        self.differences, self.hosts = 0, 0

    async def mend(self, client: Client, view: FleetView, buckets: Sequence[int]) -> bool:
        """Ask for the hosts that differ; they come with the stream. False: this way does not mend it."""
        self.differences += len(buckets)
        for bucket in buckets:
            self._tried[bucket] = self._tried.get(bucket, 0) + 1
        if any(self._tried[bucket] > TRIES for bucket in buckets):
            self._tried.clear()
            return False
        try:
            differing = await _differing(client, view, buckets)
            for first in range(0, len(differing), LOT):
                await _ask(client, "republish", {"hosts": differing[first : first + LOT]})
        except (nats.errors.Error, TimeoutError, msgspec.MsgspecError):
            return False
        self.hosts += len(differing)
        return True


async def _differing(client: Client, view: FleetView, buckets: Sequence[int]) -> list[str]:
    names = [f"{bucket:02x}" for bucket in buckets]
    told = msgspec.json.decode(await _ask(client, "tokens", {"buckets": names}), type=_Tokens).hosts
    ours = {entry.host: f"{entry.token:016x}" for entry in view.directory.entries() if entry.bucket in set(buckets)}
    return sorted(host for host in told.keys() | ours.keys() if told.get(host) != ours.get(host))


async def _ask(client: Client, endpoint: str, request: dict[str, list[str]]) -> bytes:
    reply = await client.request(subjects.query(endpoint), msgspec.json.encode(request), timeout=ASK_S)
    if reply.headers and "Nats-Service-Error-Code" in reply.headers:
        raise nats.errors.Error(reply.headers.get("Nats-Service-Error"))
    return reply.data
