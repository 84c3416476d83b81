"""Writes MDEVREG_FLEET: each host's state, in log order, which is its agent's receipt.

An asynchronous publish of nats-py may never resolve; here a lot is counted over one PubAck.
"""

from __future__ import annotations

from collections.abc import Sequence

from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import StreamInfo

from mdevreg import subjects
from mdevreg_server.bus import life_of
from mdevreg_server.ledger import Where
from mdevreg_server.publication import Publication


class Fleet:
    """Publishes hosts' states to MDEVREG_FLEET, in order, with one PubAck per lot."""

    def __init__(self, client: Client, js: JetStreamContext, info: StreamInfo) -> None:
        self._client, self._js = client, js
        self.created, self.last_seq = life_of(info), info.state.last_seq
        self._newest: dict[str, int] = {}  # position of each host as published

    @property
    def where(self) -> Where:
        """How far the fleet stream was written."""
        return Where(self.created, self.last_seq)

    async def publish(self, lot: Sequence[Publication]) -> None:
        """Publish a lot and see that all of it was stored: sequence numbers are counted over its last ack.

        A host whose newer state was published meanwhile (a receipt was asked for) is left out.
        """
        lot = [item for item in lot if item.position >= self._newest.get(item.host, 0)]
        if not lot:
            return
        for item in lot[:-1]:
            await self._client.publish(subjects.fleet_host(item.host), item.data, headers=_headers(item))
        if await self._acked(lot[-1]) != self.last_seq + len(lot):
            for item in lot:  # something in between was refused: one by one tells which
                await self._acked(item)
        # A broker that restarts answers with its own numbers; the last ack is the truth.
        self.last_seq = self._seen
        self._newest.update((item.host, item.position) for item in lot)

    async def _acked(self, item: Publication) -> int:
        ack = await self._js.publish(subjects.fleet_host(item.host), item.data, headers=_headers(item), timeout=5)
        self._seen = ack.seq
        return ack.seq


def _headers(item: Publication) -> dict[str, str]:
    return {
        subjects.EPOCH_HEADER: item.epoch,
        subjects.SEQ_HEADER: str(item.settled),
        subjects.DIGEST_HEADER: item.digest,
        subjects.POSITION_HEADER: str(item.position),
    }
