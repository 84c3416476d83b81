"""What could not be applied: kept whole, with the reason; listed, shown, retried or dropped by a person."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from mdevreg import subjects, wire
from mdevreg.errors import NotFoundError, UsageError
from mdevreg.times import moment_of, utc
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
    """These messages were applied: what is in quarantine of them is settled, dropped or not."""
    if not digests or is_empty(connection):
        return
    values = {"state": "applied", "resolution": "applied when it came again"}
    for first in range(0, len(digests), 500):
        mine = sa.and_(Quarantine.state != "applied", Quarantine.sha256.in_(digests[first : first + 500]))
        connection.execute(sa.update(Quarantine).where(mine).values(values))


def keep_files(connection: sa.Connection, kind: str, refusals: Sequence[Refusal], now_us: int) -> None:
    """Keep refused files (subject ``<kind>.<file>``) as open items, and settle those that are not refused any more.

    The same file with the same fault is one item, whatever became of it meanwhile: it is faulty now.
    """
    mine = Quarantine.subject.startswith(f"{kind}.", autoescape=True)
    wanted = sa.select(Quarantine.id, Quarantine.subject, Quarantine.sha256).where(mine)
    known = {(row.subject, row.sha256): row.id for row in connection.execute(wanted)}
    still: list[int] = []
    for refusal in refusals:
        columns = _columns(refusal, hashlib.sha256(refusal.message.data).hexdigest(), now_us)
        found = known.get((columns["subject"], columns["sha256"]))
        if found is None:
            columns |= {"host": None, "epoch": None, "seq": None}  # a file is nobody's record
            still += connection.execute(sa.insert(Quarantine).values(columns).returning(Quarantine.id)).scalars()
            continue
        again = {name: columns[name] for name in ("state", "code", "reason", "last_received_at_us", "resolution")}
        again["times"] = Quarantine.times + 1
        connection.execute(sa.update(Quarantine).where(Quarantine.id == found).values(again))
        still.append(found)
    settled = {"state": "dropped", "resolution": "the file was mended, or is gone"}
    gone = sa.and_(mine, Quarantine.state == "open", Quarantine.id.not_in(still))
    connection.execute(sa.update(Quarantine).where(gone).values(settled))


def listed(connection: sa.Connection, *, state: str | None = "open", limit: int = 100) -> list[dict[str, Any]]:
    """The newest items, without their bodies. ``state``: open, dropped, applied, or ``None`` for all."""
    columns = [column for column in Quarantine.__table__.columns if column.name != "body"]
    statement = sa.select(*columns).order_by(Quarantine.id.desc()).limit(limit)
    if state is not None:
        statement = statement.where(Quarantine.state == state)
    return [dict(row) for row in connection.execute(statement).mappings()]


def count(connection: sa.Connection, *, state: str | None = "open") -> int:
    """How many items there are. ``state``: open, dropped, applied, or ``None`` for all."""
    statement = sa.select(sa.func.count()).select_from(Quarantine)
    if state is not None:
        statement = statement.where(Quarantine.state == state)
    return connection.scalar(statement) or 0


def is_empty(connection: sa.Connection) -> bool:
    """Whether nothing was ever refused."""
    return connection.scalar(sa.select(Quarantine.id).limit(1)) is None


def item(connection: sa.Connection, number: int) -> dict[str, Any]:
    """One item, whole. Raises ``NotFoundError``."""
    row = connection.execute(sa.select(Quarantine.__table__).where(Quarantine.id == number)).mappings().one_or_none()
    if row is None:
        raise NotFoundError("quarantined message", str(number))
    return dict(row)


def document(item: Mapping[str, Any]) -> dict[str, Any]:
    """An item as people and programs read it: without its body, times as RFC 3339 in UTC."""
    return {
        name.removesuffix("_us"): utc(moment_of(value)) if name.endswith("_us") else value
        for name, value in item.items()
        if name != "body"
    }


def drop(connection: sa.Connection, number: int, *, reason: str) -> None:
    """Decide that an open item will not be applied. It stays readable, with the reason.

    Raises ``NotFoundError``, and ``UsageError`` for a blank reason or an item that is not open.
    """
    if not reason.strip():
        raise UsageError("the reason is blank; say why it will not be applied: it is kept with the item")
    values = {"state": "dropped", "resolution": reason}
    if not _changed(connection, number, "open", values):
        raise UsageError(f"only an open item can be dropped; {_standing(item(connection, number))}")


def reopen(connection: sa.Connection, number: int) -> None:
    """Make an item open, so that it is marked as applied when that happens. An open one stays as it is.

    Why it had been dropped stays readable. Raises ``NotFoundError``, and ``UsageError`` for an applied item.
    """
    found = item(connection, number)
    resolution = f"opened again; it had been dropped: {found['resolution']}"
    if _changed(connection, number, "dropped", {"state": "open", "resolution": resolution}):
        return
    found = item(connection, number)
    if found["state"] == "applied":
        raise UsageError(f"it can't be applied twice; {_standing(found)}")


def _changed(connection: sa.Connection, number: int, state: str, values: Mapping[str, str]) -> bool:
    mine = sa.and_(Quarantine.id == number, Quarantine.state == state)
    return connection.execute(sa.update(Quarantine).where(mine).values(values)).rowcount == 1


def _standing(item: Mapping[str, Any]) -> str:
    return f"{item['id']} is {item['state']} already ({item['resolution']})"


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
