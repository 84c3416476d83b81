"""The outbox loses nothing that was not receipted, and says so when it must."""

from __future__ import annotations

import resource
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mdevreg import wire
from mdevreg.errors import StateError
from mdevreg.records import Cause, CompleteBody, Record
from mdevreg_agent.outbox import OUTBOX_FILE, Outbox, open_outbox
from mdevreg_agent.picture import Documents
from mdevreg_agent.recorder import Limits, Recorder
from mdevreg_agent.standing import Receipt, Resync

NOW = datetime(2026, 11, 24, tzinfo=UTC)
CAUSE = Cause(kind="rescan")


def state(number: int, *, parents: int = 1, size: int = 0) -> Documents:
    """A host of which the first parent changes with ``number``."""
    extra = b"x" * size
    documents = {f"/devices/p{at}": b'{"path":"/devices/p%d","name":"p"}' % at for at in range(parents)}
    documents["/devices/p0"] = b'{"path":"/devices/p0","name":"p%d%s"}' % (number, extra)
    return Documents(facts=b'{"hostname":"a"}', parents=documents)


def recorder_on(folder: Path, *, records: int = 10_000, max_bytes: int = 2**26, host: str = "h1") -> Recorder:
    outbox, _ = open_outbox(folder, host=host, new_epoch=lambda: "e1", busy_s=0.1)
    return Recorder(outbox, limits=Limits(records=records, max_bytes=max_bytes), new_epoch=lambda: "e2")


@contextmanager
def recorder(folder: Path, *, records: int = 10_000, max_bytes: int = 2**26) -> Iterator[Recorder]:
    made = recorder_on(folder, records=records, max_bytes=max_bytes)
    with closing(made.outbox):
        yield made


def record(recorder: Recorder, documents: Documents, resync: Resync | None = None) -> tuple[Record, ...]:
    return recorder.record(documents, cause=CAUSE, observed_at=NOW, resync=resync)


def stored(outbox: Outbox) -> list[Record]:
    return [wire.decode(data).record for _, data in outbox.unsent(after=0, limit=10_000)]


def settle(recorder: Recorder, seq: int) -> None:
    recorder.receive(Receipt(epoch=recorder.outbox.standing().epoch, seq=seq, digest=""))


def test_the_first_look_is_a_complete_snapshot_and_the_next_a_diff(tmp_path: Path) -> None:
    """MUST: a new epoch begins with all that there is; then only changes follow, in sequence from 1."""
    with recorder(tmp_path) as made:
        record(made, state(1))
        assert record(made, state(1)) == ()
        record(made, state(2))
        kinds = [body.__struct_config__.tag for body in (found.body for found in stored(made.outbox))]
        assert kinds == ["host", "parent", "complete", "parent"]
        assert [found.seq for found in stored(made.outbox)] == [1, 2, 3, 4]


def test_a_restart_goes_on_where_it_was(tmp_path: Path) -> None:
    """MUST: same epoch, next seq, and the difference to the stored picture only."""
    with recorder(tmp_path) as made:
        record(made, state(1))
    with recorder(tmp_path) as made:
        (changed,) = record(made, state(2))
        assert (changed.epoch, changed.seq) == ("e1", 4)
        assert changed.digest == state(2).digest == made.outbox.standing().digest


def test_only_a_receipt_removes_records(tmp_path: Path) -> None:
    """MUST: a receipt for seq s forgets everything up to s, and nothing above it, for good."""
    with recorder(tmp_path) as made:
        record(made, state(1))
        settle(made, 2)
        assert [found.seq for found in stored(made.outbox)] == [3]
    with recorder(tmp_path) as made:
        standing = made.outbox.standing()
        assert (standing.settled_seq, standing.last_seq, standing.unsent, standing.receipted) == (2, 3, 1, True)


