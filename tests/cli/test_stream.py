"""``mdevreg stream inspect``: recorded streams, broken ones, and what is none."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mdevreg.inspection import Inspected, known_formats
from support.command_line import CommandLine
from support.processes import isolated_environment, program

STREAMS = Path(__file__).parents[1] / "streams"
TWO_PORTS = STREAMS / "mtty-stream-1.0-2ports.bin"


def test_a_recorded_stream_is_named_in_the_first_line(line: CommandLine) -> None:
    """Format, version, size; then byte order and match fields. No registry is opened."""
    done = line("stream", "inspect", str(TWO_PORTS))
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[:3] == ["mtty stream version 1.0, 96 bytes", "byte order: little", "nr_ports: 2"]
    assert line("stream", "inspect", "-", stdin=TWO_PORTS.read_bytes()).out == done.out
    assert line.opened == []


def test_every_format_of_output_says_the_same(line: CommandLine) -> None:
    """JSON is the library's struct; CSV one row."""
    found = msgspec.json.decode(line("stream", "inspect", str(TWO_PORTS), "-o", "json").out, type=Inspected)
    assert (found.format, found.version, found.size, found.fields["nr_ports"]) == ("mtty", "1.0", 96, "2")
    (row,) = csv.DictReader(io.StringIO(line("stream", "-o", "csv", "inspect", str(TWO_PORTS)).out))
    assert (row["format"], row["version"], row["fields"].split()[0]) == ("mtty", "1.0", "nr_ports=2")


@pytest.mark.parametrize(
    ("name", "code"),
    [("truncated.bin", "STREAM_TRUNCATED"), ("bad-magic.bin", "STREAM_NOT_RECOGNISED"), ("README.md", "STREAM_NOT")],
)
def test_what_is_broken_or_foreign_is_told_by_its_code(line: CommandLine, name: str, code: str) -> None:
    """Exit 2, nothing on stdout."""
    done = line("stream", "inspect", str(STREAMS / name))
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"mdevreg: {code}")
    assert len(done.err.splitlines()) == 1


def test_an_empty_stream_is_no_stream(line: CommandLine) -> None:
    """From stdin too: a pipeline that failed upstream."""
    assert line("stream", "inspect", "-").err.startswith("mdevreg: STREAM_EMPTY: ")


def test_the_expected_format_settles_it(line: CommandLine) -> None:
    """A stream of another one is refused; an unknown format is a wrong question."""
    assert line("stream", "inspect", str(TWO_PORTS), "--format", "mtty").code == 0
    done = line("stream", "inspect", str(TWO_PORTS), "--format", "qat")
    assert done.err.startswith("mdevreg: STREAM_NOT_RECOGNISED: ")
    assert "mtty" in done.err
    assert "virtio" in known_formats()
    assert line("stream", "inspect", str(TWO_PORTS), "--format", "tty").err.startswith("mdevreg: USAGE: ")


def test_what_is_no_readable_file_is_told(line: CommandLine, tmp_path: Path) -> None:
    """A folder, nothing, a FIFO that would wait for ever, a device that would never end."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    told = {tmp_path: "is a folder", tmp_path / "missing": "No such file", fifo: "no regular file"}
    told |= {Path("/dev/zero"): "no regular file", TWO_PORTS / "x": "Not a directory"}
    for path, text in told.items():
        done = line("stream", "inspect", str(path))
        assert (done.code, done.out) == (2, "")
        assert done.err.startswith("mdevreg: FILE: ")
        assert text in done.err
    assert line("stream", "inspect", "a\x00b").err.startswith("mdevreg: FILE: ")


def test_a_file_that_can_not_be_read_is_told(line: CommandLine) -> None:
    """The kernel refuses to read this one at its beginning, even for root."""
    done = line("stream", "inspect", "/proc/self/mem")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("mdevreg: FILE: /proc/self/mem can't be read: Input/output error")


def test_a_huge_file_is_looked_at_in_its_beginning(line: CommandLine, tmp_path: Path) -> None:
    """Its size is known without reading it: here 1 TiB, almost all of it a hole."""
    huge = tmp_path / "huge"
    with huge.open("wb") as file:
        file.write(TWO_PORTS.read_bytes())
        file.truncate(1 << 40)
    done = line("stream", "inspect", str(huge))
    assert done.first == "mtty stream version 1.0, 1099511627776 bytes"
    assert "note: " in done.out


def test_a_long_pipe_is_counted_in_bounded_memory(home: Path) -> None:
    """512 MiB through stdin, in an address space of 512 MiB in which they would not fit."""
    script = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_AS, (1 << 29, 1 << 29));"
        "from mdevreg.cli import main; sys.argv[1:] = ['stream', 'inspect', '-', '-o', 'json']; main()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=isolated_environment(home),
    ) as process:
        assert process.stdin is not None
        process.stdin.write(TWO_PORTS.read_bytes())
        chunk = bytes(1 << 20)
        for _ in range(512):
            process.stdin.write(chunk)
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert json.loads(out)["size"] == 96 + (512 << 20)


def test_a_closed_stdin_is_told(home: Path) -> None:
    """``mdevreg stream inspect - <&-``."""
    command = ["sh", "-c", 'exec "$@" <&-', "sh", program("mdevreg"), "stream", "inspect", "-"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=isolated_environment(home))
    assert (done.returncode, done.stdout) == (2, "")
    assert "stdin is closed" in done.stderr


@given(st.binary(max_size=200), st.sampled_from(known_formats()))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_bytes_break_it(line: CommandLine, tail: bytes, form: str) -> None:
    """Any bytes, alone or after a real beginning: an answer or one line with a code, never INTERNAL."""
    for data in (tail, TWO_PORTS.read_bytes()[: len(tail)] + tail):
        for argv in (["stream", "inspect", "-"], ["stream", "inspect", "-", "--format", form]):
            done = line(*argv, stdin=data)
            assert done.code in (0, 2)
            assert "INTERNAL" not in done.err
