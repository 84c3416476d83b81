"""The operators' folder: hot-reloaded, faults by file and line, and nothing lost by a slip."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

import pytest
import sqlalchemy as sa

from mdevreg.catalog_file import MAX_FILE_CHARS
from mdevreg.catalog_folder import MAX_FILES, faults, read_files, stamp_of
from mdevreg.errors import StateError
from mdevreg.facts import NOW
from mdevreg_server import quarantine
from mdevreg_server.amendments import Beliefs
from mdevreg_server.asking import LATEST
from mdevreg_server.broker import Broker
from mdevreg_server.messages import Message
from mdevreg_server.sql_door import SqlDoor
from mdevreg_server.wholeness import faults_of
from support.catalogs import file_of, folder_of, silent
from support.hosts import look, uuid_of
from support.publisher import Publisher
from support.registry import Desk, migrated, positions
from support.serving import Serving, serving

#: Runs a registry that watches a folder.
Start = Callable[[Path | None], AbstractContextManager[Serving]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one good file."""
    return folder_of(tmp_path / "catalog.d", good=file_of("site-1"))


@pytest.fixture
def start(sqlite_database_url: str, nats_server: Broker, engine_sqlite: sa.Engine) -> Start:
    """Runs a registry that watches a folder."""
    return lambda folder: serving(sqlite_database_url, nats_server.url, catalog=folder)


@pytest.fixture
def engine_sqlite(sqlite_database_url: str) -> Iterator[sa.Engine]:
    """One database is enough where files are tested."""
    with migrated(sqlite_database_url) as engine:
        yield engine


def _believed(engine: sa.Engine) -> dict[str, str]:
    """What is believed of the folder: ids and what they save."""
    with engine.connect() as connection:
        entries = Beliefs().at(connection, LATEST).entries["folder"]
    return {name: str(entry.saves) for name, entry in entries.items()}


def _refused(engine: sa.Engine, state: str = "open") -> list[tuple[str, str]]:
    """Files in quarantine: subject and reason, oldest first."""
    with engine.connect() as connection:
        return [(row["subject"], row["reason"]) for row in quarantine.listed(connection, state=state)][::-1]


def _is_open(engine: sa.Engine, wanted: list[str]) -> bool:
    return [subject for subject, _ in _refused(engine)] == wanted


def _until(registry: Serving, engine: sa.Engine, wanted: dict[str, str]) -> None:
    registry.until(lambda: _believed(engine) == wanted, f"{wanted} is believed")


def test_a_change_in_the_folder_is_believed_within_seconds_without_a_restart(
    engine: sa.Engine, nats_server: Broker, folder: Path
) -> None:
    """Hot: files that come, change and go, on both databases; the answers follow, no host is touched."""
    Desk(engine).take(*Publisher().snapshot(look(silent(devices=(1,)))))
    with (
        serving(engine.url.render_as_string(hide_password=False), nats_server.url, catalog=folder) as registry,
        SqlDoor(engine) as door,
    ):
        assert _believed(engine) == {"site-1": "1.0"}
        assert "'operator', named='site-1'" in repr(door.pair(uuid_of(1), "alpha", NOW).source.support)
        folder_of(folder, more=file_of("site-2", "site-3"))
        _until(registry, engine, {"site-1": "1.0", "site-2": "1.0", "site-3": "1.0"})
        folder_of(folder, more=file_of("site-2", saves="2.0"))
        _until(registry, engine, {"site-1": "1.0", "site-2": "2.0"})
        (folder / "good.toml").unlink()
        (folder / "more.toml").unlink()
        _until(registry, engine, {})
        registry.until_said("catalog.changed origin=folder put=0 removed=")
        assert _refused(engine) == []
    written = positions(engine)
    with serving(engine.url.render_as_string(hide_password=False), nats_server.url, catalog=folder):
        assert positions(engine) == written
    assert faults_of(engine) == []


