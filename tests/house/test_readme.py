"""The README's commands and examples run as they are written (the convention: ``support.readme``)."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from support.processes import Program, RunCli, StartCli, eventually, isolated_environment
from support.readme import Block, Command, blocks
from support.tree import ROOT

README = ROOT / "README.md"
#: Hosts of the simulated fleet that the README's commands meet.
DEMO_HOSTS = 12
TIMEOUT_S = 60
#: The heading under which a program's help lists its commands (Click's, argparse's).
COMMANDS = {"mdevreg": "Commands:", "mdevreg-agent": "COMMAND\n", "mdevreg-server": "Commands:"}
TAGS = {"console", "python", "text", "toml", "ini", "json", "sql", "mermaid"}


@pytest.fixture
def registry_url(start_cli: StartCli, run_cli: RunCli) -> str:
    """A registry with the demo's fleet, on a free port, in this test's home."""
    server: Program = start_cli(["mdevreg-server", "up", "--demo", str(DEMO_HOSTS), "--port", "0"])
    found = re.search(r"nats://127\.0\.0\.1:\d+", server.wait_for("nats://127.0.0.1:"))
    assert found is not None
    url = found.group()

    def all_there() -> bool:
        done = run_cli(["mdevreg", "hosts", "-o", "json"], env={"MDEVREG_URL": url})
        return done.stdout.count('"host"') >= DEMO_HOSTS or not server.running

    eventually(all_there, f"{DEMO_HOSTS} hosts are known", timeout_s=60)
    assert server.running, server.output
    return url


@pytest.mark.timeout(600)
def test_every_command_and_example_runs_as_written(registry_url: str, home: Path) -> None:
    """In order, in one home; each ends with the code that it names, and shows something where the README does."""
    env = isolated_environment(home, MDEVREG_URL=registry_url)
    (home / "tests").symlink_to(ROOT / "tests")  # readers stand in a clone, and may read a recording of it
    faults = []
    for block in blocks(README):
        if block.not_run is None and block.tag == "console":
            faults += [fault for command in block.commands for fault in _faults_of(command, home, env)]
        elif block.not_run is None and block.tag == "python":
            faults += _faults_of_python(block, home, env)
    assert faults == [], "\n\n".join(faults)


def test_the_readme_shows_commands_and_the_library() -> None:
    """The front door has at least one block that is run of each kind, and the two commands of a newcomer."""
    run = {block.tag for block in blocks(README) if block.not_run is None}
    assert {"console", "python"} <= run
    text = README.read_text(encoding="utf-8")
    assert [target for target in ("make up", "make demo", "make test") if target not in text] == []


@pytest.mark.parametrize("program", ["mdevreg", "mdevreg-agent", "mdevreg-server"])
def test_every_command_is_in_the_readme(program: str, run_cli: RunCli) -> None:
    """A command that the front door does not name does not exist for a newcomer."""
    _, found, listed = run_cli([program, "--help"]).stdout.rpartition(COMMANDS[program])
    assert found
    commands = re.findall(r"^ {2,4}([a-z][a-z-]*) {2,}\S", listed, re.MULTILINE)
    assert commands
    text = README.read_text(encoding="utf-8")
    assert [command for command in commands if f"{program} {command}" not in text] == []


@pytest.mark.parametrize("block", blocks(README), ids=lambda block: f"line-{block.line}")
def test_a_block_is_well_formed(block: Block, tmp_path: Path) -> None:
    """Each block has a tag that says what it is, and parses as that, whether it is run or not."""
    assert block.tag in TAGS, f"line {block.line}: tag it as one of {sorted(TAGS)}"
    if block.tag == "console":
        script = "\n".join(command.text for command in block.commands)
        done = subprocess.run(["bash", "-n", "-c", script], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    elif block.tag == "python":
        compile(block.text, f"README line {block.line}", "exec")
    elif block.tag == "toml":
        tomllib.loads(block.text)


def test_the_convention_is_read_as_it_is_written(tmp_path: Path) -> None:
    """Commands, their continuations, what they show, their exit code, and blocks that are not run."""
    path = tmp_path / "README.md"
    path.write_text(
        "# x\n```console\n$ a \\\n> b\nshown\n$ c  # exits 3\n```\n"
        "<!-- not run: needs root -->\n\n```console\n$ d\n```\n",
        encoding="utf-8",
    )
    first, second = blocks(path)
    assert first.commands == [Command(3, "a \\\nb", "shown\n"), Command(6, "c  # exits 3", "")]
    assert [command.exit_code for command in first.commands] == [0, 3]
    assert (first.not_run, second.not_run) == (None, "needs root")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("<!-- not run: -->\n```console\n$ a\n```\n", "without a reason"),
        ("<!-- not run: x -->\nprose\n", "above no block"),
        ("```console\n$ a\n", "never ends"),
    ],
)
def test_a_block_that_would_slip_through_is_refused(tmp_path: Path, text: str, fault: str) -> None:
    """Nothing goes unrun by accident."""
    path = tmp_path / "README.md"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(AssertionError, match=fault):
        blocks(path)


def test_a_command_that_fails_or_shows_nothing_is_found(home: Path) -> None:
    """The runner has the power to fail."""
    env = isolated_environment(home)
    assert _faults_of(Command(1, "true", ""), home, env) == []
    assert _faults_of(Command(1, "false | cat", ""), home, env) != []
    assert _faults_of(Command(1, "exit 3  # exits 3", ""), home, env) == []
    assert _faults_of(Command(1, "true", "something\n"), home, env) != []


def _faults_of(command: Command, home: Path, env: dict[str, str]) -> list[str]:
    done = _run(["bash", "-o", "pipefail", "-c", command.text], home, env)
    said = done.stdout + done.stderr
    if done.returncode != command.exit_code:
        ended = f"ended with {done.returncode}, not {command.exit_code}"
        return [f"README line {command.line}: $ {command.text}\n{ended}:\n{said}"]
    if command.shown.strip() and not said.strip():
        return [f"README line {command.line}: $ {command.text}\nsaid nothing, though the README shows output"]
    return []


def _faults_of_python(block: Block, home: Path, env: dict[str, str]) -> list[str]:
    done = _run([sys.executable, "-W", "error", "-c", block.text], home, env)
    return [] if done.returncode == 0 else [f"README line {block.line}: the example failed:\n{done.stderr}"]


def _run(command: list[str], home: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        cwd=home,
        env=env,
        timeout=TIMEOUT_S,
    )
