"""``mdevreg audit`` and ``mdevreg-server audit``, over real databases."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from mdevreg.cli.edge import run
from support.audit import RECORDS, Archive, checkpoint_rows
from support.command_line import Done
from support.processes import RunCli
from support.registry import migrated


class Run(Protocol):
    def __call__(self, *arguments: str) -> Done: ...


@pytest.fixture
def archive(database_url: str) -> Iterator[Archive]:
    with migrated(database_url) as engine:
        yield Archive(engine)


@pytest.fixture
def audit(capsys: pytest.CaptureFixture[str], home: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """``mdevreg audit …`` in this process, in the home folder."""
    monkeypatch.chdir(home)

    def run_here(*arguments: str) -> Done:
        code = run(["audit", *arguments], environ={"HOME": str(home)})
        captured = capsys.readouterr()
        return Done(code, captured.out, captured.err)

    return run_here


@pytest.fixture
def url(database_url: str) -> str:
    return database_url


def test_verify_says_yes_no_and_unknown(archive: Archive, url: str, audit: Run, home: Path) -> None:
    """The answer first, then what was found and where, and the way out; exit codes as everywhere."""
    (home / "audit.pub").write_text(archive.key.public.text + "\n", encoding="utf-8")
    (home / "500.checkpoint").write_bytes(archive.notes[500])
    verify = ["verify", "--url", url]
    done = audit(*verify, "--public-key", "audit.pub")
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert lines[0] == f"yes: the log is the one that was signed: 500 of {RECORDS} records"
    assert f"not vouched for yet: positions 501 to {RECORDS}" in lines
    assert any(line.startswith("projections: host_fact 2, parent ") for line in lines)
    done = audit(*verify, "--log-only")
    assert (done.code, done.out.splitlines()[0]) == (
        3,
        f"unknown: {RECORDS} records agree with themselves, and nobody vouches for them",
    )
    assert audit(*verify, "--log-only", "--checkpoint", "500.checkpoint").code == 0
    archive.sql("UPDATE record_log SET seq = 9999 WHERE position = 77", "DELETE FROM profile")
    done = audit(*verify, "--public-key", archive.key.public.text)
    assert done.code == 1
    assert done.out.startswith(f"no: 2 traces of tampering in {RECORDS} records")
    assert "ROW_CHANGED  the row at position 77 is not the one that was logged, column seq" in done.out
    assert "PROJECTION_MISSING  profile, digest=" in done.out
    done = audit(*verify, "--log-only", "-o", "json")
    told = json.loads(done.out)
    assert (told["answer"], told["findings"][0]["position"], told["findings"][0]["column"]) == ("no", 77, "seq")
    assert audit(*verify, "--log-only", "-o", "csv").out.splitlines()[1].startswith("ROW_CHANGED,record_log,77,")


def test_prove_check_and_consistency(archive: Archive, url: str, audit: Run, home: Path) -> None:
    """A proof is written, and checked without the database."""
    (home / "audit.pub").write_text(archive.key.public.text, encoding="utf-8")
    (home / "100.checkpoint").write_bytes(archive.notes[100])
    done = audit("prove", "42", "-o", "42.tlog-proof", "--url", url)
    assert done.code == 0, done.err
    assert done.out.startswith("yes: position 42 is in the log of 500 records that log.example signed\n")
    done = audit("check", "42.tlog-proof", "--public-key", "audit.pub", "-o", "json")
    assert (done.code, json.loads(done.out)["position"]) == (0, "42")
    text = (home / "42.tlog-proof").read_text(encoding="utf-8")
    (home / "43.tlog-proof").write_text(text.replace("index 41", "index 42"), encoding="utf-8")
    done = audit("check", "43.tlog-proof", "--public-key", "audit.pub")
    assert (done.code, done.out.startswith("no: the record is not at index 42 of the tree")) == (1, True)
    done = audit("consistency", "100.checkpoint", "500", "--url", url)
    assert (done.code, done.out.splitlines()[0]) == (
        0,
        "yes: the log's first 500 records begin with the same 100",
    )
    note = archive.notes[100].decode().replace("\n100\n", "\n99\n")
    (home / "99.checkpoint").write_text(note, encoding="utf-8")
    done = audit("consistency", "99.checkpoint", "500", "--url", url)
    assert (done.code, done.out.startswith("no: no proof holds from 99 to 500")) == (1, True)


def test_what_can_not_be_meant_is_refused(archive: Archive, url: str, audit: Run, home: Path) -> None:
    """Exit 2, with the way out."""
    (home / "forged.checkpoint").write_bytes(archive.notes[100].replace(b"\n100\n", b"\n101\n"))
    public = ["--public-key", archive.key.public.text]
    for arguments, text in (
        (["verify", "--url", url, "--public-key", "none.pub"], "none.pub can't be read"),
        (["verify", "--url", url, "--checkpoint", "forged.checkpoint", *public], "is forged or damaged"),
        (["prove", "510", "--url", url], "no checkpoint covers position 510 yet"),
        (["prove", "42", "-o", "none/42", "--url", url], "none/42 can't be written"),
        (["prove", "42", "--url", url, "--as-of", "-1d"], "No such option"),
        (["check", "none.tlog-proof"], "--public-key is missing"),
        (["consistency", "5", "3", "--url", url], "smaller one first"),
        (["verify", "--url", "http://127.0.0.1:1", *public], "http://127.0.0.1:1 is no database"),
    ):
        done = audit(*arguments)
        assert text in done.err, (arguments, done.err)
        assert done.code == 2


def test_a_database_without_a_registry_is_signed_by_hand(
    archive: Archive, url: str, run_cli: RunCli, home: Path
) -> None:
    """Key, checkpoint, folder, and a verification by them."""
    archive.forget_tree()
    made = run_cli(["mdevreg-server", "audit", "keygen", "audit.key", "--name", "log.example.org"])
    assert made.returncode == 0, made.stderr
    assert made.stdout == run_cli(["mdevreg-server", "audit", "public-key", "audit.key"]).stdout
    sign = ["mdevreg-server", "audit", "checkpoint", "--database", url]
    done = run_cli([*sign, "--audit-key", "audit.key", "--audit-folder", "out"])
    assert done.stdout.startswith(f"log.example.org\n{RECORDS}\n"), done.stderr
    assert (home / "out" / "latest.checkpoint").read_text(encoding="utf-8") == done.stdout
    verify = ["mdevreg", "audit", "verify", "--url", url, "--checkpoint", "out/latest.checkpoint"]
    done = run_cli([*verify, "--public-key", made.stdout.strip()])
    assert done.stdout.startswith(f"yes: the log is the one that was signed: {RECORDS} of {RECORDS} records")
    assert run_cli(sign).returncode == 2
    assert checkpoint_rows(archive) == 1
