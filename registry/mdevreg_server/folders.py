"""Where `up` keeps its files, by the XDG base directory specification."""

from __future__ import annotations

import os
from pathlib import Path


def state_folder() -> Path:
    """$XDG_STATE_HOME/mdevreg, by default ~/.local/state/mdevreg. `mdevreg` looks for the broker's URL there."""
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(base) / "mdevreg"
