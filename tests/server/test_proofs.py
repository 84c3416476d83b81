"""Proofs of records: made from a database, verified offline by a program that stands alone."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from mdevreg.audit.notes import Checkpoint, read_public_key, signed
from mdevreg.audit.proofs import read_proof, verify_proof, write_proof
from mdevreg.errors import AuditError, NotFoundError, StateError, UsageError
from mdevreg.signing import new_key, verify
from mdevreg_server.audit.auditor import SqlAuditor
from mdevreg_server.audit.checkpoints import issue
from support.audit import RECORDS, Archive
from support.tree import ROOT

VERIFIER = ROOT / "docs" / "verify_proof.py"


@pytest.fixture
def archive(engine: sa.Engine) -> Archive:
    return Archive(engine)


@pytest.mark.parametrize("position", [1, 2, 256, 257, 500])
def test_a_record_is_proven(archive: Archive, position: int) -> None:
    """The file has the record, its columns, and the way to a signed root."""
    proof = SqlAuditor(archive.engine).prove(position)
    text = write_proof(proof)
    assert read_proof(text.encode()) == proof
    checkpoint, columns = verify_proof(proof, [archive.key.public], verify)
    assert (checkpoint.size, columns["position"]) == (500, str(position))
    with archive.engine.connect() as connection:
        row = sa.text("SELECT body, sha256, host FROM record_log WHERE position = :position")
        body, sha256, host = connection.execute(row, {"position": position}).one()
    assert (bytes(body), sha256, host) == (proof.body, columns["sha256"], columns["host"])


def test_by_an_older_checkpoint_too(archive: Archive) -> None:
    """Whoever kept one can have any record before it proven by it."""
    proof = SqlAuditor(archive.engine).prove(99, checkpoint=archive.notes[100])
    assert verify_proof(proof, [archive.key.public], verify)[0].size == 100


def test_what_can_not_be_proven_is_told(archive: Archive) -> None:
    """Not there, not signed yet, changed since, a checkpoint of another log."""
    auditor = SqlAuditor(archive.engine)
    with pytest.raises(NotFoundError):
        auditor.prove(RECORDS + 1)
    with pytest.raises(StateError, match="no checkpoint covers position 501 yet"):
        auditor.prove(501)
    with pytest.raises(StateError, match="the checkpoint is of 100 records; position 101 needs another one"):
        auditor.prove(101, checkpoint=archive.notes[100])
    stranger = new_key("log.example")
    forged = signed(Checkpoint("log.example", 300, bytes(32)).text, stranger.public, stranger.sign)
    with pytest.raises(StateError, match="row, tree and checkpoint disagree"):
        auditor.prove(99, checkpoint=forged.encode())
    archive.sql("UPDATE record_log SET seq = 9999 WHERE position = 99")
    with pytest.raises(StateError, match="row, tree and checkpoint disagree") as caught:
        auditor.prove(99)
    assert caught.value.code == "LOG_TAMPERED"
    archive.sql("DELETE FROM log_tile WHERE number = 0 AND level = 0")
    with pytest.raises(StateError, match="the tree is damaged"):
        auditor.prove(98)


def test_consistency_of_sizes_and_checkpoints(archive: Archive) -> None:
    """Between any two trees; one of another history is none, and one larger than the log was of more records."""
    auditor = SqlAuditor(archive.engine)
    older, newer = (_checkpoint(archive, size) for size in (100, 500))
    assert auditor.consistency(older, newer).consistent
    assert auditor.consistency(0, RECORDS).consistent
    found = auditor.consistency(260, newer)
    assert (found.first, found.second, found.consistent) == (260, 500, True)
    assert len(found.proof) > 3
    assert not auditor.consistency(Checkpoint("log.example", 100, bytes(32)), newer).consistent
    beyond = auditor.consistency(older, Checkpoint("log.example", 600, bytes(32)))
    assert not beyond.consistent
    assert "its end is gone" in beyond.text
    with pytest.raises(UsageError, match="smaller one first"):
        auditor.consistency(newer, older)
    with pytest.raises(UsageError, match=f"has {RECORDS} records, 600 were asked about"):
        auditor.consistency(100, 600)


def _checkpoint(archive: Archive, size: int) -> Checkpoint:
    from mdevreg.audit.notes import read_checkpoint, read_note

    return read_checkpoint(read_note(archive.notes[size]))


def test_the_verifier_stands_alone(archive: Archive, tmp_path: Path) -> None:
    """In an environment that has nothing of ours: its file, the proof, the key; and it is short."""
    (tmp_path / "verify_proof.py").write_bytes(VERIFIER.read_bytes())
    (tmp_path / "audit.pub").write_text(archive.key.public.text + "\n", encoding="utf-8")
    (tmp_path / "7.tlog-proof").write_text(write_proof(SqlAuditor(archive.engine).prove(7)), encoding="utf-8")
    # Isolated from this environment's own packages but for the one library, wherever it is installed.
    run = [sys.executable, "-I", "-S", "-c", _ALONE, _library_folder(), "verify_proof.py"]

    def verified(*arguments: str) -> tuple[int, str]:
        done = subprocess.run([*run, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False, env={})
        return done.returncode, done.stdout + done.stderr

    code, said = verified("7.tlog-proof", "audit.pub")
    assert (code, said.splitlines()[:4]) == (0, ["proven", "log log.example", "size 500", "position 7"])
    assert '"schema"' in said.splitlines()[-1]
    assert verified("7.tlog-proof", archive.key.public.text)[0] == 0
    code, said = verified("7.tlog-proof", new_key("log.example").public.text)
    assert (code, said.startswith("not proven: the checkpoint is not signed by log.example+")) == (1, True)
    assert verified("7.tlog-proof")[0] == 2
    assert verified("none.tlog-proof", "audit.pub")[0] == 2
    assert len(VERIFIER.read_text(encoding="utf-8").splitlines()) < 150


#: Runs a file with one folder of packages, of which only the library that it needs may be used.
_ALONE = """
import runpy, sys
folder, file, *arguments = sys.argv[1:]
class Only:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("mdevreg", "mdevreg_server", "msgspec", "sqlalchemy"):
            raise ImportError(name)
