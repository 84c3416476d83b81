"""`mdevreg webhook`: who is told of events."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import pytest

from mdevreg.cli.edge import run
from mdevreg.webhooks import key_of, secret_of
from support.command_line import Done
from support.memory_door import MemoryDoor

URL = "https://ops.example/mdevreg"


class Desk:
    """The command line before a registry in memory, which delivers nothing."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.door, self._capsys = MemoryDoor([]), capsys

    def __call__(self, *argv: str) -> Done:
        code = run(["webhook", *argv], environ={}, open_door=lambda _url, **_options: self.door)
        captured = self._capsys.readouterr()
        return Done(code, captured.out, captured.err)


@pytest.fixture
def desk(capsys: pytest.CaptureFixture[str]) -> Desk:
    return Desk(capsys)


def test_a_generated_secret_is_shown_once(desk: Desk) -> None:
    """When it is made, and by nothing else."""
    added = desk("add", URL, "--events", "device.* site=a", "--secret-file", "generated", "--author", "alice")
    assert added.code == 0
    assert re.match(rf"added \S+: {re.escape(URL)} is told of device\.\* site=a, by alice\n", added.out)
    (secret,) = re.findall(r"^secret: (whsec_\S+)$", added.out, re.MULTILINE)
    assert len(key_of(secret)) == 32
    listed = desk("list")
    assert URL in listed.out
    assert "whsec_" not in listed.out
    made = json.loads(desk("add", URL, "--secret-file", "generated", "-o", "json").out)
    assert key_of(made["secret"])
    assert made["events"] == ""


def test_a_secret_of_a_file_is_not_shown(desk: Desk, tmp_path: Path) -> None:
    """The receiver has it already."""
    file, secret = tmp_path / "secret", secret_of(b"k" * 24)
    file.write_text(f"{secret}\n", encoding="ascii")
    added = desk("add", URL, "--secret-file", str(file), "-o", "json")
    assert added.code == 0
    assert secret not in added.out
    file.write_bytes(b"\xff")
    assert "holds no secret" in desk("add", URL, "--secret-file", str(file)).err
    file.write_text("hunter2", encoding="ascii")
    refused = desk("add", URL, "--secret-file", str(file))
    assert (refused.code, "hunter2" in refused.err) == (2, False)
    assert "24 to 64 bytes in base64" in refused.err


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("add", "ops.example/x", "--secret-file", "generated"), "expected http(s)://HOST[:PORT]/PATH"),
        (("add", URL, "--events", "devices.*", "--secret-file", "generated"), "no event's type is like"),
        (("add", URL), "Missing option '--secret-file'"),
        (("add", URL, "--secret-file", "generated", "--author", " "), "the author is blank"),
        (("remove", "w7"), "w7"),
        (("ping", "w7"), "w7"),
        (("redeliver", "7"), "delivery"),
        (("deliveries", "w7"), "w7"),
    ],
)
def test_what_can_not_be_done_is_said(desk: Desk, argv: tuple[str, ...], said: str) -> None:
    """With the way out."""
    done = desk(*argv)
    assert done.code == 2
    assert said in done.err
    assert desk.door.webhooks().webhooks == ()


def test_a_ping_that_nobody_delivers_waits(desk: Desk) -> None:
    """It is in the list of deliveries; after the removal nothing is left."""
    name = json.loads(desk("add", URL, "--secret-file", "generated", "-o", "json").out)["id"]
    done = desk("ping", name, "--timeout", "0.3")
    assert (done.code, done.out) == (3, f"waiting: webhook.ping to {name} as delivery 1, 0 attempts\n")
    (row,) = csv.DictReader(io.StringIO(desk("deliveries", name, "-o", "csv").out))
    assert (row["state"], row["type"], row["webhook"]) == ("waiting", "webhook.ping", name)
    assert desk("deliveries", "--failed").out.startswith("no delivery is known")
    assert desk("remove", name).out.startswith(f"removed {name}: ")
    assert desk("list").out.startswith("nobody is told of events: mdevreg webhook add URL")
