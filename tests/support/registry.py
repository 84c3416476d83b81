"""A registry's database and its one writer, fed by a stream that lives in the test."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import sqlalchemy as sa

from mdevreg import subjects, wire
from mdevreg.knowledge import Amendment, decode_amendment
from mdevreg_server import schema
from mdevreg_server.amendments import MINE, NOBODY
from mdevreg_server.engine import open_engine
from mdevreg_server.ledger import Applied, Ledger, Where
from mdevreg_server.messages import Message
from mdevreg_server.rulebook import Rulebook
from mdevreg_server.tables import PROJECTIONS, Base, Quarantine, RecordLog, table_of
from support.publisher import EPOCH_START

START_US = int(EPOCH_START.timestamp()) * 1_000_000


@contextmanager
def migrated(url: str) -> Iterator[sa.Engine]:
    """The writer's engine of a database that is at this program's revision.

    Made of the metadata at once: ``tests/migrations`` proves that migrations come to the same.
    """
    engine = open_engine(url, writer=True, create=True)
    try:
        with engine.begin() as connection:
            Base.metadata.create_all(connection)
            connection.exec_driver_sql("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
            connection.exec_driver_sql(f"INSERT INTO alembic_version VALUES ('{_head()}')")
        yield engine
    finally:
        engine.dispose()


@cache
def _head() -> str:
    return schema.head()


class Stream:
    """MDEVREG_RECORDS: counts messages, which are received ``delay_s`` after the start and a second apart."""

    def __init__(self, created: str = "life-1", delay_s: int = 3_600) -> None:
        self.created, self.delay_s = created, delay_s
        self.last_seq = 0

    @property
    def where(self) -> Where:
        return Where(self.created, self.last_seq)

    def message(self, record: bytes, subject: str | None = None) -> Message:
        """The next message. Without ``subject`` it comes on its own host's."""
        self.last_seq += 1
        envelope = wire.envelope_of(record)
        own = subjects.record(envelope.host if envelope else "host-1")
        return Message(subject or own, record, self.last_seq, START_US + (self.delay_s + self.last_seq) * 1_000_000)


class Desk:
    """A ledger and its stream: ``take`` commits one batch, as ingest does."""

    def __init__(self, engine: sa.Engine, stream: Stream | None = None, *, cached_hosts: int = 100) -> None:
        self.engine = engine
        self.stream = stream or Stream()
        self.ledger = Ledger(engine, cached_hosts=cached_hosts)

    def take(self, *records: bytes, subject: str | None = None) -> Applied:
        """Commit these in one transaction."""
        messages = [self.stream.message(record, subject) for record in records]
        return self.ledger.apply(messages, self.stream.where, now_us=self.now_us)

    def take_singly(self, *records: bytes) -> Applied:
        """Commit these one by one."""
        messages = [self.stream.message(record) for record in records]
        return self.ledger.apply_singly(messages, self.stream.where, now_us=self.now_us)

    @property
    def book(self) -> Rulebook:
        """Where rules and catalog entries are changed, at the clock of the records."""
        return Rulebook(self.ledger, self.now_us)

    @property
    def now_us(self) -> int:
        return START_US + (self.stream.delay_s + self.stream.last_seq + 1) * 1_000_000


def rows(engine: sa.Engine, table: type[Base], *, without: Sequence[str] = ()) -> list[tuple[Any, ...]]:
    """Every row of a table, in one order for both databases."""
    columns = [column for column in table_of(table).columns if column.name not in without]
    with engine.connect() as connection:
        found = [tuple(row) for row in connection.execute(sa.select(*columns))]
    return sorted(found, key=repr)


def projections(engine: sa.Engine) -> dict[str, list[tuple[Any, ...]]]:
    """Everything that ``rebuild`` recreates."""
    return {table.__tablename__: rows(engine, table) for table in PROJECTIONS}


def logged(engine: sa.Engine) -> list[tuple[int, str, int]]:
    """The records of the log: position, epoch, seq."""
    wanted = sa.select(RecordLog.position, RecordLog.epoch, RecordLog.seq).where(RecordLog.host != NOBODY)
    with engine.connect() as connection:
        return [(row.position, row.epoch, row.seq) for row in connection.execute(wanted.order_by(RecordLog.position))]


def amendments(engine: sa.Engine) -> list[tuple[int, int, Amendment]]:
    """The amendments of the log: position, number, content."""
    wanted = sa.select(RecordLog.position, RecordLog.seq, RecordLog.body).where(*MINE)
    with engine.connect() as connection:
        found = connection.execute(wanted.order_by(RecordLog.position))
        return [(row.position, row.seq, decode_amendment(row.body)) for row in found]


def positions(engine: sa.Engine) -> list[int]:
    """Every position of the log."""
    with engine.connect() as connection:
        return list(connection.scalars(sa.select(RecordLog.position).order_by(RecordLog.position)))


def refused(engine: sa.Engine) -> list[tuple[str, str, int]]:
    """Quarantine: state, code, how often it came; oldest first."""
    wanted = sa.select(Quarantine.state, Quarantine.code, Quarantine.times).order_by(Quarantine.id)
    with engine.connect() as connection:
        return [(row.state, row.code, row.times) for row in connection.execute(wanted)]


def refuse_hostname(engine: sa.Engine, hostname: str) -> None:
    """From now on the database itself will not store a host of that name."""
    statements = {
        "sqlite": [
            (
                f"CREATE TRIGGER refuse BEFORE INSERT ON host_fact WHEN NEW.hostname = '{hostname}' "
                "BEGIN SELECT RAISE(ABORT, 'refused'); END"
            )
        ],
        "postgresql": [f"ALTER TABLE host_fact ADD CONSTRAINT refuse CHECK (hostname <> '{hostname}')"],
    }
    _execute(engine, statements[engine.dialect.name])


def accept_hostname(engine: sa.Engine) -> None:
    """It stores any name again."""
    statements = {"sqlite": ["DROP TRIGGER refuse"], "postgresql": ["ALTER TABLE host_fact DROP CONSTRAINT refuse"]}
    _execute(engine, statements[engine.dialect.name])


def _execute(engine: sa.Engine, statements: list[str]) -> None:
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
