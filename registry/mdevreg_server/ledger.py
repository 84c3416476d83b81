"""The ledger: a batch of messages becomes log rows, history and positions in one transaction.

Rules of this file:

1. One writer. The position is compared and set in the transaction; a second writer fails there, whole.
2. Exactly once in effect: a ``(host, epoch, seq)`` that is in the log changes nothing when it comes again.
3. Nothing is dropped: what can't be applied is in quarantine when the transaction commits.
4. After a failure nothing in memory is believed: folds are read again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from mdevreg.errors import DecodeError, MdevregError, StateError
from mdevreg.knowledge import Amendment, CatalogChange, Knowledge, RuleChange
from mdevreg.objects import Profiles
from mdevreg.records import SCHEMA
from mdevreg.subjects import FLEET_STREAM, RECORDS_STREAM
from mdevreg.wire import Decoded
from mdevreg_server.amendments import NOBODY, Beliefs, encoded, next_seq
from mdevreg_server.asking import LATEST
from mdevreg_server.batch import LOG, Batch, Memory, Replay
from mdevreg_server.claim import Claim
from mdevreg_server.engine import REFUSED, converted
from mdevreg_server.hosts import DEFAULT_CACHED_HOSTS, Hosts
from mdevreg_server.intervals import shapes
from mdevreg_server.messages import Item, Message, moment_of, read, read_all
from mdevreg_server.presence import conflicts
from mdevreg_server.publication import Publication, publication_of
from mdevreg_server.tables import PROJECTIONS, RecordLog, StreamPosition, table_of
from mdevreg_server.tables import HostState as HostStateRow
from mdevreg_server.upsert import upsert

#: Code of a history that went back or on without this writer, although it holds the claim: ``reopen``.
MOVED = "HISTORY_MOVED"


class Applied(msgspec.Struct, frozen=True):
    """What a batch did. ``publications`` are in log order."""

    publications: tuple[Publication, ...]
    records: tuple[Decoded, ...]
    position: int
    duplicates: int
    quarantined: int


class Amended(msgspec.Struct, frozen=True):
    """An amendment that was written to the log, at its position."""

    position: int
    amendment: Amendment


class Where(msgspec.Struct, frozen=True):
    """A position in one life of a stream; ``created`` tells one life from the next."""

    created: str
    stream_seq: int


class Ledger:
    """Applies batches. Synchronous; used by one thread at a time."""

    def __init__(
        self, engine: sa.Engine, *, cached_hosts: int = DEFAULT_CACHED_HOSTS, claim: Claim | None = None
    ) -> None:
        self.engine = engine
        self._claim = claim
        layout = shapes()
        self._memory = Memory(layout, Hosts(layout, cached_hosts), Profiles(), set())
        self._beliefs = Beliefs()
        self.reopen()

    def reopen(self) -> None:
        """Believe the database: the claim on it is taken again where it was lost, and its position read.

        After a broken connection nobody here knows whether the last commit was done.
        """
        if self._claim is not None:
            self._claim.take()
        self._memory.hosts.forget()
        self._memory.stored_profiles.clear()
        self._beliefs.forget()
        with converted(self.engine), self.engine.connect() as connection:
            self._memory.position = connection.scalar(sa.select(sa.func.max(RecordLog.position))) or 0

    @property
    def position(self) -> int:
        """The position of the newest committed record; 0 before the first."""
        return self._memory.position

    def where(self) -> Where | None:
        """How far the records stream was consumed, as of the last commit."""
        with converted(self.engine), self.engine.connect() as connection:
            row = _stream_position(connection, RECORDS_STREAM)
        return Where(row.created, row.stream_seq) if row else None

    def apply(self, messages: Sequence[Message], where: Where, *, now_us: int) -> Applied:
        """Commit a batch. ``where``: the stream position after it. ``now_us``: the registry's clock, µs UTC.

        Raises ``StateError`` or ``UnreachableError``; then nothing of the batch is in the database.
        """
        return self.apply_read(read_all(messages), where, now_us=now_us)

    def apply_read(self, items: Sequence[Item], where: Where, *, now_us: int) -> Applied:
        """``apply`` for messages that were decoded elsewhere (``read_all``)."""
        before = self._memory.position
        batch = Batch(self._memory, now_us)
        try:
            with converted(self.engine), self.engine.begin() as connection:
                self._fence(connection)
                batch.run(connection, items)
                self._advance(connection, where)
        except BaseException:
            self._memory.position = before
            self._memory.hosts.forget()
            raise
        return self._applied(batch)

    def apply_singly(self, messages: Sequence[Message], where: Where, *, now_us: int) -> Applied:
        """Commit a batch message by message, so that one that can't be applied is told from the others.

        Such a message goes to quarantine as APPLY_FAILED: the fault is the registry's, the record is kept.
        """
        done = [self._apply_one(message, Where(where.created, message.stream_seq), now_us) for message in messages]
        newest = {item.host: item for each in done for item in each.publications}
        return Applied(
            publications=tuple(sorted(newest.values(), key=lambda item: item.position)),
            records=tuple(record for each in done for record in each.records),
            position=self.position,
            duplicates=sum(each.duplicates for each in done),
            quarantined=sum(each.quarantined for each in done),
        )

    def _apply_one(self, message: Message, where: Where, now_us: int) -> Applied:
        try:
            return self.apply([message], where, now_us=now_us)
        except Exception as error:
            if isinstance(error, MdevregError) and error.code != REFUSED:
                raise
            refused = DecodeError(repr(error)[:1_000], code="APPLY_FAILED")  # repr: printable, whatever is in it
            return self.apply_read([(message, refused)], where, now_us=now_us)

    def knowledge(self) -> Knowledge:
        """The catalog entries and rules that are believed now."""
        with converted(self.engine), self.engine.connect() as connection:
            return self._beliefs.at(connection, LATEST)

    def amend(self, change: Callable[[int], CatalogChange | RuleChange], *, author: str, now_us: int) -> Amended:
        """Append a change of what is believed; ``change`` is told its log position.

        Raises ``UsageError`` for what can't be kept, ``StateError`` or ``UnreachableError``; then nothing was changed,
        as far as is known.
        """
        before = self._memory.position
        try:
            with converted(self.engine), self.engine.begin() as connection:
                self._fence(connection)
                self._memory.position = before + 1
                amendment = Amendment(schema=SCHEMA, at=moment_of(now_us), author=author, change=change(before + 1))
                LOG.insert(connection, [_row(amendment, before + 1, next_seq(connection), now_us)])
                mine = StreamPosition.stream == RECORDS_STREAM
                connection.execute(sa.update(StreamPosition).where(mine).values(position=before + 1))
        except BaseException:
            self._memory.position = before
            raise
        return Amended(before + 1, amendment)

    def verify(self) -> None:
        """See that the database is where this writer left it. Raises ``StateError`` (MOVED) if it is not."""
        with converted(self.engine), self.engine.connect() as connection:
            row = _stream_position(connection, RECORDS_STREAM)
        if row is not None and row.position != self.position:
            raise self._moved(row.position)

    def published(self, where: Where) -> int:
        """The position up to which this life of the fleet stream holds every host; 0 if it is another life."""
        with converted(self.engine), self.engine.connect() as connection:
            row = _stream_position(connection, FLEET_STREAM)
        same = row is not None and row.created == where.created and row.stream_seq <= where.stream_seq
        return int(row.position) if same else 0

    def mark_published(self, where: Where, position: int) -> None:
        """Remember that every host up to a position was published."""
        row = {"created": where.created, "stream_seq": where.stream_seq, "position": position}
        with converted(self.engine), self.engine.begin() as connection:
            upsert(connection, StreamPosition, [{"stream": FLEET_STREAM, **row}])

    def publications(self, hosts: Iterable[str]) -> tuple[Publication, ...]:
        """The present state of these hosts, in log order; an empty one for a host that nothing is known of."""
        with converted(self.engine), self.engine.connect() as connection:
            known = self._memory.hosts.load(connection, hosts)
            disputed = conflicts(connection, known)
        folds = sorted((each.fold for each in known.values()), key=lambda fold: fold.position)
        made = tuple(publication_of(fold, disputed=fold.host in disputed) for fold in folds)
        self._memory.hosts.trim()
        return made

    def hosts_after(self, position: int) -> list[str]:
        """The hosts whose newest record came after a position, in log order."""
        with converted(self.engine), self.engine.connect() as connection:
            newer = sa.select(HostStateRow.host).where(HostStateRow.position > position)
            return list(connection.scalars(newer.order_by(HostStateRow.position)))

    def rebuild(self, *, batch_size: int = 1_000) -> int:
        """Recreate every projection from the log, in one transaction. Returns the number of records replayed.

        Amendments are no part of it: what is believed is read from the log itself.
        """
        self._memory.hosts.forget()
        self._memory.stored_profiles.clear()
        end, replayed = self.position, 0
        try:
            with converted(self.engine), self.engine.begin() as connection:
                self._fence(connection)
                for table in PROJECTIONS:
                    connection.execute(sa.delete(table))
                for first in range(1, end + 1, batch_size):
                    replayed += self._replay(connection, first, min(first + batch_size - 1, end))
        except BaseException:
            self._memory.hosts.forget()
            raise
        finally:
            self._memory.position = end
        return replayed

    def _replay(self, connection: sa.Connection, first: int, last: int) -> int:
        columns = (RecordLog.host, RecordLog.body, RecordLog.position, RecordLog.received_at_us)
        records = (RecordLog.position.between(first, last), RecordLog.host != NOBODY)
        wanted = sa.select(*columns).where(*records).order_by(RecordLog.position)
        messages = [
            Message(f"log.{row.host}", row.body, row.position, row.received_at_us) for row in connection.execute(wanted)
        ]
        Replay(self._memory, 0).run(connection, [(message, _logged(message)) for message in messages])
        self._memory.hosts.trim()
        return len(messages)

    def _fence(self, connection: sa.Connection) -> None:
        """Rule 1: lock the position for this transaction, and see that it is where this writer left it."""
        mine = StreamPosition.stream == RECORDS_STREAM
        held = connection.scalar(sa.select(StreamPosition.position).where(mine).with_for_update())
        if held is None:
            first = {"stream": RECORDS_STREAM, "created": "", "stream_seq": 0, "position": self.position}
            connection.execute(sa.insert(StreamPosition), first)  # a rival's insert violates the key
        elif held != self.position:
            raise self._moved(held)

    def _moved(self, held: int) -> StateError:
        where = f"{self.engine.url.render_as_string(hide_password=True)} is at position {held}, not {self.position}"
        if self._claim is not None:
            return StateError(f"{where}: another copy of the database has taken its place", code=MOVED)
        text = f"another registry writes: {where}; run only one mdevreg-server on a database"
        return StateError(text, code="SECOND_WRITER")

    def _advance(self, connection: sa.Connection, where: Where) -> None:
        values = {"created": where.created, "stream_seq": where.stream_seq, "position": self.position}
        connection.execute(sa.update(StreamPosition).where(StreamPosition.stream == RECORDS_STREAM).values(values))

    def _applied(self, batch: Batch) -> Applied:
        self._memory.stored_profiles |= batch.profiles
        self._memory.present |= batch.touched.keys()
        self._memory.hosts.trim()
        return Applied(
            publications=tuple(publication_of(f, disputed=f.host in batch.disputed) for f in batch.touched.values()),
            records=tuple(batch.records),
            position=self._memory.position,
            duplicates=batch.duplicates,
            quarantined=len(batch.refused),
        )


def _row(amendment: Amendment, position: int, seq: int, now_us: int) -> tuple[Any, ...]:
    """An amendment as a row of the log."""
    data = encoded(amendment)
    kind = str(amendment.change.__struct_config__.tag)
    return (position, NOBODY, "", seq, kind, hashlib.sha256(data).hexdigest(), now_us, now_us, now_us, data)


def _stream_position(connection: sa.Connection, stream: str) -> Any:
    """The row of a stream, or ``None``."""
    return connection.execute(sa.select(table_of(StreamPosition)).where(StreamPosition.stream == stream)).one_or_none()


def _logged(message: Message) -> Decoded:
    """A record of the log: it was readable once, so that one which is not means the wrong program."""
    found = read(message)
    if isinstance(found, DecodeError):
        text = f"position {message.stream_seq} of the log can't be read by this program: {found}; nothing was changed"
        raise StateError(text, code="LOG_UNREADABLE") from found
    return found
