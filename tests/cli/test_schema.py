"""``mdevreg schema``: the same schemas that a registry hands out, without one."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from mdevreg.query.schemas import NAMES
from support.command_line import CommandLine
from support.hosts import look, mtty
from support.publisher import Publisher


def test_every_schema_is_listed_with_what_it_is(line: CommandLine) -> None:
    """A table for people; names and the protocol's version for programs."""
    assert [row.split()[0] for row in line("schema", "list").out.splitlines()[1:]] == list(NAMES)
    found = json.loads(line("schema", "list", "-o", "json").out)
    assert [each["name"] for each in found["schemas"]] == list(NAMES)
    assert all(each["about"].endswith(".") for each in found["schemas"])
    assert found["protocol"].startswith("1.")
    assert line.opened == []


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_is_printed_as_json(line: CommandLine, name: str) -> None:
    """By default too, so that it can be sent to a file; it is one of draft 2020-12."""
    done = line("schema", "show", name)
    schema = json.loads(done.out)
    assert (done.code, schema) == (0, json.loads(line("schema", "show", name, "-o", "json").out))
    jsonschema.Draft202012Validator.check_schema(schema)


def test_an_unknown_name_gets_the_nearest(line: CommandLine) -> None:
    """A typo is told."""
    done = line("schema", "show", "can-migrate.replay")
    assert done.code == 2
    assert "can-migrate.reply" in done.err


RECORD = Publisher().snapshot(look(mtty()))[1]
VALID = {
    "record": RECORD,
    "beat": b'{"schema": "1.1", "host": "h", "epoch": "e", "seq": 1, "digest": "' + b"0" * 64 + b'"}',
    "hosts.request": b"{}",
    "targets-page.request": b'{"device": "d", "limit": 1000}',
    "end-rule.request": b'{"name": "r1", "author": "me"}',
    "hosts.reply": b'{"position": 1, "hosts": [], "newer": 1}',
    "fleet.digest": b'{"schema": "1.3", "position": 1, "hosts": 0, "newer": 1}',
}
INVALID = {
    "record": RECORD.replace(b'"name":"mtty"', b'"name":"m\\u0007"'),
    "hosts.request": b'{"device": "d"}',
    "targets-page.request": b'{"limit": 1}',
    "end-rule.request": b'{"name": "r1"}',
    "hosts.reply": b'{"position": "1", "hosts": []}',
    "fleet.digest": b'{"schema": "1.3", "position": -1, "hosts": 0}',
    "error": b"nonsense",
}


@pytest.mark.parametrize("name", VALID)
def test_a_message_that_would_be_read_is_valid(line: CommandLine, tmp_path: Path, name: str) -> None:
    """Exit 0 and one sentence; from a file or stdin."""
    (tmp_path / "message").write_bytes(VALID[name])
    done = line("schema", "validate", name, str(tmp_path / "message"))
    assert (done.code, done.out) == (0, f"{tmp_path / 'message'} is a valid {name}\n")
    assert line("schema", "validate", name, "-", stdin=VALID[name]).out == f"stdin is a valid {name}\n"


@pytest.mark.parametrize("name", INVALID)
def test_a_message_that_would_be_refused_is_not(line: CommandLine, name: str) -> None:
    """Exit 2, and what is wrong with it."""
    done = line("schema", "validate", name, "-", stdin=INVALID[name])
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("mdevreg: ")


@pytest.mark.parametrize("name", sorted(VALID.keys() & INVALID.keys()))
def test_the_schema_agrees(line: CommandLine, name: str) -> None:
    """What the schema says of the same messages."""
    schema = json.loads(line("schema", "show", name).out)
    validator = jsonschema.Draft202012Validator(schema)
    assert validator.is_valid(json.loads(VALID[name]))
    assert not validator.is_valid(json.loads(INVALID[name]))
