"""What pruning may take is what the log says, by entries that a checkpoint vouches for; the rest is tampering."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from mdevreg.keeping import Keeping, Prune, encode_keeping
from mdevreg.records import SCHEMA
from mdevreg.times import moment_of
from mdevreg_server.audit.checkpoints import issue
from mdevreg_server.frozen import frozen_digest
from mdevreg_server.keeping import EPOCH
from mdevreg_server.tables import HostBase, HostState, table_of
from mdevreg_server.wholeness import faults_of
from support.audit import RECORDS, Archive
from support.pruned import begin_up_to, emptied, prune_up_to
from support.registry import migrated

HORIZON = 300


@pytest.fixture
def archive(engine: sa.Engine) -> Archive:
    return Archive(engine)


@pytest.fixture
def pruned(archive: Archive) -> Archive:
    """Pruned, and a checkpoint vouches for it."""
    assert prune_up_to(archive.desk, HORIZON).bodies > 100
    _signed(archive)
    return archive


def _signed(archive: Archive) -> None:
    archive.integrated()
    assert issue(archive.engine, archive.key, None, now_us=archive.desk.now_us) is not None


def _changed(archive: Archive, statement: str, **values: Any) -> set[tuple[str, str, str | None]]:
    archive.sql(statement, **values)
    return {(each.code, each.table, each.column) for each in archive.verify(log_only=False).findings}


def test_a_pruned_log_verifies_once_a_checkpoint_vouches_for_the_prune(archive: Archive) -> None:
    prune_up_to(archive.desk, HORIZON)
    found = archive.verify(log_only=False)
    assert (found.findings, found.unvouched_prune) == ((), RECORDS + 2)
    _signed(archive)
    found = archive.verify(log_only=False)
    assert (found.findings, found.unvouched_prune) == ((), 0)
    assert found.pruned_bodies == len(emptied(archive.engine))
    assert faults_of(archive.engine) == []


def test_a_prune_that_was_cut_off_proves_nothing_yet(archive: Archive) -> None:
    begun = begin_up_to(archive.desk, HORIZON)
    assert begun is not None
    _signed(archive)
    assert archive.verify(log_only=False).unvouched_prune == begun[0]


def test_bases_of_a_log_that_was_never_pruned_are_found(archive: Archive) -> None:
    """They would be where a rebuild begins; projections are compared all the same."""
    state = table_of(HostState)
    with archive.engine.begin() as connection:
        columns = [state.c[column.name] for column in table_of(HostBase).columns]
        connection.execute(
            sa.insert(HostBase).from_select(list(table_of(HostBase).columns.keys()), sa.select(*columns))
        )
    found = _changed(archive, "UPDATE parent SET name = 'other' WHERE system_from < 10")
    assert ("PROJECTION_INSERTED", "host_base", None) in found
    assert ("PROJECTION_CHANGED", "parent", "name") in found


def test_a_forged_prune_does_not_stand_for_a_signed_one(pruned: Archive) -> None:
    """Its digest is of what was edited; the signed one is compared too, and nobody vouches for the newest."""
    pruned.sql("UPDATE parent SET name = 'other' WHERE system_from < 10")
    with pruned.engine.connect() as connection:
        frozen = frozen_digest(connection, HORIZON)
    now = moment_of(pruned.desk.now_us)
    forged = Prune(before=now, horizon=HORIZON, frozen=frozen)
    entry = Keeping(schema=SCHEMA, at=now, author="mallory", change=forged)
    ledger = pruned.desk.ledger
    with ledger.tending() as connection:
        position = ledger.append(connection, EPOCH, "prune", encode_keeping(entry), now_us=pruned.desk.now_us)
    found = pruned.verify(log_only=False)
    assert ("FROZEN_DAMAGED", "record_log") in {(each.code, each.table) for each in found.findings}
    assert found.unvouched_prune == position


def test_what_no_digest_binds_is_looked_at_row_by_row(pruned: Archive) -> None:
    """Ends without an entry, a reach that hides a row, a profile that is another."""
    changes = {
        "UPDATE parent SET ended_at = 9223372036854775807 WHERE system_from < 10": "valid_to_us, ended_at",
        "UPDATE parent SET reach = 63 WHERE system_from < 10": "reach",
        "UPDATE device SET reach = 20 WHERE system_from < 10": "reach",
        "UPDATE profile SET body = ' ' || body": "body",
    }
    for statement, column in changes.items():
        with pruned.engine.connect() as connection:
            before = connection.execute(sa.text(f"SELECT * FROM {statement.split()[1]}")).all()
        found = _changed(pruned, statement)
        assert ("PROJECTION_CHANGED", statement.split()[1], column) in found, statement
        _put_back(pruned, statement.split()[1], before)
    assert pruned.verify(log_only=False).findings == ()


def test_a_profile_that_is_gone_is_found(pruned: Archive) -> None:
    assert ("PROJECTION_MISSING", "profile", None) in _changed(pruned, "DELETE FROM profile")


def test_db_check_finds_such_rows_too(pruned: Archive) -> None:
    pruned.sql("UPDATE parent SET reach = 63, ended_at = 9223372036854775807 WHERE system_from < 10")
    said = " ".join(faults_of(pruned.engine))
    assert "rows of parent end without being told to, or the other way round" in said
    assert "rows of parent have a reach that is wrong" in said


def test_whatever_type_sqlite_is_given_is_found(sqlite_database_url: str) -> None:
    with migrated(sqlite_database_url) as engine:
        archive = Archive(engine)
        prune_up_to(archive.desk, HORIZON)
        _signed(archive)
        found = _changed(archive, "UPDATE profile SET body = CAST(x'ff' AS TEXT)") | _changed(
            archive, "UPDATE host_base SET position = 'x'"
        )
        assert ("PROJECTION_CHANGED", "profile", "body") in found
        assert ("BODY_CHANGED", "record_log", "body") in found


def test_db_check_reads_a_mark_that_is_no_number(sqlite_database_url: str) -> None:
    """SQLite takes values of any type."""
    with migrated(sqlite_database_url) as engine:
        archive = Archive(engine)
        archive.sql("UPDATE stream_position SET position = 'end'")
        assert faults_of(engine) == [f"stream_position is at end, record_log ends at {RECORDS}"]


@pytest.mark.parametrize("which", ["ours", "kept", "later"])
def test_a_body_that_no_prune_takes_is_found(pruned: Archive, which: str) -> None:
    """The registry's own entry; the document that holds; one after the horizon."""
    with pruned.engine.connect() as connection:
        wanted = {
            "ours": "SELECT position FROM record_log WHERE host = ''",
            "kept": "SELECT MIN(position) FROM host_fact",
            "later": f"SELECT {RECORDS}",
        }
        position = connection.scalar(sa.text(wanted[which]))
    pruned.sql("UPDATE record_log SET body = :empty WHERE position = :position", empty=b"", position=position)
    found = {(each.code, each.position) for each in pruned.verify(log_only=False).findings}
    assert ("BODY_CHANGED", position) in found


def _put_back(archive: Archive, table: str, rows: Any) -> None:
    with archive.engine.begin() as connection:
        there = sa.Table(table, sa.MetaData(), autoload_with=connection)
        connection.execute(sa.delete(there))
        connection.execute(sa.insert(there), [dict(row._mapping) for row in rows])