sys.meta_path.insert(0, Only())
sys.path.append(folder)
sys.argv = [file, *arguments]
runpy.run_path(file, run_name="__main__")
"""


def _library_folder() -> str:
    import cryptography

    return os.fspath(Path(cryptography.__file__).parents[1])


def test_no_byte_of_a_proof_can_be_changed(archive: Archive) -> None:
    """Each byte, to three others: neither the verifier nor the library takes it."""
    issue(archive.engine, archive.key, None, now_us=1)
    proof = write_proof(SqlAuditor(archive.engine).prove(3)).encode()
    alone = runpy.run_path(str(VERIFIER))
    key = archive.key.public.text
    assert alone["verified"](proof.decode(), key)[1] is not None
    for at, byte in enumerate(proof):
        for other in (byte ^ 1, byte ^ 0x20, (byte + 13) % 256):
            changed = proof[:at] + bytes([other]) + proof[at + 1 :]
            assert not _taken(changed, archive), (at, byte, other)
            with pytest.raises((alone["NotProvenError"], UnicodeDecodeError)):
                alone["verified"](changed.decode(), key)
    for cut in (proof[:-1], proof + b"\n", proof.replace(b"\n", b"\r\n"), b""):
        assert not _taken(cut, archive)
        with pytest.raises(alone["NotProvenError"]):
            alone["verified"](cut.decode(), key)


def _taken(data: bytes, archive: Archive) -> bool:
    try:
        verify_proof(read_proof(data), [archive.key.public], verify)
    except AuditError:
        return False
    return True


def test_public_keys_are_read_as_they_are_written() -> None:
    """One line; a slip in it is noticed by its id."""
    key = new_key("log.example").public
    assert read_public_key(key.text + "\n") == key
    for wrong in ("", key.text.replace("log.example", "log.elsewhere"), key.text[:-4], "a b+00000000+AAAA"):
        with pytest.raises(AuditError) as caught:
            read_public_key(wrong)
        assert caught.value.code == "AUDIT_KEY"
