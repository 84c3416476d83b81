"""NVML's library in C of our own (``tests/nvml/stub.c``), and a process that looks through it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from mdevreg.records import Parent
from support.processes import isolated_environment
from support.tree import ROOT

SOURCE = ROOT / "tests/nvml/stub.c"
_LOOK = ROOT / "tests/nvml/look.py"


class NvmlStub:
    """A folder with ``libnvidia-ml.so.1``, and the file that says what it answers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._says = folder / "says"
        folder.mkdir(parents=True, exist_ok=True)
        self.says("")

    def build(self, *options: str) -> None:
        """Compile it, and put it in the place of the one that is there, as an upgrade does."""
        draft = self.folder / "draft.so"
        command = ["cc", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", *options, "-o", str(draft), str(SOURCE)]
        subprocess.run(command, check=True, capture_output=True)
        draft.replace(self.folder / "libnvidia-ml.so.1")

    def says(self, text: str | bytes) -> None:
        """What it answers from now on."""
        self._says.write_bytes(text if isinstance(text, bytes) else text.encode())

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to find it."""
        return {"LD_LIBRARY_PATH": str(self.folder), "NVML_STUB": str(self._says)}


class Looker:
    """A process that looks through the NVML of its environment, again and again; a context manager."""

    def __init__(self, home: Path, environment: dict[str, str], *, patience_s: float = 20.0) -> None:
        self._process = subprocess.Popen(
            [sys.executable, _LOOK, str(patience_s)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=isolated_environment(home, **environment),
        )
        self.loaded: bool | None = None  # whether the library still was, after the last look

    def added(self, *parents: Parent) -> tuple[Parent, ...]:
        """One look, its answer decoded as a registry decodes it."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(msgspec.json.encode(parents).decode() + "\n")
        process.stdin.flush()
        reply: dict[str, Any] = json.loads(process.stdout.readline())
        self.loaded = reply["loaded"]
        return msgspec.convert(reply["parents"], tuple[Parent, ...])

    def ended(self) -> int:
        """Its exit code, once there is nothing more to look at."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        return self._process.wait(timeout=20)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
