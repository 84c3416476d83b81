"""Who may write, and how far each stream was dealt with: the rows of ``stream_position``.

* ``MDEVREG_RECORDS``: the log's position; every writer locks this row before it takes positions, so that they are
  gapless and appear in order.
* ``MDEVREG_RECORDS/<part>``: how far a partition consumed; its ``position`` counts the partition's holders and is
  their fencing token: who was replaced can't commit any more, whatever it believes.
* ``MDEVREG_FLEET``, ``MDEVREG_FLEET/<part>``: up to which log position every host (of the partition) was published.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Protocol

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from mdevreg.errors import StateError
from mdevreg.subjects import FLEET_STREAM, RECORDS_STREAM
from mdevreg_server.claim import Claim
from mdevreg_server.partitions import WHOLE, Part, covered
from mdevreg_server.tables import RecordLog, StreamPosition, table_of
from mdevreg_server.upsert import insert_new, upsert

#: Code of a history that went back or on without this writer, although it holds the claim: ``reopen``.
MOVED = "HISTORY_MOVED"
#: Code of a partition that another process has taken over.
LOST = "PARTITION_LOST"
#: Advisory lock of who takes a decision: "decide".
DECIDING_KEY = 0x646563696465
_LOG = StreamPosition.stream == RECORDS_STREAM


class Where(msgspec.Struct, frozen=True):
    """A position in one life of a stream; ``created`` tells one life from the next."""

    created: str
    stream_seq: int


class Mark(msgspec.Struct, frozen=True):
    """How far the fleet stream was written: every host up to a log position, in its messages up to ``stream_seq``."""

    position: int
    stream_seq: int


#: Nothing of the database is known to be in the stream, and nothing in the stream to be of the database.
UNMARKED = Mark(-1, 0)


class Right(Protocol):
    """The right to write to a log, used inside its transactions."""

    part: Part

    def begin(self, engine: sa.Engine) -> None:
        """Take it, where that is still to be done. Raises ``StateError``."""
        ...

    def fence(self, connection: sa.Connection, known: int) -> int:
        """Lock the log's position for this transaction; returns it. ``known``: where this writer left it."""
        ...

    def advance(self, connection: sa.Connection, position: int, where: Where | None) -> None:
        """Write the log's position and, if anything was consumed, the stream's."""
        ...

    def skip(self, connection: sa.Connection, where: Where) -> None:
        """Write that nothing of ours comes in the stream up to there."""
        ...

    def verify(self, connection: sa.Connection, known: int) -> None:
        """See that it is still ours. Raises ``StateError``."""
        ...

    def deciding(self, engine: sa.Engine) -> AbstractContextManager[object]:
        """Nobody else decides meanwhile: a decision is taken on what is believed."""
        ...


class Sole:
    """Of the only writer there is: the log is where it left it, or somebody else has written."""

    part = WHOLE

    def __init__(self, claim: Claim | None) -> None:
        self._claim = claim

    def begin(self, engine: sa.Engine) -> None:  # noqa: ARG002  (the claim knows its own)
        """Take the claim, again where it was lost."""
        if self._claim is not None:
            self._claim.take()

    def fence(self, connection: sa.Connection, known: int) -> int:
        """The position is compared and set in the transaction; a second writer fails there, whole."""
        held = connection.scalar(sa.select(StreamPosition.position).where(_LOG).with_for_update())
        if held is None:
            first = {"stream": RECORDS_STREAM, "created": "", "stream_seq": 0, "position": known}
            connection.execute(sa.insert(StreamPosition), first)  # a rival's insert violates the key
        elif held != known:
            raise self._moved(connection, held, known)
        return known

    def advance(self, connection: sa.Connection, position: int, where: Where | None) -> None:
        """One row has both."""
        values: dict[str, Any] = {"position": position}
        if where is not None:
            values |= {"created": where.created, "stream_seq": where.stream_seq}
        connection.execute(sa.update(StreamPosition).where(_LOG).values(values))

    def skip(self, connection: sa.Connection, where: Where) -> None:
        """Everything is ours: what is there was consumed."""

    def verify(self, connection: sa.Connection, known: int) -> None:
        """See that the database is where this writer left it."""
        held = connection.scalar(sa.select(StreamPosition.position).where(_LOG))
        if held is not None and held != known:
            raise self._moved(connection, held, known)

    def deciding(self, engine: sa.Engine) -> AbstractContextManager[object]:  # noqa: ARG002
        """There is nobody else."""
        return nullcontext()

    def _moved(self, connection: sa.Connection, held: int, known: int) -> StateError:
        where = f"{connection.engine.url.render_as_string(hide_password=True)} is at position {held}, not {known}"
        if self._claim is not None:
            return StateError(f"{where}: another copy of the database has taken its place", code=MOVED)
        text = f"another registry writes: {where}; run only one mdevreg-server on a database"
        return StateError(text, code="SECOND_WRITER")


