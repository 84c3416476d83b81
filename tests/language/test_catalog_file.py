"""Catalog files: what is read, and that each fault is told by its line."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdevreg.catalog import BuildKey, Entry
from mdevreg.catalog_file import MAX_FILE_CHARS, faults_of, read_catalog_file
from mdevreg.errors import CatalogError
from mdevreg.statements import MatchRule, VersionSet

_GOOD = [
    "[[entry]]",
    'id = "{id}"',
    'source = "linux 6.12.117"',
    "date = 2026-11-24",
    'confidence = "source"',
    'builds = [{{ from = "6.10.0", before = "6.13.0" }}]',
    'format = "qat"',
    'saves = "1"',
    'loads = {{ up_to = "1" }}',
]
#: A line of an entry, what is put in its place, and what is said of it.
_FAULTS: list[tuple[str, str, str]] = [
    ("date", "date = 5", "Expected `date`"),
    ("date", 'date = "2026-11-24"', "Expected `date`"),
    ("confidence", 'confidence = "surely"', "Invalid enum value 'surely'"),
    ("source", "source = 7", "Expected `str`"),
    ("source", 'source = "a\\u001b[31m"', "control character"),
    ("id", 'id = ""', "length >= 1"),
    ("id", 'id = "a\\u0000"', "control character"),
    ("format", "formats = 1", "unknown field `formats`"),
    ("saves", 'saves = "1.0"', "is no integer version"),
    ("saves", 'saves = { tags = ["a"], exact = "1" }', "found exact, tags"),
    ("loads", 'loads = { range = ["3", "2"] }', "the minimum 3 is above"),
    ("loads", "loads = []", "empty"),
    ("builds", "builds = [{}]", "an empty key is of every build"),
    ("builds", 'builds = [{ suffix = "*" }]', "an empty key is of every build"),
    ("builds", 'builds = [{ from = "6.10.0" }]', "from and before go together"),
    ("builds", 'builds = [{ from = "6.10", before = "6.13.0" }]', "three numbers"),
    ("builds", 'builds = [{ from = "6.10.0-rc1", before = "6.13.0" }]', "three numbers"),
    ("builds", 'builds = [{ from = "6.13.0", before = "6.13.0" }]', "is not below"),
    ("builds", 'builds = [{ kernel_release = "6.12" }]', "major.minor alone decides nothing"),
    ("builds", 'builds = [{ kernel_release = "6.12.*" }]', "major.minor alone decides nothing"),
    ("format", 'format = "qat"\nmatch = [{ field = "a", rule = "equal", from = "nowhere" }]', "is no place"),
    ("format", 'format = "qat"\nscheme = "decimal"', "Invalid enum value 'decimal'"),
]
#: Lines that say nothing, and look as if they did.
_NOISE = st.lists(
    st.sampled_from(["", "# [[entry]]", "# \u2028 \x85 are no ends of lines", '  # saves = "x"']), max_size=2
)
_ABOUT = st.sampled_from([[], ['about = "one line"'], ["about = '''", "[[entry]]", "saves is 1 ] }", "'''"]])


@st.composite
def _files(draw: st.DrawFn) -> list[list[str]]:
    """The lines of good entries, the first piece being what stands before them."""
    pieces = [[*draw(_NOISE), 'drivers = ["qat_vfio_pci"]']]
    for number in range(draw(st.integers(1, 4))):
        lines = [line.format(id=f"e{number}") for line in _GOOD]
        at = draw(st.integers(1, len(lines)))
        pieces.append([*draw(_NOISE), *lines[:at], *draw(_ABOUT), *draw(_NOISE), *lines[at:]])
    return pieces


def _faults(text: str) -> list[tuple[int, str]]:
    with pytest.raises(CatalogError) as caught:
        read_catalog_file(text, "qat.toml")
    assert {file for file, _, _ in caught.value.faults} == {"qat.toml"}
    assert all(f"qat.toml:{line}: {what}" in str(caught.value) for _, line, what in caught.value.faults)
    return [(line, what) for _, line, what in caught.value.faults]


@given(_files(), st.sampled_from(["\n", "\r\n"]))
def test_a_good_file_is_read_whole(pieces: list[list[str]], end: str) -> None:
    """Each entry with the drivers of the file, in its order."""
    entries = read_catalog_file(end.join(line for piece in pieces for line in piece), "qat.toml")
    assert [entry.id for entry in entries] == [f"e{number}" for number in range(len(pieces) - 1)]
    assert {entry.drivers for entry in entries} == {("qat_vfio_pci",)}


@given(_files(), st.sampled_from(_FAULTS), st.sampled_from(["\n", "\r\n"]), st.data())
def test_a_fault_is_told_by_the_line_on_which_it_stands(
    pieces: list[list[str]], fault: tuple[str, str, str], end: str, data: st.DataObject
) -> None:
    """In whichever entry, whatever stands around it; the entries that are right are not blamed."""
    key, line, said = fault
    index = data.draw(st.integers(1, len(pieces) - 1))
    at = next(number for number, text in enumerate(pieces[index]) if text.startswith(f"{key} ="))
    pieces[index][at : at + 1] = line.split("\n")
    lines = [text for piece in pieces for text in piece]
    (found,) = _faults(end.join(lines))
    wanted = sum(map(len, pieces[:index])) + at + line.count("\n") + 1
    assert found[0] == wanted
    assert said in found[1]


@given(_files())
def test_all_faults_are_told_at_once(pieces: list[list[str]]) -> None:
    """One in each entry, by line; who mends them in one go is done."""
    wanted, before = [], len(pieces[0])
    for piece in pieces[1:]:
        at = next(number for number, text in enumerate(piece) if text.startswith("saves ="))
        piece[at] = "saves = 1"
        wanted.append(before + at + 1)
        before += len(piece)
    assert [line for line, _ in _faults("\n".join(text for piece in pieces for text in piece))] == wanted


@given(_files(), st.sampled_from(["= 1", "[[entry]", 'a = "', "a = 1 2", "\x00", "\x0b"]), st.data())
def test_text_that_is_no_toml_is_told_by_its_line(pieces: list[list[str]], wrong: str, data: st.DataObject) -> None:
    """As the parser tells it."""
    index = data.draw(st.integers(1, len(pieces) - 1))
    at = next(number for number, text in enumerate(pieces[index]) if text.startswith("saves ="))
    pieces[index][at] = wrong
    ((line, said),) = _faults("\n".join(text for piece in pieces for text in piece))
    assert line == sum(map(len, pieces[:index])) + at + 1
    assert said.startswith("no TOML: ")


_ENTRY = "\n".join(_GOOD).format(id="e")
_TOP = 'drivers = ["qat_vfio_pci"]\n'


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("", 1, "at least one was expected"),
        ("drivers = []", 1, "at least one was expected"),
        ("\n[entry]\nid = 1", 2, "at least one was expected"),
        ("\n\nentry = [\n1\n]", 5, "an [[entry]] is a table"),
        (_TOP + "\nother = 1\n" + _ENTRY, 3, "unknown key 'other'"),
        (_TOP + _ENTRY + "\n[other]\na = 1\n", 11, "unknown key 'other'"),
        ("\ndrivers = 5\n" + _ENTRY, 2, "Expected `array`"),
        ("\ndrivers = []\n" + _ENTRY + "\n" + _ENTRY.replace('"e"', '"f"'), 2, "length >= 1"),
        (_ENTRY, 1, "missing required field `drivers`"),
        (_TOP + "\n" + _ENTRY.replace('source = "linux 6.12.117"', ""), 3, "missing required field `source`"),
        (_TOP + _ENTRY + "\n" + _ENTRY, 12, "the id 'e' is used twice"),
        (_TOP + _ENTRY + "\nmigratable = false", 11, "what is not migratable saves and loads nothing"),
        (_TOP + _ENTRY.replace('saves = "1"', ""), 3, "saves and loads are stated both, or neither"),
        (_TOP + _ENTRY.replace('format = "qat"', ""), 3, "versions need a format"),
        (_TOP + _ENTRY.replace('builds = [{ from = "6.10.0", before = "6.13.0" }]', ""), 3, "names its builds"),
        (_TOP + _ENTRY + '\n[entry.fields]\na = "1"\nb = 2', 11, "Expected `str`"),
        (_TOP + _ENTRY + '\n[[entry.match]]\nfield = "a"\nrule = "equals"', 13, "Invalid enum value 'equals'"),
        (_TOP + _ENTRY + '\n[entry.fields]\na = " "', 12, "the value of 'a' is blank"),
        (_TOP + _ENTRY + '\n[entry.values."t-*"]\na = ""', 12, "the value of 'a' is blank"),
        (_TOP + "x = " + "9" * 5_000, 1, "a number in this file is too long"),
        (_TOP + "x = " + "[" * 5_000, 1, "nested too deeply"),
        ("#" * (MAX_FILE_CHARS + 1), 1, f"at most {MAX_FILE_CHARS} are read"),
    ],
    ids=lambda case: case if isinstance(case, str) and len(case) < 60 else "",
)
def test_each_fault_has_its_line(text: str, line: int, said: str) -> None:
    """The line of the value; of the entry, where something is missing; of the file's drivers, where those are wrong."""
    ((found, what),) = _faults(text)
    assert said in what
    assert found == line


