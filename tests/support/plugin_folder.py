"""Plug-ins of a test's own: real executables in a folder, and the real runner that asks them."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path

from mdevreg.records import HostFacts, MdevType, Parent, PciIds
from mdevreg_agent.plugin_runs import Ran, Runs
from mdevreg_agent.plugin_user import PluginUser
from mdevreg_agent.plugins import Plugins

FACTS = HostFacts(hostname="hv-1", kernel_release="6.12.0-test", os_release={"ID": "debian", "VERSION_ID": "13"})
PARENT = Parent(path="/devices/x", name="x", pci=PciIds(vendor="0x19e5"), types=(MdevType(id="t-1"),))


class Clock:
    """Seconds, forward when told so."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class TimedRuns(Runs):
    """Real runs, of which each takes ``each_s`` on the clock of the test; ``made`` counts them."""

    def __init__(self, clock: Clock, *, each_s: float = 0.0, timeout_s: float = 5.0) -> None:
        super().__init__(timeout_s=timeout_s, user=None, clock=time.monotonic, stopped=lambda: False)
        self.each_s, self.made, self._test_clock = each_s, 0, clock

    def run(self, command: tuple[str, ...], document: bytes) -> Ran:
        """As the real one."""
        ran = super().run(command, document)
        self.made += 1
        self._test_clock.now += self.each_s
        return ran


class PluginFolder:
    """``folder`` with executables; ``ask()`` has them asked, ``ask(parent)`` of that parent."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(mode=0o755)
        self.clock = Clock()
        self.runs = TimedRuns(self.clock)
        self.plugins = self.made()

    def made(self, *, runs: Runs | None = None, max_age_s: float = 60.0, budget_s: float = 20.0) -> Plugins:
        """Plug-ins that know nothing yet."""
        self.plugins = Plugins(
            folder=self.folder,
            packaged=(),
            root="/",
            runs=runs or self.runs,
            max_age_s=max_age_s,
            budget_s=budget_s,
            clock=self.clock,
        )
        return self.plugins

    def limited(
        self, timeout_s: float, *, user: PluginUser | None = None, stopped: Callable[[], bool] = lambda: False
    ) -> None:
        """From now on with another time limit, user, or sign to stop, on a real clock."""
        self.made(runs=Runs(timeout_s=timeout_s, user=user, clock=time.monotonic, stopped=stopped))

    def shell(self, name: str, script: str) -> Path:
        """An executable shell script."""
        return self._written(name, f"#!/bin/sh\n{script}\n")

    def python(self, name: str, script: str) -> Path:
        """An executable Python script."""
        return self._written(name, f"#!{sys.executable}\n{script}\n")

    def says(self, name: str, output: str | bytes) -> Path:
        """One whose output is just that."""
        raw = output.encode() if isinstance(output, str) else output
        said = self.folder / f".{name}.out"
        said.write_bytes(raw)
        return self.shell(name, f"cat {shlex.quote(str(said))}")

    def ask(self, parent: Parent = PARENT) -> Parent:
        """The parent with what they say."""
        return self.plugins.added(FACTS, (parent,))[0]

    def faults(self, parent: Parent = PARENT) -> list[tuple[str, str, str | None]]:
        """Path, error and text of the faults that asking adds."""
        return [(fault.path, fault.error, fault.text) for fault in self.ask(parent).faults]

    def _written(self, name: str, text: str) -> Path:
        path = self.folder / name
        draft = self.folder / f".{name}.new"
        draft.write_text(text, encoding="utf-8")
        draft.chmod(0o755)
        draft.replace(path)
        return path