class Shared:
    """Of one of several writers: the log's position is read under its lock; a partition's holder shows its token.

    ``part`` None: of who consumes nothing, and appends amendments only.
    """

    def __init__(self, part: Part | None) -> None:
        self.part = part or WHOLE
        self._key = part.key(RECORDS_STREAM) if part else None
        self._token = 0

    def begin(self, engine: sa.Engine) -> None:
        """Take the next token once; who had the one before can't commit any more. It must hold the partition's lock."""
        if self._key is None or self._token:
            return
        insert = postgresql.insert(table_of(StreamPosition))
        row = {"stream": self._key, "created": "", "stream_seq": 0, "position": 1}
        again = {"position": StreamPosition.position + 1}
        taking = insert.values(row).on_conflict_do_update(index_elements=["stream"], set_=again)
        with engine.begin() as connection:
            self._token = connection.scalar(taking.returning(StreamPosition.position)) or 0

    def fence(self, connection: sa.Connection, known: int) -> int:  # noqa: ARG002  (others write meanwhile)
        """Wait for the others' transactions, and go on from where they came to."""
        locked = sa.select(StreamPosition.position).where(_LOG).with_for_update()
        held = connection.scalar(locked)
        if held is None:
            newest = connection.scalar(sa.select(sa.func.max(RecordLog.position))) or 0
            first = {"stream": RECORDS_STREAM, "created": "", "stream_seq": 0, "position": newest}
            insert_new(connection, StreamPosition, [first])
            held = connection.scalar(locked)
        return int(held or 0)

    def advance(self, connection: sa.Connection, position: int, where: Where | None) -> None:
        """Two rows: the log's, and the partition's."""
        connection.execute(sa.update(StreamPosition).where(_LOG).values(position=position))
        if where is not None and self._key is not None:
            self.skip(connection, where)

    def skip(self, connection: sa.Connection, where: Where) -> None:
        """The partition's row, if its token is ours."""
        values = {"created": where.created, "stream_seq": where.stream_seq}
        if connection.execute(sa.update(StreamPosition).where(*self._mine()).values(values)).rowcount != 1:
            raise self._lost()

    def verify(self, connection: sa.Connection, known: int) -> None:  # noqa: ARG002
        """See that nobody has taken the partition over."""
        if self._key is not None and not connection.scalar(sa.select(StreamPosition.position).where(*self._mine())):
            raise self._lost()

    @contextmanager
    def deciding(self, engine: sa.Engine) -> Iterator[None]:
        """Decisions of several processes one after the other."""
        with engine.begin() as connection:
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(DECIDING_KEY)))
            yield

    def _mine(self) -> tuple[sa.ColumnElement[bool], ...]:
        return StreamPosition.stream == self._key, StreamPosition.position == self._token

    def _lost(self) -> StateError:
        return StateError(f"partition {self.part.label} was taken over by another process", code=LOST)


def where(connection: sa.Connection) -> Where | None:
    """How far the records stream was consumed by a registry that shares nothing."""
    row = connection.execute(sa.select(table_of(StreamPosition)).where(_LOG)).one_or_none()
    return Where(row.created, row.stream_seq) if row else None


def consumed(connection: sa.Connection, life: str, part: Part) -> int:
    """Up to which sequence of a life of MDEVREG_RECORDS everything of a partition was consumed; 0: nothing."""
    rows = [(row.stream, row.stream_seq) for row in _rows(connection, RECORDS_STREAM) if row.created == life]
    return covered(rows, RECORDS_STREAM, part.slots)


def published(connection: sa.Connection, now: Where, part: Part) -> int:
    """The position up to which this life of the fleet stream holds every host of a partition; 0: another life."""
    rows = [
        (row.stream, row.position)
        for row in _rows(connection, FLEET_STREAM)
        if row.created == now.created and row.stream_seq <= now.stream_seq
    ]
    return covered(rows, FLEET_STREAM, part.slots)


def marked(connection: sa.Connection, now: Where, part: Part) -> Mark:
    """What is known to be published of a partition in this life of the fleet stream."""
    position = published(connection, now, part)
    rows = [(row.stream, row.stream_seq) for row in _rows(connection, FLEET_STREAM) if row.created == now.created]
    return Mark(position, covered(rows, FLEET_STREAM, part.slots)) if position else UNMARKED


def forget_published(connection: sa.Connection) -> None:
    """What was published is no more what the database says: all of it is to be published anew."""
    mine = sa.or_(StreamPosition.stream == FLEET_STREAM, StreamPosition.stream.startswith(f"{FLEET_STREAM}/"))
    connection.execute(sa.delete(StreamPosition).where(mine))


def mark_published(connection: sa.Connection, now: Where, position: int, part: Part) -> None:
    """Remember that every host of a partition up to a position was published."""
    row = {"created": now.created, "stream_seq": now.stream_seq, "position": position}
    upsert(connection, StreamPosition, [{"stream": part.key(FLEET_STREAM), **row}])


def _rows(connection: sa.Connection, stream: str) -> Iterable[Any]:
    mine = sa.or_(StreamPosition.stream == stream, StreamPosition.stream.startswith(f"{stream}/", autoescape=True))
    return connection.execute(sa.select(table_of(StreamPosition)).where(mine)).all()