def test_a_faulty_file_is_quarantined_by_file_and_line_and_its_entries_stay(
    engine_sqlite: sa.Engine, start: Start, folder: Path
) -> None:
    """While a file is faulty nothing is removed, what is good elsewhere is used; mended, the item is settled."""
    folder_of(folder, other=file_of("site-2"))
    with start(folder) as registry:
        folder_of(folder, good=file_of("site-1").replace('saves = "1.0"', 'saves = "one"'), other=file_of("site-3"))
        registry.until_said("catalog.refused good.toml:11: ")
        assert _believed(engine_sqlite) == {"site-1": "1.0", "site-2": "1.0", "site-3": "1.0"}
        [(subject, reason)] = _refused(engine_sqlite)
        assert subject == "catalog.good.toml"
        assert reason.startswith("good.toml:11: 'one' is no dotted version")
        folder_of(folder, good=file_of("site-1", saves="1.1"))
        _until(registry, engine_sqlite, {"site-1": "1.1", "site-3": "1.0"})
        assert (_refused(engine_sqlite), len(_refused(engine_sqlite, "dropped"))) == ([], 1)


def test_the_same_fault_again_is_open_again(engine_sqlite: sa.Engine, start: Start, folder: Path) -> None:
    """One item for one content, whatever became of it: mended, broken in the same way, and after a restart."""
    with start(folder) as registry:
        for state in ("open", "dropped", "open"):
            folder_of(folder, good="nonsense" if state == "open" else file_of("site-1"))
            wanted = [] if state == "dropped" else ["catalog.good.toml"]
            registry.until(partial(_is_open, engine_sqlite, wanted), f"it is {state}")
    with start(folder):
        assert [subject for subject, _ in _refused(engine_sqlite)] == ["catalog.good.toml"]
        assert _believed(engine_sqlite) == {"site-1": "1.0"}


def test_a_folder_that_goes_away_removes_nothing_and_is_told_once(
    engine_sqlite: sa.Engine, start: Start, folder: Path
) -> None:
    """An unmounted share must not change what is believed of a fleet; when it is back, it is watched again."""
    away = folder.with_name("away")
    with start(folder) as registry:
        for times in (1, 2):
            folder.rename(away)
            registry.until(lambda: sum("catalog.waiting" in line for line in registry.said) == times, "it is told")  # noqa: B023
            away.rename(folder)
            registry.until(lambda: sum("catalog.recovered" in line for line in registry.said) == times, "it is back")  # noqa: B023
        assert _believed(engine_sqlite) == {"site-1": "1.0"}
        folder_of(folder, more=file_of("site-2"))
        _until(registry, engine_sqlite, {"site-1": "1.0", "site-2": "1.0"})
    with start(None) as registry:
        assert any(line.startswith("catalog.unwatched entries=2 ") for line in registry.said)
        assert len(_believed(engine_sqlite)) == 2


def test_a_folder_that_is_not_there_at_the_start_is_a_slip(start: Start, tmp_path: Path) -> None:
    """Said at once, before anything is served."""
    with pytest.raises(StateError, match=r"expected a folder of \*\.toml files") as caught, start(tmp_path / "no"):
        pass
    assert caught.value.code == "CATALOG_FOLDER"


def _pipe(file: Path) -> None:
    os.mkfifo(file)


def _dangling(file: Path) -> None:
    file.symlink_to(file.with_name("nowhere"))


def _looping(file: Path) -> None:
    file.symlink_to(file)


@pytest.mark.parametrize(
    ("make", "fault"),
    [
        (lambda file: file.write_bytes(b'a = "\n\xff"'), "x.toml:2: no UTF-8: byte 0xff"),
        (lambda file: file.write_text("#" * (MAX_FILE_CHARS + 1)), "x.toml:1: the file has 1000001 characters"),
        (lambda file: file.write_bytes(b"#" * 5_000_000), "x.toml:1: the file has more than 4000000 bytes"),
        (lambda file: file.mkdir(), "x.toml:1: no regular file"),
        (_pipe, "x.toml:1: no regular file"),
        (_dangling, "x.toml:1: can't be read: No such file"),
        (_looping, "x.toml:1: can't be read: Too many levels of symbolic links"),
        (
            lambda file: file.write_text(file_of("site-0", "site-1")),
            "x.toml:15: the id 'site-1' is in good.toml already",
        ),
        (lambda file: file.write_text(""), "x.toml:1: no [[entry]] is in this file"),
        (lambda file: file.write_bytes(b"\x00" * 100), "x.toml:1: no TOML"),
    ],
    ids=["no UTF-8", "too long", "huge", "folder", "pipe", "dangling", "loop", "duplicate id", "empty", "NULs"],
)
def test_whatever_lies_in_the_folder_is_told_and_the_rest_is_used(
    desk: Desk, folder: Path, make: Callable[[Path], object], fault: str
) -> None:
    """One line by file and line, kept in quarantine on both databases; nothing hangs, nothing stops."""
    make(folder / "x.toml")
    reading = read_files([folder])
    assert [entry.id for entry in reading.entries] == ["site-1"]
    [line] = list(faults(reading))
    assert line.startswith(fault)
    assert stamp_of(folder) == stamp_of(folder)
    items = [_refusal(each.file, each.data, str(each.error)) for each in reading.refused]
    with desk.engine.begin() as connection:
        quarantine.keep_files(connection, "catalog", items, 1)
    assert [subject for subject, _ in _refused(desk.engine)] == ["catalog.x.toml"]