def test_picture_and_records_change_together_or_not_at_all(tmp_path: Path) -> None:
    """MUST: an error between the two leaves neither."""
    with recorder(tmp_path) as made:
        record(made, state(1))
        before = made.outbox.standing()
        made.outbox._database.execute(
            "CREATE TEMP TRIGGER stop BEFORE DELETE ON picture BEGIN SELECT raise(ABORT, 'stopped'); END"
        )
        with pytest.raises(StateError, match="stopped"):
            record(made, Documents(facts=b'{"hostname":"b"}', parents={}))
        assert made.outbox.standing() == before
        assert made.outbox.picture() == state(1)


def test_a_full_disk_is_reported_and_the_next_look_finds_the_change_again(tmp_path: Path) -> None:
    """MUST: with the disk full nothing is half written; with room again the change is recorded."""
    with recorder(tmp_path) as made:
        record(made, state(1))
        before = made.outbox.standing()
        with file_size_limit(8_192), pytest.raises(StateError, match=r"outbox.sqlite3 failed: .*see to the disk"):
            record(made, state(2, size=100_000))
        assert made.outbox.standing() == before
        (changed,) = record(made, state(2, size=100_000))
        assert changed.seq == before.last_seq + 1


def test_a_locked_outbox_is_reported_and_the_next_look_finds_the_change_again(tmp_path: Path) -> None:
    """MUST: another program that holds the file is waited for, then reported; nothing is lost."""
    with recorder(tmp_path) as made:
        record(made, state(1))
        with closing(sqlite3.connect(tmp_path / OUTBOX_FILE, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StateError, match="locked"):
                record(made, state(2))
        assert [changed.seq for changed in record(made, state(2))] == [4]


def test_an_overflow_becomes_one_snapshot_that_names_what_was_dropped(tmp_path: Path) -> None:
    """MUST: beyond the bound all that waits is dropped, counted and declared; the state is still complete."""
    with recorder(tmp_path, records=5) as made:
        record(made, state(0))
        settle(made, 3)
        for number in range(1, 7):
            written = record(made, state(number))
        last = written[-1].body
        assert isinstance(last, CompleteBody)
        assert last.skipped == (4, 8)
        assert written[0].cause.kind == "overflow"
        assert [found.seq for found in stored(made.outbox)] == [9, 10, 11]
        assert made.outbox.standing().dropped == 5


def test_an_overflow_after_an_overflow_declares_both(tmp_path: Path) -> None:
    """MUST: a dropped declaration is declared again: the range reaches back to the last receipt."""
    with recorder(tmp_path, records=4) as made:
        for number in range(10):
            written = record(made, state(number))
            if written[0].cause.kind == "overflow":
                body = written[-1].body
                assert isinstance(body, CompleteBody)
                assert body.skipped == (1, written[0].seq - 1)
        assert written[-1].seq > 8


def test_bytes_are_bounded_too(tmp_path: Path) -> None:
    """MUST: few large records overflow like many small ones."""
    with recorder(tmp_path, max_bytes=20_000) as made:
        record(made, state(1, size=9_000))
        written = record(made, state(2, size=12_000))
        assert written[0].cause.kind == "overflow"


def test_one_look_larger_than_the_bound_is_still_recorded(tmp_path: Path) -> None:
    """MUST: with nothing to give up, the snapshot is kept whatever its size."""
    with recorder(tmp_path, records=2) as made:
        assert len(record(made, state(1, parents=5))) == 7
        assert made.outbox.standing().dropped == 0


@pytest.mark.parametrize(
    "content", [b"not a database, but long enough to be looked at" * 100, b"SQLite format 3\0" + b"\xff" * 8_192]
)
def test_a_damaged_outbox_is_kept_aside_and_a_new_epoch_begins(tmp_path: Path, content: bytes) -> None:
    """MUST: what can't be read is never deleted, and the agent goes on with a complete snapshot."""
    (tmp_path / OUTBOX_FILE).write_bytes(content)
    outbox, moved = open_outbox(tmp_path, host="h1", new_epoch=lambda: "e9")
    with closing(outbox):
        assert moved is not None
        assert "damaged" in moved
        assert (tmp_path / f"{OUTBOX_FILE}.aside-e9").read_bytes() == content
        standing = outbox.standing()
        assert (standing.epoch, standing.last_seq) == ("e9", 0)


def test_pages_damaged_inside_are_found_at_the_start(tmp_path: Path) -> None:
    """MUST: a file with a good head and bad pages is no sound outbox either."""
    with recorder(tmp_path) as made:
        for number in range(50):
            record(made, state(number, size=2_000))
    path = tmp_path / OUTBOX_FILE
    data = bytearray(path.read_bytes())
    data[4_096 * 3 : 4_096 * 9] = b"\xa5" * 4_096 * 6
    path.write_bytes(data)
    outbox, moved = open_outbox(tmp_path, host="h1", new_epoch=lambda: "e9")
    outbox.close()
    assert moved is not None


def test_the_outbox_of_another_host_is_kept_aside(tmp_path: Path) -> None:
    """MUST: records of one id are never published under another."""
    with recorder(tmp_path) as made:
        record(made, state(1))
    outbox, moved = open_outbox(tmp_path, host="h2", new_epoch=lambda: "e9")
    with closing(outbox):
        assert moved is not None
        assert "the outbox of host h1" in moved
        assert outbox.standing().unsent == 0


def test_a_foreign_database_is_kept_aside(tmp_path: Path) -> None:
    """MUST: somebody else's SQLite file under our name survives."""
    with closing(sqlite3.connect(tmp_path / OUTBOX_FILE)) as other:
        other.execute("CREATE TABLE theirs (a)")
    outbox, moved = open_outbox(tmp_path, host="h1", new_epoch=lambda: "e9")
    outbox.close()
    assert moved is not None
    with closing(sqlite3.connect(tmp_path / f"{OUTBOX_FILE}.aside-e9")) as kept:
        assert kept.execute("SELECT name FROM sqlite_master").fetchall() == [("theirs",)]


def test_an_outbox_older_than_its_receipts_begins_a_new_epoch(tmp_path: Path) -> None:
    """MUST: sequence numbers that the registry already has are never used a second time."""
    with recorder(tmp_path) as made:
        record(made, state(1))
        answer, _ = made.receive(Receipt(epoch="e1", seq=90, digest=""))
        assert answer.resync is not None
        written = record(made, state(2), answer.resync)
        assert [(found.epoch, found.seq) for found in written] == [("e2", 1), ("e2", 2), ("e2", 3)]
        assert stored(made.outbox) == list(written)


steps = st.lists(st.tuples(st.sampled_from(["look", "receipt", "restart"]), st.integers(0, 6)), max_size=25)


@given(steps=steps)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_seq_has_no_gap_but_the_declared_ones(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]
) -> None:
    """MUST: whatever happens, each seq is receipted, waiting, or declared skipped; the last one ends in the state."""
    folder = tmp_path_factory.mktemp("outbox")
    made = recorder_on(folder, records=6)
    for step, number in steps:
        if step == "look":
            record(made, state(number))
        elif step == "receipt":
            settle(made, min(number, made.outbox.standing().last_seq))
        else:
            made.outbox.close()
            made = recorder_on(folder, records=6)
    with closing(made.outbox):
        check_no_gap(made.outbox)


def check_no_gap(outbox: Outbox) -> None:
    standing, waiting = outbox.standing(), stored(outbox)
    accounted = set(range(1, standing.settled_seq + 1)) | {found.seq for found in waiting}
    for found in waiting:
        if isinstance(found.body, CompleteBody) and found.body.skipped:
            accounted |= set(range(found.body.skipped[0], found.body.skipped[1] + 1))
    assert accounted == set(range(1, standing.last_seq + 1))
    assert not waiting or waiting[-1].digest == standing.digest


@contextmanager
def file_size_limit(size_bytes: int) -> Iterator[None]:
    """No file of this process may grow beyond it: write(2) then fails as on a full disk (setrlimit(2))."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
