"""The ledger: a batch of messages becomes log rows, history and positions in one transaction.

Rules of this file:

1. One writer at a time. The log's position is locked, and compared or read, in the transaction; who has no right to
   write (``positions``) fails there, whole.
2. Exactly once in effect: a ``(host, epoch, seq)`` that is in the log changes nothing when it comes again.
3. Nothing is dropped: what can't be applied is in quarantine when the transaction commits.
4. After a failure nothing in memory is believed: folds are read again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager

import sqlalchemy as sa

from mdevreg.decisions import Decision, encode_decision
from mdevreg.errors import DecodeError, MdevregError
from mdevreg.knowledge import Amendment, AnyChange, Knowledge
from mdevreg.objects import Profiles
from mdevreg.records import SCHEMA
from mdevreg.times import moment_of
from mdevreg_server import intents, positions
from mdevreg_server.amendments import NOBODY, Beliefs, encoded
from mdevreg_server.applied import Amended, Applied
from mdevreg_server.asking import LATEST, clock_of
from mdevreg_server.batch import LOG, Batch, Memory
from mdevreg_server.claim import Claim
from mdevreg_server.engine import REFUSED, converted
from mdevreg_server.hosts import DEFAULT_CACHED_HOSTS, Hosts
from mdevreg_server.intervals import Shape, shapes
from mdevreg_server.messages import Item, Message, read_all
from mdevreg_server.minutes import DECIDED
from mdevreg_server.portraits import portraits
from mdevreg_server.positions import MOVED, Mark, Right, Sole, Where
from mdevreg_server.presence import conflicts
from mdevreg_server.publication import Publication, publication_of
from mdevreg_server.replaying import replay_some
from mdevreg_server.rewind import rewind
from mdevreg_server.tables import HostState as HostStateRow
from mdevreg_server.tables import RecordLog

__all__ = ["Amended", "Applied", "Ledger", "MOVED", "Where"]  # noqa: RUF022  (the house sorts them by letter)


class Ledger:
    """Applies batches. Synchronous; used by one thread at a time. ``right``: to write; by default the sole writer's."""

    def __init__(
        self,
        engine: sa.Engine,
        *,
        cached_hosts: int = DEFAULT_CACHED_HOSTS,
        claim: Claim | None = None,
        right: Right | None = None,
    ) -> None:
        self.engine = engine
        self._right = right or Sole(claim)
        layout = shapes()
        self._memory = Memory(layout, Hosts(layout, cached_hosts), Profiles(), set())
        self._beliefs = Beliefs()
        self.reopen()

    def reopen(self) -> None:
        """Believe the database: the claim on it is taken again where it was lost, and its position read.

        After a broken connection nobody here knows whether the last commit was done. Raises ``StateError`` if the
        right to write is lost.
        """
        with converted(self.engine):
            self._right.begin(self.engine)
        self._memory.hosts.forget()
        self._memory.stored_profiles.clear()
        self._beliefs.forget()
        with converted(self.engine), self.engine.connect() as connection:
            self._memory.position = connection.scalar(sa.select(sa.func.max(RecordLog.position))) or 0
            self._memory.clock_us = clock_of(connection)

    @property
    def position(self) -> int:
        """The position of the newest committed record; 0 before the first."""
        return self._memory.position

    @property
    def clock_us(self) -> int:
        """The log's clock: when that record was committed, µs UTC. Nothing later is committed before it."""
        return self._memory.clock_us

    def where(self) -> Where | None:
        """How far the records stream was consumed by the sole writer, as of its last commit."""
        with converted(self.engine), self.engine.connect() as connection:
            return positions.where(connection)

    def consumed(self, life: str) -> int:
        """Up to which sequence of a life of the records stream everything that comes here was consumed; 0: nothing."""
        with converted(self.engine), self.engine.connect() as connection:
            return positions.consumed(connection, life, self._right.part)

    def skip(self, where: Where) -> None:
        """Remember that nothing that comes here is in the records stream up to there, beyond what was consumed."""
        with converted(self.engine), self.engine.begin() as connection:
            self._right.skip(connection, where)

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
                batch.read(connection, items)  # before the others have to wait
                self._fence(connection)
                batch.run(connection, items)
                self._right.advance(connection, self.position, where)
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

    def deciding(self) -> AbstractContextManager[object]:
        """While this lasts, no other process takes a decision; ``amend`` inside."""
        return self._right.deciding(self.engine)

    def amend(self, change: Callable[[int], AnyChange], *, author: str, now_us: int) -> Amended:
        """Append a change of what is believed; ``change`` is told its log position.

        Raises ``UsageError`` for what can't be kept, ``StateError``, ``UnreachableError``: then nothing seems changed.
        """
        with self.tending() as connection:
            entry = change(self.position + 1)
            at_us = max(now_us, self._memory.clock_us)
            amendment = Amendment(schema=SCHEMA, at=moment_of(at_us), author=author, change=entry)
            kind = str(entry.__struct_config__.tag)
            return Amended(self.append(connection, NOBODY, kind, encoded(amendment), now_us=at_us), amendment)

    def record(self, decided: Callable[[int, int], Decision], *, now_us: int) -> Decision:
        """Append a decision, which changes no belief; ``decided`` is told position and time. Raises as ``amend``."""
        with self.tending() as connection:
            at_us = max(now_us, self._memory.clock_us)
            decision = decided(self.position + 1, at_us)
            self.append(connection, DECIDED, DECIDED, encode_decision(decision), now_us=at_us)
            return decision

    @contextmanager
    def tending(self) -> Iterator[sa.Connection]:
        """A transaction of the log's writer for what is no record; committed at the end. ``append`` inside.

        Raises ``StateError`` or ``UnreachableError``; then nothing was changed, as far as is known.
        """
        before = self._memory.position
        try:
            with converted(self.engine), self.engine.begin() as connection:
                self._fence(connection)
                yield connection
                self._right.advance(connection, self.position, None)
        except BaseException:
            self._memory.position = before
            raise

    def append(self, connection: sa.Connection, epoch: str, kind: str, data: bytes, *, now_us: int) -> int:
        """Append an entry of the registry's own, counted in an epoch of its own; its position.

        ``now_us``: the registry's clock, µs UTC; the log's own never goes back.
        """
        mine = (RecordLog.host == NOBODY, RecordLog.epoch == epoch)
        seq = (connection.scalar(sa.select(sa.func.max(RecordLog.seq)).where(*mine)) or 0) + 1
        self._memory.position += 1
        at_us = self._memory.clock_us = max(now_us, self._memory.clock_us)
        sha256 = hashlib.sha256(data).hexdigest()
        row = (self.position, NOBODY, epoch, seq, kind, sha256, at_us, at_us, at_us, data)
        LOG.insert(connection, [row])
        return self.position

    @property
    def layout(self) -> Mapping[str, Shape]:
        """How the interval tables are laid out."""
        return self._memory.layout

    def verify(self) -> None:
        """See that the database is where this writer left it, and still its own. Raises ``StateError`` if it is not."""
        with converted(self.engine), self.engine.connect() as connection:
            self._right.verify(connection, self.position)

    def published(self, where: Where) -> int:
        """The position up to which this life of the fleet stream holds every host; 0 if it is another life."""
        with converted(self.engine), self.engine.connect() as connection:
            return positions.published(connection, where, self._right.part)

    def marked(self, where: Where) -> Mark:
        """What of the hosts that come here is known to be in this life of the fleet stream."""
        with converted(self.engine), self.engine.connect() as connection:
            return positions.marked(connection, where, self._right.part)

    def mark_published(self, where: Where, position: int) -> None:
        """Remember that every host up to a position was published."""
        with converted(self.engine), self.engine.begin() as connection:
            positions.mark_published(connection, where, position, self._right.part)

    def publications(self, hosts: Iterable[str]) -> tuple[Publication, ...]:
        """The present state of these hosts, in log order; an empty one for a host that nothing is known of."""
        wanted, kept = dict.fromkeys(hosts), self._memory.hosts
        with converted(self.engine), self.engine.connect() as connection:
            folds = [each.fold for each in kept.load(connection, filter(kept.__contains__, wanted)).values()]
            others = [host for host in wanted if host not in kept]
            folds += portraits(connection, self._memory.layout, others)
            disputed = conflicts(connection, wanted)
        folds.sort(key=lambda fold: fold.position)
        return tuple(publication_of(fold, disputed=fold.host in disputed) for fold in folds)

    def hosts_after(self, position: int) -> list[str]:
        """The hosts whose newest record came after a position, in log order."""
        with converted(self.engine), self.engine.connect() as connection:
            newer = sa.select(HostStateRow.host).where(HostStateRow.position > position)
            return list(filter(self._right.part.holds, connection.scalars(newer.order_by(HostStateRow.position))))

    def rebuild(self, *, batch_size: int = 1_000) -> int:
        """Recreate every projection from the log, in one transaction. Returns the number of records replayed.

        Amendments are no part of it: what is believed is read from the log itself. Where records were pruned, it begins
        with what they added up to. Raises ``StateError`` if that was damaged, or the log can't be read.
        """
        self._memory.hosts.forget()
        self._memory.stored_profiles.clear()
        end, replayed, clock_us = self.position, 0, self._memory.clock_us
        self._memory.clock_us = 0
        try:
            with converted(self.engine), self.engine.begin() as connection:
                self._fence(connection)
                rewind(connection, self._memory.hosts)
                positions.forget_published(connection)
                for first in range(1, end + 1, batch_size):
                    replayed += replay_some(connection, self._memory, first, min(first + batch_size - 1, end))
                intents.derive(connection)
        except BaseException:
            self._memory.hosts.forget()
            raise
        finally:
            self._memory.position, self._memory.clock_us = end, clock_us
        return replayed

    def _fence(self, connection: sa.Connection) -> None:
        """Rule 1. Where others wrote meanwhile, the log's clock went on too."""
        before, self._memory.position = self.position, self._right.fence(connection, self.position)
        if self.position != before:
            self._memory.clock_us = clock_of(connection)

    def _applied(self, batch: Batch) -> Applied:
        self._memory.stored_profiles |= batch.profiles
        self._memory.hosts.trim()
        return Applied(
            publications=tuple(publication_of(f, disputed=f.host in batch.disputed) for f in batch.touched.values()),
            records=tuple(batch.records),
            position=self._memory.position,
            duplicates=batch.duplicates,
            quarantined=len(batch.refused),
        )
