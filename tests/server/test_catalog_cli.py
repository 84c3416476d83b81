"""`mdevreg-server catalog …`: what is believed of drivers, looked at, written out, changed and taken back."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdevreg.catalog import BuildKey, Entry
from mdevreg.catalog_file import read_catalog_file
from mdevreg.knowledge import Origin
from mdevreg.shipped import shipped_entries
from mdevreg.statements import MatchRule, VersionSet
from mdevreg_server.cli.catalog import _requests
from mdevreg_server.cli.catalog_diff import difference_of
from mdevreg_server.cli.catalog_toml import toml_of
from support.catalogs import entry, file_of, folder_of
from support.nats_server import StartBroker
from support.processes import RunCli
from support.registry import Desk, amendments
from support.serving import serving
from support.tree import ROOT

Server = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def url(desk: Desk) -> str:
    """The database of ``desk``."""
    return desk.engine.url.render_as_string(hide_password=False)


@pytest.fixture
def server(run_cli: RunCli, url: str) -> Server:
    """Runs `mdevreg-server catalog …` on the database of ``desk``."""

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return run_cli(["mdevreg-server", "catalog", *arguments], env={"MDEVREG_DATABASE": url})

    return run


def _believed(desk: Desk, origin: Origin) -> dict[str, str]:
    entries = Desk(desk.engine, desk.stream).ledger.knowledge().entries[origin]
    return {name: str(each.saves) for name, each in entries.items()}


# lint


def test_lint_tells_every_fault_by_file_and_line_and_what_is_good(run_cli: RunCli, tmp_path: Path) -> None:
    """As a compiler does: on stdout, the path as it was given; no registry is needed."""
    folder = folder_of(tmp_path / "catalog.d", a=file_of("site-1", "site-2"), b=file_of("site-3"))
    done = run_cli(["mdevreg-server", "catalog", "lint", folder])
    assert (done.returncode, done.stdout, done.stderr) == (0, "3 entries in 2 files, all good\n", "")
    folder_of(folder, b=file_of("site-1").replace('"dotted"', '"dotte"'), c="x = ")
    done = run_cli(["mdevreg-server", "catalog", "lint", folder])
    first, second = done.stdout.splitlines()
    assert first.startswith(f"{folder}/b.toml:10: Invalid enum value 'dotte'")
    assert second.startswith(f"{folder}/c.toml:1: no TOML")
    summary = "2 faults in 2 of 3 files; 2 entries are good in the others"
    assert (done.returncode, done.stderr) == (2, f"mdevreg-server: CATALOG: {summary}\n")


def test_lint_takes_files_together_and_says_which_is_missing(run_cli: RunCli, tmp_path: Path) -> None:
    """An id belongs to one of them; a path that is not there is a slip, not a fault of a file."""
    folder_of(tmp_path, a=file_of("site-1"), b=file_of("site-1"))
    done = run_cli(["mdevreg-server", "catalog", "lint", tmp_path / "a.toml", tmp_path / "b.toml"])
    assert done.stdout == f"{tmp_path}/b.toml:4: the id 'site-1' is in {tmp_path}/a.toml already\n"
    assert done.returncode == 2
    done = run_cli(["mdevreg-server", "catalog", "lint", tmp_path / "c.toml"])
    assert (done.returncode, done.stderr.split(": ")[1]) == (2, "CATALOG_FOLDER")


def test_the_shipped_files_are_good_by_the_same_measure(run_cli: RunCli) -> None:
    """They are read by the same code."""
    done = run_cli(["mdevreg-server", "catalog", "lint", ROOT / "registry/mdevreg/shipped"])
    assert (done.returncode, done.stdout.split()[0]) == (0, str(len(shipped_entries())))


def test_the_file_of_the_manual_is_good(run_cli: RunCli, tmp_path: Path) -> None:
    """It is copied from there."""
    manual = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    text = manual.partition("```toml\ndrivers")[2].partition("```")[0]
    done = run_cli(["mdevreg-server", "catalog", "lint", folder_of(tmp_path / "catalog.d", manual=f"drivers{text}")])
    assert (done.returncode, done.stdout) == (0, "1 entry in 1 file, all good\n")


# import and remove


def test_entries_are_imported_and_taken_back_where_no_registry_runs(desk: Desk, server: Server, tmp_path: Path) -> None:
    """What changed is told; twice is harmless; the author is kept; a way back is there."""
    folder = folder_of(tmp_path / "catalog.d", a=file_of("site-1"), b=file_of("site-2"))
    done = server("import", folder, "--author", "alice")
    assert (done.returncode, done.stdout, done.stderr) == (0, "put site-1\nput site-2\n", "")
    assert server("import", folder / "a.toml").stdout == "nothing changed\n"
    assert server("import", folder_of(folder, a=file_of("site-1", saves="2.0")) / "a.toml").stdout == "put site-1\n"
    assert server("remove", "site-2").stdout == "removed site-2\n"
    assert _believed(desk, "import") == {"site-1": "2.0"}
    authors = [each.author for _, _, each in amendments(desk.engine)]
    assert authors[0] == "alice"
    assert all("@" in author for author in authors[1:])
    missing = server("remove", "site-2", "site-1")
    assert (missing.returncode, "NOT_FOUND" in missing.stderr) == (2, True)
    assert _believed(desk, "import") == {"site-1": "2.0"}


def test_a_faulty_file_imports_nothing_at_all(desk: Desk, server: Server, tmp_path: Path) -> None:
    """All or nothing, with the faults as lint tells them."""
    folder = folder_of(tmp_path / "catalog.d", a=file_of("site-1"), b="x = ")
    done = server("import", folder)
    assert (done.returncode, done.stdout.startswith(f"{folder}/b.toml:1: no TOML")) == (2, True)
    assert amendments(desk.engine) == []


def test_a_running_registry_is_asked_and_its_database_left_alone(
    desk: Desk, url: str, server: Server, run_cli: RunCli, start_broker: StartBroker, tmp_path: Path
) -> None:
    """Without --nats: refused with the way out. With it: believed at once, in as many requests as the broker needs."""
    broker = start_broker(max_payload=64 * 1024)
    files = {f"f{n}": file_of(*(f"site-{n}-{m}" for m in range(60))) for n in range(10)}
    folder = folder_of(tmp_path / "catalog.d", **files)
    with serving(url, broker.url, catalog=folder_of(tmp_path / "watched", a=file_of("site-0-0"))):
        refused = server("import", folder)
        assert (refused.returncode, refused.stderr.split(": ")[1]) == (2, "SECOND_WRITER")
        assert "--nats nats://" in refused.stderr
        done = server("import", folder, "--nats", broker.url)
        assert (done.returncode, len(done.stdout.splitlines())) == (0, 600)
        assert done.stderr.startswith("mdevreg-server: site-0-0 is in the operators' folder too")
        assert server("import", folder, "--nats", broker.url).stdout == "nothing changed\n"
        assert (
            server("remove", "site-1-1", "site-1-2", "--nats", broker.url).stdout
            == "removed site-1-1\nremoved site-1-2\n"
        )
        gone = server("remove", "site-1-1", "--nats", broker.url)
        assert (gone.returncode, "NOT_FOUND: no imported catalog entry" in gone.stderr) == (2, True)
        both = server("import", folder, "--nats", broker.url, "--database", url)
        assert (both.returncode, "one of --nats" in both.stderr) == (2, True)
    assert len(_believed(desk, "import")) == 598
    away = run_cli(["mdevreg-server", "catalog", "import", folder, "--nats", broker.url])
    assert (away.returncode, "no registry takes decisions" in away.stderr) == (5, True)


def test_requests_are_as_few_as_the_broker_lets_pass_and_none_is_too_long() -> None:
    """Nothing is lost or doubled in the cut; what is longer by itself is told with the way out."""
    documents = [(f"e{n}", json.dumps("x" * n).encode()) for n in range(0, 3_000, 7)]
    made = list(_requests("entries", documents, "alice", 30_000))
    assert all(len(request) <= 30_000 for request in made)
    assert [each for request in made for each in json.loads(request)["entries"]] == [
        "x" * n for n in range(0, 3_000, 7)
    ]
    assert len(made) < 90
    with pytest.raises(Exception, match=r"e1 has 40000 bytes, .* --database"):
        list(_requests("entries", [("e1", b"x" * 40_000)], "alice", 30_000))


# list, export, diff


def test_the_list_says_what_is_believed_and_why(desk: Desk, server: Server) -> None:
    """Every entry with its origin, as now or as then known."""
    desk.book.set_entries("shipped", shipped_entries(), author="mdevreg")
    desk.book.import_entries([entry("site-1")], author="alice")
    header, *lines = server("list", "--driver", "mtty").stdout.splitlines()
    assert header.split() == ["ID", "DRIVERS", "FORMAT", "SAVES", "LOADS", "CONFIDENCE", "ORIGIN", "DATE", "SOURCE"]
    [mine] = [line for line in lines if line.startswith("site-1 ")]
    assert " ".join(mine.split()[1:]) == "mtty mtty [1.0] [1.0] measured import 2026-11-24 read on the test bench"
    assert len(lines) == 1 + sum("mtty" in each.drivers for each in shipped_entries())
    assert any("not migratable" in line for line in server("list", "--driver", "vfio_ap").stdout.splitlines())
    then = json.loads(server("list", "--known-at", "1", "-o", "json").stdout)
    assert (then["position"], {each["origin"] for each in then["entries"]}) == (1, {"shipped"})
    assert len(then["entries"]) == len(shipped_entries())


def test_an_export_is_a_file_that_is_read_back_to_the_same(desk: Desk, server: Server, tmp_path: Path) -> None:
    """What was exported can be imported elsewhere; the operators' own goes before the shipped of its id."""
    desk.book.set_entries("shipped", shipped_entries(), author="mdevreg")
    assert read_catalog_file(server("export").stdout, "x") == tuple(
        sorted(shipped_entries(), key=lambda each: (each.drivers, each.id))
    )
    own = entry(shipped_entries()[0].id, about="two\nlines")
    desk.book.import_entries([own], author="alice")
    exported = server("export", "--origin", "import")
    assert read_catalog_file(exported.stdout, "x") == (own,)
    assert exported.stdout.startswith("# exported by mdevreg-server at log position 2, origin: import\ndrivers = ")
    everything = server("export")
    assert f"{own.id} of shipped is left out" in everything.stderr
    assert own in read_catalog_file(everything.stdout, "x")
    assert [
        each["id"] for each in json.loads(server("export", "--origin", "import", "-o", "json").stdout)["entries"]
    ] == [own.id]
    nothing = server("export", "--origin", "folder")
    assert (nothing.returncode, nothing.stdout) == (2, "")
    (tmp_path / "out.toml").write_text(exported.stdout, encoding="utf-8")
    assert server("diff", tmp_path / "out.toml", "--origin", "import").returncode == 0


