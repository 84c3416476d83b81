"""Runs the command line in this process, over a door in memory."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from mdevreg.cli.edge import run
from mdevreg.query.door import Door
from support.memory_door import MemoryDoor
from support.small_fleet import NOW, small_fleet


class Done(msgspec.Struct, frozen=True):
    """One run."""

    code: int
    out: str
    err: str

    @property
    def first(self) -> str:
        return self.out.splitlines()[0]


@dataclass
class CommandLine:
    """``line("hosts", "-o", "json")``; remembers how doors were opened."""

    capsys: pytest.CaptureFixture[str]
    home: Path
    door: Callable[[], Door] = small_fleet
    opened: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def __call__(self, *argv: str, environ: Mapping[str, str] | None = None, stdin: bytes = b"") -> Done:
        before, sys.stdin = sys.stdin, io.TextIOWrapper(io.BytesIO(stdin))
        try:
            code = run(argv, environ={"HOME": str(self.home), **(environ or {})}, now=NOW, open_door=self.open)
        finally:
            sys.stdin = before
        captured = self.capsys.readouterr()
        return Done(code, captured.out, captured.err)

    def open(self, url: str, **options: Any) -> Door:
        self.opened.append((url, options))
        return self.door()

    def fail_with(self, error: BaseException) -> None:
        """Every question fails with that error from now on."""

        def fail() -> None:
            raise error

        self.door = lambda: MemoryDoor([], fail)
