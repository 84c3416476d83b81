"""`mdevreg-server up`: everything on one machine, as a newcomer meets it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest

from mdevreg import query
from mdevreg.rules import Rule, Scope
from mdevreg_server.broker import Broker
from support.catalogs import file_of, folder_of
from support.processes import Program, RunCli, StartCli

Up = Callable[..., Program]


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """The state folder, not made yet."""
    return tmp_path / "a state"


@pytest.fixture
def up(start_cli: StartCli, state: Path) -> Up:
    """Starts `up` in the state folder, on a free port."""

    def start(*options: str) -> Program:
        return start_cli(["mdevreg-server", "up", "--port", "0", "--state-dir", state, *options])

    return start


def _commands(running: Program) -> list[list[str]]:
    running.wait_for("try:")
    running.wait_for(" show ")
    lines = running.output.splitlines()
    start = lines.index("try:")
    return [shlex.split(line) for line in lines[start + 1 : start + 4]]


def test_it_says_where_it_listens_and_names_three_commands_that_work(up: Up, run_cli: RunCli, state: Path) -> None:
    """Copied from the screen, they answer; they name the broker where it can't be found by itself."""
    running = up("--no-agent", "--demo", "3")
    ready = running.wait_for("mdevreg is up: nats://127.0.0.1:")
    assert f"history in {state / 'registry.sqlite3'}" in ready
    commands = _commands(running)
    assert len(commands) == 3
    for words in commands:
        done = run_cli([Path(words[0]).name, *words[1:]])
        assert done.returncode in (0, 1, 3), (words, done.stderr)
        assert done.stdout
    assert "[startup]" in running.output  # one line per record, with its cause
    assert running.interrupt() == 0


def test_the_agent_of_this_machine_reports_and_is_gone_with_it(up: Up, run_cli: RunCli) -> None:
    """Ctrl-C: children end in order, exit 0, nothing is left behind."""
    running = up()
    _commands(running)
    children = psutil.Process(running.pid).children(recursive=True)
    assert len(children) >= 2  # the broker and the agent
    assert running.interrupt() == 0
    assert running.output.splitlines()[-1] == "stopped; the history is kept"
    _, alive = psutil.wait_procs(children, timeout=5)
    assert alive == []
    assert "Traceback" not in running.output


def test_killed_it_takes_its_children_along(up: Up) -> None:
    """No broker is left on the port, whatever happened."""
    running = up("--no-agent", "--demo", "2")
    running.wait_for("try:")
    children = psutil.Process(running.pid).children(recursive=True)
    running.kill()
    _, alive = psutil.wait_procs(children, timeout=10)
    assert alive == []


def test_starting_again_keeps_the_history(up: Up, run_cli: RunCli, state: Path) -> None:
    """The same folder, the same hosts; those of before are known before anybody reports."""
    running = up("--no-agent", "--demo", "2")
    running.wait_for("try:")
    assert running.interrupt() == 0
    again = up("--no-agent")
    url = again.wait_for("mdevreg is up").split()[3].rstrip(",")
    hosts = run_cli(["mdevreg", "--url", url, "hosts", "-o", "json"])
    assert len(json.loads(hosts.stdout)["hosts"]) == 2
    assert again.interrupt() == 0
    check = run_cli(["mdevreg-server", "db", "check", "--database", f"sqlite:///{state / 'registry.sqlite3'}"])
    assert check.returncode == 0


def test_what_operators_decide_is_told_in_one_line(up: Up, tmp_path: Path) -> None:
    """A folder of catalog files and a rule, as people read them; what the program itself ships is no news."""
    folder = folder_of(tmp_path / "catalog.d", mine=file_of("site-1", "site-2"))
    running = up("--no-agent", "--catalog", str(folder))
    running.wait_for(" catalog: 2 entries from folder")
    url = running.wait_for("mdevreg is up").split()[3].rstrip(",")
    scope = Scope(site=("a",))
    rule = Rule(id="x", effect="deny", author="alice", message="known-bad", valid_from=datetime.now(UTC), where=scope)
    with query.open(url) as door:
        door.add_rule(rule)
        running.wait_for(" rule r3 deny by alice (site=a): known-bad")
        door.end_rule("r3", at=None, author="bob")
        running.wait_for(" rule r3 deny ended by bob at ")
    assert running.interrupt() == 0
    assert "shipped" not in running.output


def test_a_second_copy_is_turned_away_and_the_first_goes_on(up: Up, run_cli: RunCli, state: Path) -> None:
    """By the folder, not the port; it names the other's process."""
    running = up("--no-agent")
    running.wait_for("mdevreg is up")
    second = run_cli(["mdevreg-server", "up", "--port", "0", "--state-dir", state, "--no-agent"])
    assert second.returncode == 2
    assert second.stderr.startswith(f"mdevreg-server: SECOND_COPY: another copy (pid {running.pid}) uses {state}")
    assert "--state-dir" in second.stderr
    assert running.running
    assert running.interrupt() == 0


def test_a_taken_port_is_told_and_nothing_is_damaged(nats_server: Broker, run_cli: RunCli, up: Up, state: Path) -> None:
    """The way out is in the message; a later start in the same folder works."""
    port = str(nats_server.port)
    done = run_cli(["mdevreg-server", "up", "--port", port, "--state-dir", state, "--no-agent"])
    assert done.returncode == 2
    assert done.stderr.startswith(f"mdevreg-server: PORT_TAKEN: port {port} on 127.0.0.1 is taken")
    assert nats_server.running
    running = up("--no-agent")
    running.wait_for("mdevreg is up")
    assert running.interrupt() == 0


def test_a_state_folder_that_can_not_be_written_is_told(run_cli: RunCli, tmp_path: Path) -> None:
    """A kernel's folder, and a file where the folder should be: nobody can write there, root neither."""
    (tmp_path / "file").write_text("")
    for folder in (Path("/proc/1/nowhere"), tmp_path / "file" / "state"):
        done = run_cli(["mdevreg-server", "up", "--port", "0", "--state-dir", folder, "--no-agent"])
        assert done.returncode == 2
        assert done.stderr.startswith("mdevreg-server: STATE_FOLDER: can't keep anything in")
        assert "--state-dir" in done.stderr
        assert "Traceback" not in done.stderr


def test_a_folder_that_cannot_be_made_is_told(run_cli: RunCli) -> None:
    """Nobody can make one below /proc, not even root: the message names it and the way out, and nothing starts."""
    done = run_cli(["mdevreg-server", "up", "--port", "0", "--state-dir", "/proc/mdevreg-state", "--no-agent"])
    assert done.returncode == 2, done.stderr
    assert "/proc/mdevreg-state" in done.stderr
    assert "--state-dir" in done.stderr
    assert "STATE_FOLDER" in done.stderr