def test_a_diff_says_what_would_change_and_exits_as_diff_does(desk: Desk, server: Server, tmp_path: Path) -> None:
    """By id and field. As a folder, what it lacks would go; as an import, it would stay."""
    desk.book.set_entries("folder", [entry("a"), entry("b"), entry("c")], author="folder")
    folder = folder_of(tmp_path / "catalog.d", x=file_of("b"), y=file_of("c", saves="2.0"), z=file_of("d"))
    done = server("diff", folder)
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "+ d",
        "~ c",
        '    saves: "1.0" → "2.0"',
        '    loads: "1.0" → "2.0"',
        "- a",
        "1 added, 1 changed, 1 removed, 1 unchanged",
    ]
    as_import = json.loads(server("diff", folder, "--origin", "import", "-o", "json").stdout)
    assert (as_import["added"], as_import["removed"]) == (["b", "c", "d"], [])
    same = server("diff", folder_of(tmp_path / "same", x=file_of("a", "b", "c")))
    assert (same.returncode, same.stdout) == (0, "0 added, 0 changed, 0 removed, 3 unchanged\n")
    faulty = server("diff", folder_of(tmp_path / "faulty", x="x = "))
    assert (faulty.returncode, "see all: mdevreg-server catalog lint" in faulty.stderr) == (2, True)


