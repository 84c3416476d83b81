"""A long log with its tree and signed checkpoints, and straight SQL behind the registry's back."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from mdevreg.audit.findings import Finding, Verification
from mdevreg.baselines import BaselineClass, BaselineDraft
from mdevreg.campaigns import CampaignDraft
from mdevreg.rules import Rule
from mdevreg.signing import SigningKey, new_key
from mdevreg.wanted import WantedBuild
from mdevreg_server.audit.auditor import SqlAuditor
from mdevreg_server.audit.checkpoints import issue
from mdevreg_server.audit.tree import LOT, integrate
from mdevreg_server.tables import Base, LogCheckpoint, table_of
from support.hosts import look, mtty
from support.publisher import EPOCH_START, Publisher
from support.registry import Desk

#: Rows of the log that ``Archive`` makes: two full tiles and a partial one.
RECORDS = 521
#: Up to where checkpoints are signed, ascending; what follows is in the tree alone.
SIGNED = (100, 260, 500)
DENY = Rule(id="draft", effect="deny", author="alice", message="known-bad", valid_from=EPOCH_START)
CAMPAIGN = CampaignDraft(name="to-2", wanted=WantedBuild(name="mtty", version="2"), author="alice")

BASELINE = BaselineDraft(name="gold", classes=(BaselineClass(type="mtty-1", loads="mtty [1, 2]"),), author="alice")


class Archive:
    """A registry's database with ``RECORDS`` rows. ``key``: its checkpoints'."""

    def __init__(self, engine: sa.Engine) -> None:
        self.engine, self.key = engine, new_key("log.example")
        self.desk = Desk(engine)
        self.notes: dict[int, bytes] = {}
        self._fill()
        self._saved = {table: self._rows(table) for table in Base.metadata.sorted_tables}

    def verify(
        self, *kept: int, key: SigningKey | None = None, known: bool = True, log_only: bool = True
    ) -> Verification:
        """Verify it; ``kept``: sizes of checkpoints that were kept outside. ``known``: the auditor has the key."""
        files = [(f"{size}.checkpoint", self.notes[size]) for size in kept]
        keys = [(key or self.key).public] if known else []
        return SqlAuditor(self.engine).verify(checkpoints=files, keys=keys, log_only=log_only)

    def found(self, *kept: int, log_only: bool = True) -> list[tuple[Any, ...]]:
        """What is found: code, table, position, last position, key, column; nothing else matters to a program."""
        return [place_of(finding) for finding in self.verify(*kept, log_only=log_only).findings]

    def sql(self, *statements: str, **values: Any) -> None:
        """Straight SQL, as somebody with the database's password would."""
        with self.engine.begin() as connection:
            for statement in statements:
                connection.execute(sa.text(statement), values)

    def forget_tree(self) -> None:
        """Throw tree and checkpoints away."""
        self.sql("DELETE FROM log_tile", "DELETE FROM log_checkpoint")

    def integrated(self) -> None:
        """Bring the tree up to the log."""
        while integrate(self.engine) == LOT:
            pass

    def mended(self) -> None:
        """Everything as it was before the last change."""
        with self.engine.begin() as connection:
            for table, rows in self._saved.items():
                connection.execute(sa.delete(table))
                if rows:
                    connection.execute(sa.insert(table), rows)

    def _fill(self) -> None:
        life = [look(mtty(free=free, devices=[1])) for free in range(SIGNED[-1])]
        records = [record for each in zip(*_told(life), strict=True) for record in each]
        self.desk.book.add_rule(DENY)
        self.desk.book.create_campaign(CAMPAIGN)
        self.desk.book.put_baseline(BASELINE)
        taken = self.desk.ledger.position
        for size in (*SIGNED, RECORDS):
            self.desk.take(*records[: size - taken])
            records, taken = records[size - taken :], size
            integrate(self.engine)
            if size in SIGNED:
                note = issue(self.engine, self.key, None, now_us=self.desk.now_us)
                assert note is not None
                self.notes[size] = note.encode()

    def _rows(self, table: sa.Table) -> list[dict[str, Any]]:
        with self.engine.connect() as connection:
            return [dict(row) for row in connection.execute(sa.select(table)).mappings()]


def _told(life: list[Any]) -> list[list[bytes]]:
    publishers = [Publisher(name) for name in ("a", "b")]
    told = []
    for publisher in publishers:
        records = publisher.snapshot(life[0])
        for each in life[1:]:
            records += publisher.changes(each)
        told.append(records)
    return told


def place_of(finding: Finding) -> tuple[Any, ...]:
    """Where a finding is, without its words."""
    found = msgspec.structs.asdict(finding)
    return tuple(found[name] for name in ("code", "table", "position", "last_position", "key", "column"))


def checkpoint_rows(archive: Archive) -> int:
    """How many checkpoints the database keeps."""
    with archive.engine.connect() as connection:
        return connection.scalar(sa.select(sa.func.count()).select_from(table_of(LogCheckpoint))) or 0
