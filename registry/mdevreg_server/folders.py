"""Where `up` keeps its files, by the XDG base directory specification."""

from __future__ import annotations

import os
from pathlib import Path


def url_file() -> Path:
    """Where a running `up` writes its broker's URL, and `mdevreg` looks for it."""
    return state_folder() / "url"


def state_folder() -> Path:
    """$XDG_STATE_HOME/mdevreg, by default ~/.local/state/mdevreg."""
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(base) / "mdevreg"
