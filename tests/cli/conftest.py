"""The command line over a small fleet in memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.command_line import CommandLine


@pytest.fixture
def line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> CommandLine:
    """The command line over the small fleet."""
    return CommandLine(capsys, tmp_path)
