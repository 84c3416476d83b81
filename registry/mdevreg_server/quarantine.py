"""What could not be applied: kept whole, with the reason; listed, shown, retried or dropped by a person."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from mdevreg import subjects, wire
from mdevreg.errors import NotFoundError
from mdevreg_server.messages import Message
from mdevreg_server.tables import Quarantine


class Refusal(msgspec.Struct, frozen=True):
    """A message that can't be applied, and why."""

    message: Message
    code: str
    reason: str

    @property
    def sender(self) -> wire.Envelope | None:
        """Who sent it, if that much can be read *and* it came on that host's own subject."""
        envelope = wire.envelope_of(self.message.data)
        own = envelope is not None and subjects.host_of(self.message.subject) == envelope.host
        return envelope if own else None


def store(connection: sa.Connection, refusals: Sequence[Refusal], now_us: int) -> None:
    """Keep refused messages. One that came before is counted, not kept twice."""
    for refusal in refusals:
        sha256 = hashlib.sha256(refusal.message.data).hexdigest()
        same = (Quarantine.sha256 == sha256, Quarantine.subject == refusal.message.subject)
        again = {"times": Quarantine.times + 1, "last_received_at_us": now_us}
        if connection.execute(sa.update(Quarantine).where(*same).values(again)).rowcount == 0:
            connection.execute(sa.insert(Quarantine), _columns(refusal, sha256, now_us))


def numbers(connection: sa.Connection, host: str, epoch: str) -> set[int]:
    """The sequence numbers of a host's epoch that are in quarantine, rivals' left out."""
    own = (Quarantine.host == host, Quarantine.epoch == epoch, Quarantine.code != "IDENTITY_CONFLICT")
    return {seq for (seq,) in connection.execute(sa.select(Quarantine.seq).where(*own)) if seq is not None}


def mark_applied(connection: sa.Connection, digests: Sequence[str]) -> None:
    """These messages were applied: what is open of them in quarantine is settled."""
    if not digests or not count(connection):
        return
    values = {"state": "applied", "resolution": "applied when it came again"}
    for first in range(0, len(digests), 500):
        mine = sa.and_(Quarantine.state == "open", Quarantine.sha256.in_(digests[first : first + 500]))
        connection.execute(sa.update(Quarantine).where(mine).values(values))


def listed(connection: sa.Connection, *, state: str | None = "open", limit: int = 100) -> list[dict[str, Any]]:
    """The newest items, without their bodies. ``state``: open, dropped, applied, or ``None`` for all."""
    columns = [column for column in Quarantine.__table__.columns if column.name != "body"]
    statement = sa.select(*columns).order_by(Quarantine.id.desc()).limit(limit)
    if state is not None:
        statement = statement.where(Quarantine.state == state)
    return [dict(row) for row in connection.execute(statement).mappings()]


def count(connection: sa.Connection) -> int:
    """How many items are open."""
    return connection.scalar(sa.select(sa.func.count()).where(Quarantine.state == "open")) or 0


def is_empty(connection: sa.Connection) -> bool:
    """Whether nothing was ever refused."""
    return connection.scalar(sa.select(Quarantine.id).limit(1)) is None


def item(connection: sa.Connection, number: int) -> dict[str, Any]:
    """One item, whole. Raises ``NotFoundError``."""
    row = connection.execute(sa.select(Quarantine.__table__).where(Quarantine.id == number)).mappings().one_or_none()
    if row is None:
        raise NotFoundError("quarantined message", str(number))
    return dict(row)


def resolve(connection: sa.Connection, number: int, *, state: str, resolution: str) -> None:
    """Mark an item as dropped or applied, with the reason. It stays readable."""
    item(connection, number)
    values = {"state": state, "resolution": resolution}
    connection.execute(sa.update(Quarantine).where(Quarantine.id == number).values(values))


def _columns(refusal: Refusal, sha256: str, now_us: int) -> dict[str, Any]:
    sender = refusal.sender
    return {
        "state": "open",
        "code": refusal.code,
        "reason": refusal.reason,
        "subject": refusal.message.subject,
        "host": sender.host if sender else None,
        "epoch": sender.epoch if sender else None,
        "seq": sender.seq if sender else None,
        "sha256": sha256,
        "received_at_us": refusal.message.received_at_us,
        "last_received_at_us": now_us,
        "times": 1,
        "resolution": None,
        "body": refusal.message.data,
    }
