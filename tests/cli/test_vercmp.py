"""``mdevreg vercmp``: one sign, or why there is none."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mdevreg.versions import SCHEMES
from support.command_line import CommandLine

_COMPARED = [
    ("7", "12", "integer", "<"),
    ("1.9", "1.10", "dotted", "<"),
    ("1.0", "1", "dotted", "="),
    ("535.161.05", "535.54.03", "dotted", ">"),
    ("0x1f", "20", "hex", "<"),
    ("8086:5912:0300:0004", "0x8086591203000004", "device-version", "="),
    ("8086:5912:0300:0004", "8086:5912:0300:0003", "device-version", ">"),
    ("hisi-v2", "hisi-v2", "tag", "="),
    ("any text", "any text", "opaque", "="),
]
_UNORDERED = [
    ("hisi-v1", "hisi-v2", "tag"),
    ("a b", "a c", "opaque"),
    ("8086:5912:0300:0004", "10de:5912:0300:0004", "device-version"),
]


@pytest.mark.parametrize(("a", "b", "scheme", "sign"), _COMPARED)
def test_the_sign_is_all_that_is_printed(line: CommandLine, a: str, b: str, scheme: str, sign: str) -> None:
    """For scripts: exit 0, one character, and no registry is opened."""
    done = line("vercmp", a, b, "--scheme", scheme)
    assert (done.code, done.out, done.err) == (0, f"{sign}\n", "")
    assert line.opened == []


@pytest.mark.parametrize(("a", "b", "scheme"), _UNORDERED)
def test_versions_without_an_order_are_unknown(line: CommandLine, a: str, b: str, scheme: str) -> None:
    """Exit 3, and the sign is null in JSON."""
    done = line("vercmp", a, b, "--scheme", scheme)
    assert (done.code, done.first.partition(" ")[0]) == (3, "unknown:")
    answered = line("vercmp", a, b, "--scheme", scheme, "-o", "json")
    assert (answered.code, json.loads(answered.out)["order"]) == (3, None)


def test_the_scheme_is_guessed_where_both_look_alike(line: CommandLine) -> None:
    """As the kernel's attributes are read; where they don't look alike, --scheme is asked for."""
    assert line("vercmp", "7", "12").out == "<\n"
    assert json.loads(line("vercmp", "1.0", "2.0", "-o", "json").out)["scheme"] == "dotted"
    done = line("vercmp", "7", "7.1")
    assert (done.code, done.out) == (2, "")
    assert "--scheme" in done.err
    assert line("vercmp", "7", "7.1", "--scheme", "dotted").out == "<\n"
    done = line("vercmp", "hisi-v1", "hisi-v1")
    assert (done.code, done.err.startswith("mdevreg: VERSION: ")) == (2, True)
    assert "--scheme" in done.err


@pytest.mark.parametrize("scheme", SCHEMES)
def test_text_that_is_no_version_exits_2(line: CommandLine, scheme: str) -> None:
    """With what was expected; never 1, which means no."""
    done = line("vercmp", "", "1", "--scheme", scheme)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("mdevreg: VERSION: ")
    assert line("vercmp", "9" * 256, "1", "--scheme", scheme).code == 2


@given(st.integers(0, 10**20 - 1), st.integers(0, 10**20 - 1))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_sort_keys_sort_as_the_sign_says(line: CommandLine, a: int, b: int) -> None:
    """What a database would do with them."""
    found = json.loads(line("vercmp", str(a), str(b), "-o", "json").out)
    keys = (found["a_sort_key"], found["b_sort_key"])
    assert found["order"] == ("<" if keys[0] < keys[1] else ">" if keys[0] > keys[1] else "=")
    assert (found["order"] == "<") == (a < b)


def test_nothing_is_asked_of_the_past(line: CommandLine) -> None:
    """An --as-of that would be ignored is refused, before or after the name."""
    assert line("--as-of", "-1d", "vercmp", "1", "2").code == 2
    assert line("vercmp", "1", "2", "--as-of", "-1d").code == 2
