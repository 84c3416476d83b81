"""The simplest reader of the fleet stream there can be, and what the database says that it must have read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from nats.js.api import StreamInfo

from mdevreg import subjects
from mdevreg.facts import NOW, Evidence
from mdevreg.knowledge import NOTHING, Knowledge, decode_amendment
from mdevreg.published import (
    HostState,
    Presence,
    bucket_of,
    decode_digest,
    decode_presence,
    decode_state,
    summed,
    token_of,
)
from mdevreg.query.pulling import life_of
from mdevreg.timeline import OPEN
from mdevreg_server.engine import open_engine
from mdevreg_server.sql_door import SqlDoor
from mdevreg_server.tables import Device, DriverBuild, Offer, Parent
from support.bus_client import read_on, stream_info

_START = datetime(1970, 1, 1, tzinfo=UTC)


class FleetReader:
    """The last message of each subject, in the order of the stream; begins anew when the stream does."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._life, self._seq = "", 0
        self.said: dict[str, bytes] = {}

    def read_on(self) -> FleetReader:
        """Read to the present end."""
        info: StreamInfo = stream_info(self._url, subjects.FLEET_STREAM)
        if life_of(info) != self._life or info.state.last_seq < self._seq:
            self._life, self._seq, self.said = life_of(info), 0, {}
        for msg in read_on(self._url, subjects.FLEET_STREAM, self._seq):
            self._seq = msg.metadata.sequence.stream
            self.said.pop(msg.subject, None)
            if msg.data:
                self.said[msg.subject] = msg.data
        return self

    def below(self, kind: str) -> dict[str, bytes]:
        """What was said below ``mdevreg.v1.fleet.<kind>``, by the last token."""
        start = f"{subjects.FLEET}.{kind}."
        return {subject[len(start) :]: data for subject, data in self.said.items() if subject.startswith(start)}

    @property
    def hosts(self) -> dict[str, HostState]:
        """The hosts that something is known of."""
        states = {host: decode_state(data) for host, data in self.below("host").items()}
        return {host: state for host, state in states.items() if state.epoch}

    @property
    def knowledge(self) -> Knowledge:
        """What is believed."""
        parts = {tuple(map(int, token.split("-"))): data for token, data in self.below("amendment").items()}
        return NOTHING.amended(decode_amendment(parts[place]) for place in sorted(parts))

    def presence(self, host: str) -> Presence:
        """Who was heard, of the host's bucket."""
        data = self.below("presence").get(f"{bucket_of(host):02x}")
        return decode_presence(data) if data else Presence(schema="")

    def evidence(self, state: HostState) -> Evidence:
        """How good the facts of a host are."""
        index, heard = state.index, self.presence(state.host)
        assert index is not None
        seen_us = heard.seen_us.get(state.host)
        return Evidence(
            host=state.host,
            hostname=index.hostname or state.host,
            site=index.site,
            changed_at=state.observed_at,
            last_seen=None if seen_us is None else _START + timedelta(microseconds=seen_us),
            leaving=state.host in heard.leaving,
            in_sync=state.in_sync,
            missing=state.missing,
            conflict=state.host in heard.conflicts,
            clock_skew_s=None if state.host not in heard.skew_us else round(heard.skew_us[state.host] / 1e6, 3),
        )

    def wrong_buckets(self) -> dict[str, str]:
        """Buckets that are not what the last digest says, among those that can be compared; fails without any."""
        digest = decode_digest(self.below("digest")["0"])
        sums: dict[str, int] = {}
        moved: set[str] = set()
        for host, state in self.hosts.items():
            name = f"{bucket_of(host):02x}"
            sums[name] = summed(sums.get(name, 0), token_of(state.digest, state.position))
            moved |= {name} if state.position > digest.position else set()
        told = {name: digest.buckets.get(name, "0" * 16) for name in digest.buckets.keys() | sums.keys()}
        return {name: sum_ for name, sum_ in told.items() if name not in moved and int(sum_, 16) != sums.get(name, 0)}


def evidence_in(database: str) -> dict[str, Evidence]:
    """What the SQL door says of all hosts."""
    with SqlDoor(open_engine(database, writer=False)) as door:
        return {host.evidence.host: host.evidence for host in door.hosts(NOW).hosts}


def offers_in(engine: sa.Engine) -> set[tuple[Any, ...]]:
    """What hosts offer, have and run, as the tables say it now."""
    found: set[tuple[Any, ...]] = set()
    with engine.connect() as connection:
        for row in connection.execute(_now(Offer, Offer.host, Offer.path, Offer.type, Offer.profile)):
            found.add(("type", *row))
        for row in connection.execute(_now(Device, Device.host, Device.path, Device.name, Device.profile)):
            found.add(("device", *row))
        for row in connection.execute(_now(DriverBuild, DriverBuild.host, DriverBuild.path, DriverBuild.version)):
            found.add(("driver", *row))
        for row in connection.execute(_now(Parent, Parent.host, Parent.path, Parent.name)):
            found.add(("parent", *row))
    return found


def offers_read(reader: FleetReader) -> set[tuple[Any, ...]]:
    """The same, as the indexes say it."""
    found: set[tuple[Any, ...]] = set()
    for host, state in reader.hosts.items():
        assert state.index is not None
        profiles, builds = state.index.profiles, state.index.builds
        for path, parent in state.index.parents.items():
            found.add(("parent", host, path, parent.name))
            found |= {("type", host, path, kind, profiles[number]) for kind, (number, _) in parent.types.items()}
            found |= {("device", host, path, name, profiles[number]) for name, number in parent.devices.items()}
            found |= {("driver", host, path, builds[number].version) for number in parent.drivers}
    return found


def _now(table: Any, *columns: Any) -> sa.Select[Any]:
    return sa.select(*columns).where(table.valid_to_us == OPEN, table.system_to == OPEN)
