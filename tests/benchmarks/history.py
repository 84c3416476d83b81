"""A database as a registry leaves it after a fleet's start: every host's complete snapshot, taken in."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime

from fleets import Fleet, Host, facts_of, parents_of

from mdevreg import subjects
from mdevreg.records import SCHEMA, Beat, Cause
from mdevreg.wire import encode
from mdevreg_agent.picture import Documents, Picture, documents_of
from mdevreg_agent.simulate import SimAgent
from mdevreg_server import schema
from mdevreg_server.engine import open_engine
from mdevreg_server.ledger import Ledger, Where
from mdevreg_server.messages import Message

EPOCH = "bench"
_BATCH = 2_000


class Agents:
    """The agents of a fleet: what they have published, and what they publish next."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self._agents = {host.id: SimAgent(host.id, EPOCH) for host in fleet.hosts}
        self._last: dict[str, tuple[int, str]] = {}  # seq, digest

    def records(self, host: Host, kind: str = "startup") -> list[bytes]:
        """What the agent of a host publishes now."""
        documents = _documents(host)
        cause = Cause(kind="startup" if kind == "startup" else "uevent")
        looked = self._agents[host.id].look(documents, cause=cause, observed_at=datetime.now(UTC))
        if looked:
            self._last[host.id] = (looked[-1][0], documents.digest)
        return [data for _, data in looked]

    def beats(self) -> Iterator[tuple[str, bytes]]:
        """A heartbeat of each, as (subject, bytes)."""
        for host, (seq, digest) in self._last.items():
            yield subjects.beat(host), encode(Beat(schema=SCHEMA, host=host, epoch=EPOCH, seq=seq, digest=digest))


def fill(url: str, agents: Agents) -> int:
    """Make the database; returns the position of its log."""
    engine = open_engine(url, writer=True, create=True)
    schema.upgrade(engine)
    ledger = Ledger(engine)
    lot: list[Message] = []
    for number, (host, data) in enumerate(_all(agents), start=1):
        lot.append(Message(subjects.record(host), data, number, time.time_ns() // 1_000))
        if len(lot) >= _BATCH:
            ledger.apply(lot, Where(EPOCH, number), now_us=time.time_ns() // 1_000)
            lot = []
    if lot:
        ledger.apply(lot, Where(EPOCH, lot[-1].stream_seq), now_us=time.time_ns() // 1_000)
    engine.dispose()
    return ledger.position


def _all(agents: Agents) -> Iterator[tuple[str, bytes]]:
    for host in agents.fleet.hosts:
        for data in agents.records(host):
            yield host.id, data


def _documents(host: Host) -> Documents:
    return documents_of(Picture(facts=facts_of(host), parents=parents_of(host)))
