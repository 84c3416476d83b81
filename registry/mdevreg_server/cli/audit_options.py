"""Options of who signs the log's checkpoints, of `serve` and `audit checkpoint`."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

AUDIT_KEY = partial(
    click.option,
    "--audit-key",
    metavar="FILE",
    envvar="MDEVREG_AUDIT_KEY",
    type=click.Path(path_type=Path),
    help="Sign checkpoints of the log with this key (`audit keygen`).  [env: MDEVREG_AUDIT_KEY]",
)
AUDIT_FOLDER = partial(
    click.option,
    "--audit-folder",
    metavar="DIR",
    envvar="MDEVREG_AUDIT_FOLDER",
    type=click.Path(path_type=Path),
    help="Write each checkpoint there too: a folder on another machine, best.  [env: MDEVREG_AUDIT_FOLDER]",
)
