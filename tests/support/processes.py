"""The project's own programs as real processes: one run to its end, or one that lives beside the test."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

#: Where the console scripts of the environment that runs the tests are.
SCRIPTS = Path(sys.executable).parent

RunCli = Callable[..., "subprocess.CompletedProcess[str]"]
StartCli = Callable[..., "Program"]


def isolated_environment(home: Path, **extra: str) -> dict[str, str]:
    """An environment of which nothing points outside ``home``: no settings of the developer's, UTF-8, this venv."""
    runtime = home / "run"
    runtime.mkdir(mode=0o700, parents=True, exist_ok=True)
    return {
        "PATH": f"{SCRIPTS}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "XDG_STATE_HOME": str(home / ".local" / "state"),
        "XDG_DATA_HOME": str(home / ".local" / "share"),
        "XDG_CACHE_HOME": str(home / ".cache"),
        "XDG_RUNTIME_DIR": str(runtime),
        "LC_ALL": "C.UTF-8",
        "TERM": "dumb",
        "COLUMNS": "120",
        **extra,
    }


def program(name: str) -> str:
    """The console script ``name`` of this environment (``mdevreg``, ``mdevreg-agent``, ``mdevreg-server``)."""
    path = SCRIPTS / name
    assert path.is_file(), f"{path} is missing; install the project with: make test"
    return str(path)


def run_cli(
    arguments: Sequence[str | Path],
    *,
    home: Path,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
    timeout_s: float = 60.0,
) -> subprocess.CompletedProcess[str]:
    """Run one of the console scripts to its end; ``arguments[0]`` is its name. Never raises for an exit code."""
    name, *rest = map(str, arguments)
    return subprocess.run(
        [program(name), *rest],
        input=stdin or "",
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=timeout_s,
        cwd=home,
        env=isolated_environment(home, **(env or {})),
        check=False,
    )


class Program:
    """A console script that runs beside the test, its output in ``<home>/<name>-N.log``; a context manager.

    Linux kills it with the test process, where ``setpriv`` (util-linux) is there to ask for it.
    """

    def __init__(self, arguments: Sequence[str | Path], *, home: Path, env: Mapping[str, str] | None = None) -> None:
        name, *rest = map(str, arguments)
        self.command = [*dies_with_parent("TERM"), program(name), *rest]
        self.log = _fresh(home, name)
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=home,
                env=isolated_environment(home, PYTHONUNBUFFERED="1", **(env or {})),
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    @property
    def output(self) -> str:
        """All that it has said so far, on both streams."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def wait_for(self, text: str, timeout_s: float = 30.0) -> str:
        """Wait until it has said ``text``; the first line that holds it."""
        deadline = time.monotonic() + timeout_s
        while True:
            ended = not self.running
            line = next((line for line in self.output.splitlines() if text in line), None)
            if line is not None:
                return line
            state = f"ended with {self.process.returncode}" if ended else f"runs for {timeout_s:g} s"
            assert not ended, f"{self.command[-4:]} {state} and never said {text!r}:\n{self.output}"
            assert time.monotonic() < deadline, f"{self.command[-4:]} {state} and never said {text!r}:\n{self.output}"
            time.sleep(0.02)

    def interrupt(self, timeout_s: float = 20.0) -> int:
        """Ctrl-C; the exit code."""
        return self.end(signal.SIGINT, timeout_s)

    def terminate(self, timeout_s: float = 20.0) -> int:
        """SIGTERM, as systemd does; the exit code."""
        return self.end(signal.SIGTERM, timeout_s)

    def kill(self) -> int:
        """``kill -9``; the exit code."""
        return self.end(signal.SIGKILL, 20.0)

    def end(self, number: signal.Signals, timeout_s: float) -> int:
        """Send a signal and wait for the end; the exit code (negative: the signal's number)."""
        self.process.send_signal(number)
        return self.process.wait(timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.terminate()
        except subprocess.TimeoutExpired:
            self.kill()


def dies_with_parent(signal_name: str) -> list[str]:
    """The start of a command line that has Linux end the command when the thread that started it ends."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", signal_name] if setpriv else []


def eventually(condition: Callable[[], bool], what: str, timeout_s: float = 20.0) -> None:
    """Wait until ``condition()`` holds; fails naming ``what`` otherwise."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout_s:g} s: {what}"
        time.sleep(0.02)


def _fresh(home: Path, name: str) -> Path:
    number = 1
    while (path := home / f"{name}-{number}.log").exists():
        number += 1
    return path