def _refusal(file: str, data: bytes, reason: str) -> quarantine.Refusal:
    return quarantine.Refusal(Message(f"catalog.{file}", data, 0, 1), "CATALOG", reason)


def test_two_files_with_the_same_content_are_two_items(desk: Desk) -> None:
    """Mending one of two unreadable files settles that one; a record in quarantine is none of them."""
    desk.take(b"not json")
    one, two = (_refusal(name, b"", "can't be read") for name in ("a.toml", "b.toml"))
    for now_us, items in enumerate(([one, two], [two]), 1):
        with desk.engine.begin() as connection:
            quarantine.keep_files(connection, "catalog", items, now_us)
    assert [subject for subject, _ in _refused(desk.engine)] == ["mdevreg.v1.record.host-1", "catalog.b.toml"]
    assert [subject for subject, _ in _refused(desk.engine, "dropped")] == ["catalog.a.toml"]


def test_a_file_that_looks_like_a_record_is_nobodys_record(desk: Desk) -> None:
    """Its number is not settled for an agent that is called like a file."""
    record = Publisher("toml").snapshot(look(silent()))[0]
    with desk.engine.begin() as connection:
        quarantine.keep_files(connection, "catalog", [_refusal("x.toml", record, "no TOML")], 1)
        [item] = quarantine.listed(connection)
        assert (item["host"], quarantine.numbers(connection, "toml", "epoch-1")) == (None, set())


def test_a_file_that_may_not_be_read_is_told_and_read_as_soon_as_it_may_be() -> None:
    """The times of its inode tell: neither its size nor its content changes."""
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        folder = folder_of(Path(place) / "catalog.d", good=file_of("site-1"))
        (folder / "good.toml").chmod(0)
        with _not_root():
            before = stamp_of(folder)
            assert list(faults(read_files([folder]))) == ["good.toml:1: can't be read: Permission denied"]
        (folder / "good.toml").chmod(0o644)
        with _not_root():
            assert stamp_of(folder) != before
            assert len(read_files([folder]).entries) == 1


@contextmanager
def _not_root() -> Iterator[None]:
    """Root may read everything; nobody may not."""
    before = os.geteuid()
    os.seteuid(65_534 if before == 0 else before)
    try:
        yield
    finally:
        os.seteuid(before)


def test_names_that_no_terminal_takes_are_escaped(folder: Path) -> None:
    """Bytes that are no UTF-8, line breaks, escapes: one line per fault, one item per file."""
    for name in (b"a\xff.toml", b"b\nc.toml", b"d\x1b[2J.toml"):
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_text("nonsense")
    found = list(faults(read_files([folder])))
    assert len(found) == 3
    assert all(line.isprintable() for line in found)
    assert [line.partition(":")[0] for line in found] == ["a\\udcff.toml", "b\\nc.toml", "d\\x1b[2J.toml"]


def test_hidden_and_other_files_are_left_alone(folder: Path) -> None:
    """An editor's copies, a README, what a configuration manager keeps beside them."""
    for name in (".good.toml.swp", ".hidden.toml", "good.toml~", "README.md"):
        (folder / name).write_text("nonsense")
    reading = read_files([folder])
    assert (reading.files, reading.refused) == (1, ())


def test_a_folder_of_too_many_files_is_refused_whole(tmp_path: Path) -> None:
    """It is the wrong folder."""
    for number in range(MAX_FILES + 1):
        (tmp_path / f"{number}.toml").touch()
    with pytest.raises(StateError, match=f"holds {MAX_FILES + 1} files"):
        stamp_of(tmp_path)
