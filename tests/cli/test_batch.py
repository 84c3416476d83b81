"""``mdevreg can-migrate --batch``: many pairs, one row each, and the worst of them as exit code."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import yaml

from mdevreg.cli.batch_file import pairs_in
from mdevreg.errors import UsageError
from mdevreg.query.batch import Asked
from support.command_line import CommandLine
from support.small_fleet import UUID

YES, NO, UNKNOWN, NOBODY = f"{UUID} beta\n", f"{UUID} gamma\n", f"{UUID} delta\n", f"{UUID} btea\n"


@pytest.mark.parametrize(
    ("lines", "code", "first"),
    [
        (YES, 0, "yes: 1 pair: 1 yes"),
        (YES + UNKNOWN, 3, "unknown: 2 pairs: 1 yes, 1 unknown"),
        (UNKNOWN + NO + YES, 1, "no: 3 pairs: 1 yes, 1 no, 1 unknown"),
        (YES + NOBODY + NO, 2, "error: 3 pairs: 1 yes, 1 no, 1 error"),
    ],
)
def test_the_exit_code_is_the_worst(line: CommandLine, lines: str, code: int, first: str) -> None:
    """An error, then no, then unknown, then yes; and the first line says how many there are of each."""
    done = line("can-migrate", "--batch", "-", stdin=lines.encode())
    assert (done.code, done.first, done.err) == (code, first, "")


def test_each_pair_is_a_row(line: CommandLine, tmp_path: Path) -> None:
    """In the order of the file; what is wrong with one stands in its place."""
    file = tmp_path / "pairs.txt"
    file.write_text(f"# device host\n\n{YES}  {NO}{NOBODY}alpha/mtty/mtty-1\tbeta/mtty\n", encoding="utf-8")
    rows = [row.split() for row in line("can-migrate", "--batch", str(file)).out.splitlines()[1:6]]
    assert rows[0] == ["ANSWER", "DEVICE", "TO", "CODES"]
    assert [row[0] for row in rows[1:]] == ["yes", "no", "error", "yes"]
    assert rows[3][3:] == ["NOT_FOUND:", "no", "host", "is", "named", "'btea'"]
    assert rows[2][2:4] == ["gamma", "USER_COMPATIBLE"]


def test_every_format_has_every_pair(line: CommandLine) -> None:
    """JSON and YAML as the protocol has it, with the answer in one word; CSV a row each."""
    arguments = ["can-migrate", "--batch", "-", "-o"]
    found = json.loads(line(*arguments, "json", stdin=(YES + NOBODY).encode()).out)
    assert found["answer"] == "error"
    assert [("answer" in each, "problem" in each) for each in found["answers"]] == [(True, False), (False, True)]
    assert found["answers"][0]["answer"]["ruling"]["outcome"] == "compatible"
    assert yaml.safe_load(line(*arguments, "yaml", stdin=(YES + NOBODY).encode()).out) == found
    rows = list(csv.DictReader(line(*arguments, "csv", stdin=(YES + NOBODY).encode()).out.splitlines()))
    assert [(row["answer"], row["to"], row["problem"][:9]) for row in rows] == [
        ("yes", "beta", ""),
        ("error", "btea", "NOT_FOUND"),
    ]


@pytest.mark.parametrize(
    "document", ['[{"device": "d", "to": "h"}]', ' {"pairs": [{"device": "d", "to": "h"}]}', "d h"]
)
def test_a_file_is_lines_or_json(document: str) -> None:
    """As the protocol has it, or a bare list."""
    assert pairs_in(document.encode(), "file") == (Asked("d", "h"),)


@pytest.mark.parametrize(
    ("document", "what"),
    [
        (b"", "has no pairs"),
        (b"# nothing\n", "has no pairs"),
        (b"[]", "has no pairs"),
        (b"d h\none\n", "file:2: 1 words"),
        (b"d h more\n", "file:1: 3 words"),
        (b"\xff h\n", "is not UTF-8"),
        (b"[1]", "is no list of"),
        (b'{"pairs": [], "who": 1}', "is no list of"),
        (b'[{"device": "d"}]', "is no list of"),
        (b"[" * 100_000, "is no list of"),
    ],
)
def test_a_file_that_is_none_is_told(document: bytes, what: str) -> None:
    """With its line where it has lines."""
    with pytest.raises(UsageError, match=what):
        pairs_in(document, "file")


@pytest.mark.parametrize(
    "arguments", [[], [UUID], ["--to", "beta"], [UUID, "--batch", "-"], ["--to", "beta", "--batch", "-"]]
)
def test_it_is_one_pair_or_a_batch(line: CommandLine, arguments: list[str]) -> None:
    """Half of one, or both, is a mistake; nothing is asked."""
    done = line("can-migrate", *arguments)
    assert (done.code, done.out, line.opened) == (2, "", [])
    assert "can-migrate --help" in done.err
