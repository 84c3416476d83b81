"""One transaction's work: fold every message of a batch, gather the rows, write them at once."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from mdevreg.errors import DecodeError
from mdevreg.objects import Effect, Profiles
from mdevreg.state import Entry, HostFold, valid_time
from mdevreg.timeline import supersede
from mdevreg.times import micros
from mdevreg.wire import Decoded
from mdevreg_server import quarantine
from mdevreg_server.bases import precedes
from mdevreg_server.bulk import Bulk
from mdevreg_server.hosts import Hosts, Known, state_columns
from mdevreg_server.intervals import Pending, Shape
from mdevreg_server.late import rebuild_host
from mdevreg_server.messages import Message
from mdevreg_server.presence import Heard, conflicts, flag_conflict, heard, skews
from mdevreg_server.quarantine import Refusal
from mdevreg_server.tables import HostState, Profile, RecordClock, RecordLog, table_of
from mdevreg_server.upsert import insert_new, upsert

#: Which value column of a kind is a profile digest (``mdevreg.objects``).
_PROFILE_COLUMN = {"offer": 0, "device": 2}
LOG = Bulk(table_of(RecordLog))


class Memory(msgspec.Struct):
    """What the writer keeps between batches. ``position``: of the newest entry of the log.

    ``clock_us``: the log's clock, µs UTC: when that entry was committed. It never goes back.
    """

    layout: Mapping[str, Shape]
    hosts: Hosts
    profiles: Profiles
    stored_profiles: set[str]
    position: int = 0
    clock_us: int = 0


class Batch:
    """One transaction's work. ``run`` writes; the caller commits. ``now_us``: the registry's clock, µs UTC.

    Everything in it is committed at ``now_us``, or when the log's clock is already further, then.
    """

    def __init__(self, memory: Memory, now_us: int) -> None:
        self.memory = memory
        self.now_us = now_us
        self.touched: dict[str, HostFold] = {}  # in log order: a host moves to the end when it changes again
        self.disputed: dict[str, str] = {}
        self.records: list[Decoded] = []
        self.refused: list[Refusal] = []
        self.duplicates = 0
        self._known: dict[str, Known] = {}
        self._unheard: set[str] = set()  # hosts that may never have been heard before
        self._pending = Pending(memory.layout)
        self._profiles: set[str] = set()
        self.profiles: set[str] = set()  # new ones, stored by this batch
        self._log: list[tuple[Any, ...]] = []
        self._skews: dict[str, int] = {}  # of hosts whose clocks are known to be wrong
        self._doubtful_clocks: list[dict[str, int]] = []
        self._digests: list[str] = []
        self._none_refused: bool | None = None
        self._doubtful: list[tuple[Message, Decoded]] = []

    def run(self, connection: sa.Connection, items: Sequence[tuple[Message, Decoded | DecodeError]]) -> None:
        """Fold and write everything."""
        self.read(connection, items)
        self.now_us = self.memory.clock_us = max(self.now_us, self.memory.clock_us)
        self.disputed = self._disputed(connection, list(self._known))
        self._skews = skews(connection, self._known)
        for message, item in items:
            if isinstance(item, DecodeError):
                self.refused.append(Refusal(message, item.code, item.message))
            else:
                self._one(connection, message, item)
        self._settle_doubts(connection)
        self._flush(connection)
        quarantine.store(connection, self.refused, self.now_us)
        quarantine.mark_applied(connection, self._digests)
        self._settle_refused()
        self._greet(connection)
        if self.touched:
            upsert(connection, HostState, [state_columns(fold) for fold in self.touched.values()])

    def read(self, connection: sa.Connection, items: Sequence[tuple[Message, Decoded | DecodeError]]) -> None:
        """Load what is to be folded. Nobody else changes it, so that this may come before any lock."""
        if not self._known:
            hosts = [host for message, item in items if (host := _host_of(message, item)) is not None]
            self._unheard = {host for host in hosts if host not in self.memory.hosts}
            self._known = self.memory.hosts.load(connection, hosts)

    def _disputed(self, connection: sa.Connection, hosts: list[str]) -> dict[str, str]:
        return conflicts(connection, hosts)

    def _greet(self, connection: sa.Connection) -> None:
        """A host's first record is a sign of life, in the same transaction; later ones are written by the pulse."""
        if new := {host: Heard(self.now_us) for host in self.touched if host in self._unheard}:
            heard(connection, new)

    def _one(self, connection: sa.Connection, message: Message, decoded: Decoded) -> None:
        record = decoded.record
        if record.host in self.disputed:
            self.refused.append(Refusal(message, "IDENTITY_CONFLICT", self.disputed[record.host]))
            return
        known = self._known[record.host]
        match known.fold.arrival(record.epoch, record.seq):
            case "next":
                self._next(connection, message, decoded, known)
            case "late":
                self._late(connection, message, decoded)
            case "duplicate" | "retired":
                self._doubtful.append((message, decoded))

    def _next(self, connection: sa.Connection, message: Message, decoded: Decoded, known: Known) -> None:
        fold, record = known.fold, decoded.record
        entered = record.epoch != fold.epoch
        received = self._received(message, fold)
        at = valid_time(micros(record.observed_at), received, fold.valid_at)
        position = self._append(message, decoded, received)
        for effect in fold.apply(decoded, position=position, valid_at=at, profiles=self.memory.profiles):
            self._effect(known, effect, at, position)
        fold.received_at = received
        if entered:
            self._settle_quarantined(connection, fold)
        self._touch(fold)

    def _effect(self, known: Known, effect: Effect, at: int, position: int) -> None:
        key, value = effect
        step = supersede(known.rows.get(key), value, at, position)
        self._pending.step(known.fold.host, key, step, position, self.now_us)
        if value is None:
            known.rows.pop(key, None)
            return
        known.rows[key] = step.add[-1] if step.add else known.rows[key]
        if key[0] in _PROFILE_COLUMN:
            self._profiles.add(value[_PROFILE_COLUMN[key[0]]])

    def _late(self, connection: sa.Connection, message: Message, decoded: Decoded) -> None:
        """A record that an already folded one overtook. Where its period was pruned it can't be placed any more."""
        if precedes(connection, decoded.record):
            self.refused.append(Refusal(message, "PERIOD_PRUNED", _too_late(decoded)))
        else:
            self._place(connection, message, decoded)

    def _place(self, connection: sa.Connection, message: Message, decoded: Decoded) -> None:
        """The host's timeline is derived from its log again."""
        host = decoded.record.host
        received = self._received(message, self._known[host].fold)
        self._flush(connection)
        position = self._append(message, decoded, received)
        entry = Entry(decoded, position, micros(decoded.record.observed_at), received)
        known, steps = rebuild_host(connection, self.memory.layout, entry, self.memory.profiles)
        for key, step in steps.items():
            self._pending.step(host, key, step, position, self.now_us)
            if key[0] in _PROFILE_COLUMN:
                digests = {row.value[_PROFILE_COLUMN[key[0]]] for row in step.add}
                self._profiles |= {digest for digest in digests if digest in self.memory.profiles}  # else stored before
        self._settle_quarantined(connection, known.fold)
        self._known[host] = known
        self.memory.hosts.replace(known)
        self._touch(known.fold)

    def _received(self, message: Message, fold: HostFold) -> int:
        """When the broker stored it, by a clock that may be ahead of ours: not after it is committed here."""
        return max(min(message.received_at_us, self.now_us), fold.received_at)

    def _append(self, message: Message, decoded: Decoded, received_at_us: int) -> int:
        record, sha256 = decoded.record, hashlib.sha256(message.data).hexdigest()
        self.memory.position += 1
        self._digests.append(sha256)
        self._log.append(
            (
                self.memory.position,
                record.host,
                record.epoch,
                record.seq,
                record.body.__struct_config__.tag,
                sha256,
                micros(record.observed_at),
                received_at_us,
                self.now_us,
                message.data,
            )
        )
        self.records.append(decoded)
        if record.host in self._skews:
            self._doubtful_clocks.append({"position": self.memory.position, "skew_us": self._skews[record.host]})
        return self.memory.position

    def _flush(self, connection: sa.Connection) -> None:
        """Write the log and interval rows gathered so far."""
        if self._log:
            LOG.insert(connection, self._log)
            self._log.clear()
        if self._doubtful_clocks:
            connection.execute(sa.insert(table_of(RecordClock)), self._doubtful_clocks)
            self._doubtful_clocks.clear()
        if new := self._profiles - self.memory.stored_profiles - self.profiles:
            bodies = [{"digest": digest, "body": self.memory.profiles.body(digest).decode()} for digest in sorted(new)]
            insert_new(connection, Profile, bodies)
            self.profiles |= new
        self._pending.flush(connection)

    def _touch(self, fold: HostFold) -> None:
        self.touched.pop(fold.host, None)
        self.touched[fold.host] = fold

    def _settle_doubts(self, connection: sa.Connection) -> None:
        """A duplicate is normal when it is byte for byte the same; anything else is a second agent."""
        if self._doubtful:
            self._flush(connection)
        for message, decoded in self._doubtful:
            record = decoded.record
            logged = _logged(connection, record.host, record.epoch, record.seq)
            if logged == hashlib.sha256(message.data).hexdigest():
                self.duplicates += 1
                self._touch(self._known[record.host].fold)  # its agent lacks the receipt
            elif logged is None and record.seq in quarantine.numbers(connection, record.host, record.epoch):
                self._late(connection, message, decoded)  # refused once, readable now
            else:
                self._dispute(connection, message, decoded)

    def _dispute(self, connection: sa.Connection, message: Message, decoded: Decoded) -> None:
        record = decoded.record
        current = self._known[record.host].fold
        if record.epoch == current.epoch:
            seen = f"epoch {record.epoch} sent seq {record.seq} twice, with different content"
        else:
            seen = f"epoch {record.epoch} sent seq {record.seq} after it was left for epoch {current.epoch}"
        text = f"two agents claim host id {record.host}: {seen}"
        flag_conflict(connection, record.host, text, self.now_us)
        self.disputed[record.host] = text
        self.refused.append(Refusal(message, "IDENTITY_CONFLICT", text))
        self._touch(current)

    def _settle_refused(self) -> None:
        """A refused record is kept, so its agent may forget it; a rival's is settled for nobody."""
        for refusal in self.refused:
            sender = refusal.sender
            known = self._known.get(sender.host) if sender else None
            if sender and known and refusal.code != "IDENTITY_CONFLICT" and sender.epoch == known.fold.epoch:
                known.fold.settle(sender.epoch, sender.seq)
                self._touch(known.fold)

    def _settle_quarantined(self, connection: sa.Connection, fold: HostFold) -> None:
        if self._none_refused is None:  # nearly always: spares a boot storm a question per host
            self._none_refused = quarantine.is_empty(connection)
        if self._none_refused:
            return
        for seq in sorted(quarantine.numbers(connection, fold.host, fold.epoch)):
            fold.settle(fold.epoch, seq)


def _host_of(message: Message, item: Decoded | DecodeError) -> str | None:
    """Whose record it is; a refused one may say so too."""
    if isinstance(item, Decoded):
        return item.record.host
    sender = Refusal(message, item.code, item.message).sender
    return sender.host if sender else None


def _too_late(decoded: Decoded) -> str:
    record = decoded.record
    what = f"epoch {record.epoch}, seq {record.seq} of host {record.host}"
    return f"{what} belongs to a period whose records were pruned: it is kept here, and changes no history"


def _logged(connection: sa.Connection, host: str, epoch: str, seq: int) -> str | None:
    same = (RecordLog.host == host, RecordLog.epoch == epoch, RecordLog.seq == seq)
    return connection.scalar(sa.select(RecordLog.sha256).where(*same))