def test_an_id_used_twice_is_found_behind_an_entry_that_is_wrong() -> None:
    """Its line is counted in the file, not among the entries that could be read."""
    text = _TOP + _ENTRY.replace('"e"', '"wrong"').replace("2026-11-24", "1") + "\n" + _ENTRY + "\n" + _ENTRY
    assert [line for line, _ in _faults(text)] == [5, 21]


@given(st.text(max_size=60) | st.text(st.sampled_from("[]{}=\"\n .,#'\\entrydsavl0123-:T"), max_size=60))
def test_any_text_is_a_catalog_file_or_a_catalog_error(text: str) -> None:
    """Nothing else is raised, whatever an editor left behind."""
    for document in (text, _TOP + _ENTRY + "\n" + text, _TOP + _ENTRY.replace('"1"', text)):
        try:
            read_catalog_file(document, "qat.toml")
        except CatalogError as error:
            lines = document.count("\n") + 1
            assert all(1 <= line <= lines for _, line, _ in error.faults)  # noqa: PT017  (an error is allowed)


def test_faults_in_a_long_file_are_found_in_its_entries() -> None:
    """300 entries, each wrong: a reload must not hang the registry (pytest's timeout would tell)."""
    wrong = [_ENTRY.replace('"e"', f'"e{number}"').replace('saves = "1"', "saves = 1") for number in range(300)]
    faults = _faults(_TOP + "\n".join(wrong))
    assert [line for line, _ in faults] == [2 + 9 * number + 7 for number in range(300)]


