"""``mdevreg explain``: every code, in words."""

from __future__ import annotations

import csv
import io
import json

import msgspec
import pytest

from mdevreg.reasons import EXPLAINED, Explanation
from mdevreg.verdict import CODES
from support.command_line import CommandLine


@pytest.mark.parametrize("code", CODES)
def test_every_code_is_explained(line: CommandLine, code: str) -> None:
    """Meaning first, then causes, then what to do; the document is the library's struct."""
    done = line("explain", code)
    assert (done.code, done.err) == (0, "")
    assert done.first.startswith(f"{code} (")
    assert EXPLAINED[code].meaning in done.first
    shown = [row.strip() for row in done.out.splitlines()]
    assert shown.index("causes:") < shown.index("what to do:")
    assert [text for text in (*EXPLAINED[code].causes, *EXPLAINED[code].remedy) if text not in shown] == []
    assert msgspec.json.decode(line("explain", code, "-o", "json").out, type=Explanation) == EXPLAINED[code]
    assert line.opened == []


def test_without_a_code_all_are_listed(line: CommandLine) -> None:
    """One line each, in their order; --all says the same."""
    done = line("explain")
    assert done.code == 0
    assert [row.split()[0] for row in done.out.splitlines()[1:]] == list(CODES)
    assert line("explain", "--all").out == done.out
    rows = list(csv.DictReader(io.StringIO(line("explain", "-o", "csv").out)))
    assert {row["code"]: row["says"] for row in rows}["NO_FREE_INSTANCE"] == "told beside"
    assert [each["code"] for each in json.loads(line("explain", "-o", "json").out)["reasons"]] == list(CODES)
    assert line("explain", "HOST_STALE", "--all").code == 2


def test_a_code_may_be_written_carelessly_and_an_unknown_one_gets_the_nearest(line: CommandLine) -> None:
    """People retype them from tickets."""
    assert line("explain", "host-stale").out == line("explain", "HOST_STALE").out
    done = line("explain", "STREAM_VERSION_TO_NEW")
    assert (done.code, done.out) == (2, "")
    assert "STREAM_VERSION_TOO_NEW" in done.err