def test_what_the_next_start_would_ship_is_told_before(desk: Desk, server: Server) -> None:
    """An upgrade's news, before the registry is started."""
    desk.book.set_entries("shipped", [*shipped_entries()[1:], entry("old")], author="mdevreg 0")
    done = server("diff", "--shipped")
    assert (done.returncode, done.stdout.splitlines()[:2]) == (1, [f"+ {shipped_entries()[0].id}", "- old"])
    desk.book.set_entries("shipped", shipped_entries(), author="mdevreg 1")
    assert server("diff", "--shipped").returncode == 0
    for wrong in (("diff",), ("diff", "x", "--shipped")):
        assert server(*wrong).returncode == 2


# laws

_NAMES = st.text(st.characters(exclude_categories=("C", "Z"), include_characters=" "), min_size=1, max_size=12)
_LINES = st.text(st.characters(exclude_categories=("C", "Zl", "Zp")), max_size=40)
_TEXTS = st.text(st.characters(exclude_categories=("C", "Zl", "Zp"), include_characters="\n\t"), max_size=60)
_FIELDS = st.dictionaries(_NAMES, _LINES.filter(str.strip), max_size=3)  # a blank value is a fault
_BUILDS = st.one_of(
    st.builds(lambda srcversion: BuildKey(srcversion=srcversion), _LINES),
    st.builds(lambda suffix: BuildKey(from_="6.1.0", before="6.2.0", suffix=suffix), _LINES),
    st.builds(lambda tail, version: BuildKey(kernel_release=f"6.1.0{tail}", version=version), _NAMES, _LINES),
)
_VERSIONS = st.sampled_from(
    [
        "1",
        ("1", "2"),
        VersionSet(range=("1", "3")),
        VersionSet(up_to="9"),
        VersionSet(tags=("a",), optional=("b",)),
        VersionSet(opaque=True),
    ]
)
_RULES = st.builds(
    lambda name, rule, place, about: MatchRule(field=name, rule=rule, from_=place, about=about),
    _NAMES,
    st.sampled_from(["equal", "superset", "advisory"]),
    st.sampled_from([None, "pci.revision", "attributes.board_id"]),
    st.none() | _LINES,
)
_COMMON: dict[str, Any] = {
    "id": _NAMES,
    "drivers": st.lists(_NAMES, min_size=1, max_size=2).map(tuple),
    "builds": st.lists(_BUILDS, min_size=1, max_size=3).map(tuple),
    "types": st.lists(_NAMES, max_size=2).map(tuple),
    "values": st.dictionaries(_NAMES, _FIELDS, max_size=2),
    "fields": _FIELDS,
    "match": st.lists(_RULES, max_size=2).map(tuple),
    "source": _LINES,
    "date": st.dates(date(2000, 1, 1), date(2100, 1, 1)),
    "confidence": st.sampled_from(["source", "measured", "derived", "doc", "unverified"]),
    "about": st.none() | _TEXTS,
    "beside": st.sampled_from([None, "sysfs", "nvml"]),
}
_ENTRIES = st.lists(
    st.builds(Entry, **_COMMON, migratable=st.just(False))
    | st.builds(Entry, **_COMMON, format=_NAMES, saves=_VERSIONS, loads=_VERSIONS)
    | st.builds(Entry, **_COMMON),
    min_size=1,
    max_size=4,
    unique_by=lambda each: each.id,
)


@given(_ENTRIES)
def test_any_entries_written_as_toml_are_read_back_equal(entries: list[Entry]) -> None:
    """Law: ``read_catalog_file(toml_of(entries)) == entries``, whatever their names, texts, dates and versions are."""
    assert read_catalog_file(toml_of(entries, "head\nof two lines"), "x") == tuple(entries)


@given(_ENTRIES, _ENTRIES, st.booleans())
def test_a_difference_is_empty_only_for_the_same(before: list[Entry], after: list[Entry], removing: bool) -> None:
    """Law: applied to what was, it gives what is to be; nothing is told twice."""
    old, new = {each.id: each for each in before}, {each.id: each for each in after}
    found = difference_of(old, after, removing=removing)
    told = [*found.added, *found.changed, *found.removed]
    assert len(told) == len(set(told))
    kept = {name: each for name, each in old.items() if name not in found.removed}
    made = kept | {name: new[name] for name in (*found.added, *found.changed)}
    assert made == (new if removing else old | new)
    assert found.same == (made == old)
    assert all(fields for fields in found.changed.values())