def test_everything_that_a_file_can_say_is_read() -> None:
    """Each field once, as ``Entry`` and ``Statement`` have it."""
    (entry,) = read_catalog_file(
        """
about = "this file"
[[entry]]
id = "one"
drivers = ["a", "b"]
source = "a page"
date = 2026-11-24
confidence = "doc"
about = \"\"\"
two
\tlines\"\"\"
types = ["t*"]
builds = [{ kernel_release = "6.12.0-*", srcversion = "S" }, { from = "6.1.0", before = "6.2.0", suffix = "-*" }]
format = "f"
scheme = "dotted"
saves = ["1.0", "2.0"]
loads = { range = ["1.0", "2.0"] }
decided_by = "device"
earliest_check = "downtime"
beside = "nvml"
fields = { a = "1" }
[entry.values."t-1"]
a = "2"
[[entry.match]]
field = "a"
rule = "superset"
differing = "unknown"
from = "attributes.x/y"
about = "why"
""",
        "f.toml",
    )
    assert entry == Entry(
        id="one",
        drivers=("a", "b"),
        source="a page",
        date=date(2026, 11, 24),
        confidence="doc",
        about="two\n\tlines",
        types=("t*",),
        builds=(
            BuildKey(kernel_release="6.12.0-*", srcversion="S"),
            BuildKey(from_="6.1.0", before="6.2.0", suffix="-*"),
        ),
        format="f",
        scheme="dotted",
        saves=("1.0", "2.0"),
        loads=VersionSet(range=("1.0", "2.0")),
        decided_by="device",
        earliest_check="downtime",
        beside="nvml",
        fields={"a": "1"},
        values={"t-1": {"a": "2"}},
        match=(MatchRule(field="a", rule="superset", differing="unknown", from_="attributes.x/y", about="why"),),
    )
    assert list(faults_of(entry)) == []
