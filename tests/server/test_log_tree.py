"""The tree over the log: appended to in lots, whoever else does so, wherever it is killed; and who signs it."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from mdevreg.audit.leaves import hash_of
from mdevreg.audit.notes import read_checkpoint, read_note
from mdevreg.errors import AuditError, StateError
from mdevreg.signing import new_key
from mdevreg_server.audit.checkpoints import issue, issue_whole
from mdevreg_server.audit.files import LATEST, CheckpointFolder, load_key, make_key
from mdevreg_server.audit.tree import LEAF_COLUMNS, integrate, tree_of, tree_size
from mdevreg_server.tables import LogTile, RecordLog
from support.audit import RECORDS, Archive, checkpoint_rows
from support.copies import copied
from support.hosts import look, mtty
from support.publisher import Publisher
from support.registry import rows

#: Integrates in small lots, for ever; killed by the test.
_INTEGRATE = """
import sys
from mdevreg_server.audit.tree import integrate
from mdevreg_server.engine import open_engine
engine = open_engine(sys.argv[1], writer=True)
print("began", flush=True)
while integrate(engine, lot=3):
    pass
"""


@pytest.fixture
def archive(engine: sa.Engine) -> Archive:
    return Archive(engine)


@pytest.mark.parametrize("lot", [1, 255, 256, 10_000])
def test_lots_of_any_size_make_the_same_tree(archive: Archive, lot: int) -> None:
    """Tile by tile the same; once more changes nothing."""
    before = rows(archive.engine, LogTile)
    archive.forget_tree()
    while integrate(archive.engine, lot=lot):
        pass
    assert rows(archive.engine, LogTile) == before
    with archive.engine.connect() as connection:
        every = connection.execute(sa.select(*LEAF_COLUMNS).order_by(RecordLog.position))
        leaves = [hash_of(tuple(row)) for row in every]
        tree = tree_of(connection, tree_size(connection))
        assert [tree.leaf(index) for index in range(RECORDS)] == leaves


def test_a_leaf_is_written_as_the_documents_say(archive: Archive) -> None:
    """Whoever reads docs/audit.md can hash it in any language."""
    with archive.engine.connect() as connection:
        row = connection.execute(sa.select(*LEAF_COLUMNS).where(RecordLog.host == "a").limit(1)).one()
    text = "mdevreg-record/1\n" + "".join(f"{name} {value}\n" for name, value in row._mapping.items())
    assert text.splitlines()[1:6] == [
        f"position {row.position}",
        "host a",
        f"epoch {row.epoch}",
        "seq 1",
        f"kind {row.kind}",
    ]
    assert hashlib.sha256(b"\0" + text.encode()).digest() == hash_of(tuple(row))


def test_killed_in_the_midst_and_done_by_several_at_once(archive: Archive) -> None:
    """``kill -9`` of a process that integrates, and three that do it together: each row is in the tree once."""
    before = rows(archive.engine, LogTile)
    url = archive.engine.url.render_as_string(hide_password=False)
    archive.forget_tree()
    for pause_s in (0.0, 0.02, 0.05):
        with subprocess.Popen([sys.executable, "-c", _INTEGRATE, url], stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == "began\n"
            time.sleep(pause_s)
            os.kill(child.pid, signal.SIGKILL)
    threads = [threading.Thread(target=lambda: _all(archive.engine)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert rows(archive.engine, LogTile) == before


def _all(engine: sa.Engine) -> None:
    while integrate(engine, lot=5):
        pass


def test_a_log_with_a_gap_is_not_integrated(archive: Archive) -> None:
    """Nor is one whose tiles were cut: what is wrong is said, and nothing is made of it."""
    archive.forget_tree()
    archive.sql("DELETE FROM record_log WHERE position = 300")
    with pytest.raises(StateError, match="no position 300, but later ones") as caught:
        integrate(archive.engine)
    assert caught.value.code == "LOG_GAP"
    assert rows(archive.engine, LogTile) == []
    archive.mended()
    archive.sql("UPDATE log_tile SET hashes = :none WHERE level = 1", none=b"")
    archive.desk.take(*_more(300))
    with pytest.raises(StateError, match="tile 0 of level 1 has not the 2 hashes") as caught:
        integrate(archive.engine)
    assert caught.value.code == "LOG_TREE"


def _more(count: int) -> list[bytes]:
    publisher = Publisher("c")
    records = publisher.snapshot(look(mtty(), hostname="c"))
    for free in range(100, 100 + count):
        records += publisher.changes(look(mtty(free=free), hostname="c"))
    return records[:count]


def test_a_checkpoint_is_signed_when_the_tree_grew_and_leaves(archive: Archive, tmp_path: Path) -> None:
    """Into a folder, one file a size; the latest beside it."""
    folder = CheckpointFolder(tmp_path / "out")
    note = issue_whole(archive.engine, archive.key, folder, now_us=1)
    assert issue_whole(archive.engine, archive.key, folder, now_us=2) == note
    assert issue(archive.engine, archive.key, folder, now_us=2) is None
    assert checkpoint_rows(archive) == 4
    names = {file.name for file in (tmp_path / "out").iterdir()}
    assert names == {f"{RECORDS:012d}.checkpoint", LATEST}
    assert (tmp_path / "out" / LATEST).read_text(encoding="utf-8") == note
    found = read_checkpoint(read_note(note.encode()))
    assert (found.origin, found.size) == ("log.example", RECORDS)
    assert archive.verify().vouched_size == RECORDS


def test_nothing_is_signed_over_a_rewritten_log(archive: Archive) -> None:
    """The tree must begin with the one that was signed before."""
    archive.sql("UPDATE record_log SET seq = 7777 WHERE position = 42", "DELETE FROM log_tile")
    archive.integrated()
    with pytest.raises(StateError, match="first 500 records are not those of the checkpoint before") as caught:
        issue(archive.engine, archive.key, None, now_us=1)
    assert caught.value.code == "LOG_REWRITTEN"
    archive.mended()
    archive.sql("UPDATE log_checkpoint SET note = 'nothing'")
    with pytest.raises(StateError, match="the newest checkpoint in the database is damaged"):
        issue(archive.engine, archive.key, None, now_us=1)


def test_the_folder_remembers_what_a_restored_database_has_lost(
    archive: Archive, tmp_path: Path, database_url: str
) -> None:
    """An older copy that goes on by itself is not signed with the same name; with a new one it is."""
    folder = CheckpointFolder(tmp_path / "out")
    archive.engine.dispose()
    restore = copied(database_url)
    archive.desk.take(*_more(20))
    latest = issue_whole(archive.engine, archive.key, folder, now_us=1)
    archive.engine.dispose()
    restore()
    with pytest.raises(StateError, match=f"is of {RECORDS + 20} records, the log's tree has {RECORDS}: records were"):
        issue_whole(archive.engine, archive.key, folder, now_us=2)
    archive.desk.ledger.reopen()
    archive.desk.take(*_more(40)[:30])
    with pytest.raises(StateError, match=f"first {RECORDS + 20} records are not those of the latest checkpoint in"):
        issue_whole(archive.engine, archive.key, folder, now_us=2)
    assert folder.latest("log.example") == read_checkpoint(read_note(latest.encode()))
    anew = issue_whole(archive.engine, new_key("log.example.2"), folder, now_us=3)
    assert anew.startswith("log.example.2\n")


def test_keys_are_the_owners_alone(tmp_path: Path) -> None:
    """Mode 0600, never overwritten; what is no key is told."""
    file = tmp_path / "audit.key"
    key = make_key(file, "log.example")
    assert file.stat().st_mode & 0o777 == 0o600
    assert load_key(file) == key
    assert repr(key) == f"SigningKey('{key.public.text}')"
    attempts: tuple[tuple[Callable[[], object], str], ...] = (
        (lambda: make_key(file, "other"), "a key is never overwritten"),
        (lambda: make_key(tmp_path / "none" / "key", "x"), "can't be written"),
        (lambda: load_key(tmp_path / "none"), "make one with: mdevreg-server audit keygen"),
    )
    for attempt, text in attempts:
        with pytest.raises(StateError, match=text):
            attempt()
    for content in ("", "PRIVATE+KEY+a+00000000+AAAA", key.text.replace("log.example", "log.elsewhere"), "é" * 9):
        file.write_text(content, encoding="utf-8")
        with pytest.raises(AuditError, match=r"no key file|damaged"):
            load_key(file)
    file.chmod(0o640)
    with pytest.raises(StateError, match="chmod 600"):
        load_key(file)
    with pytest.raises(AuditError, match="no key name"):
        make_key(tmp_path / "second", "with space")
