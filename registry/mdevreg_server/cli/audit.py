"""`mdevreg-server audit …`: the log's key, and checkpoints where no registry runs."""

from __future__ import annotations

import time
from pathlib import Path

import click

from mdevreg.cli.examples import Exampled, ExampledGroup
from mdevreg.errors import UsageError
from mdevreg_server.cli.audit_options import AUDIT_FOLDER, AUDIT_KEY
from mdevreg_server.cli.options import DATABASE, database_url


@click.group(
    cls=ExampledGroup,
    examples=(
        ("mdevreg-server audit keygen /etc/mdevreg/audit.key", "Once, before the first signed checkpoint."),
        ("mdevreg-server audit public-key /etc/mdevreg/audit.key", "The line that auditors are given."),
    ),
)
def audit() -> None:
    """Sign what the log was; `mdevreg audit` verifies it."""


@audit.command(
    "keygen",
    cls=Exampled,
    examples=(("mdevreg-server audit keygen audit.key --name registry.example.com", "A key of that name."),),
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--name", help="Name of the log, as in its checkpoints; one log, one name.  [default: a random one]")
def keygen(file: Path, name: str | None) -> None:
    """Make a signing key in FILE, readable by its owner alone. Prints the public key."""
    from mdevreg_server.audit.files import make_key, own_name

    click.echo(make_key(file, name or own_name()).public.text)


@audit.command(
    "public-key",
    cls=Exampled,
    examples=(("mdevreg-server audit public-key audit.key > audit.pub", "For auditors, by a way that they trust."),),
)
@click.argument("file", type=click.Path(path_type=Path))
def public_key(file: Path) -> None:
    """Print the public key of a signing key."""
    from mdevreg_server.audit.files import load_key

    click.echo(load_key(file).public.text)


@audit.command(
    "checkpoint",
    cls=Exampled,
    examples=(
        (
            "mdevreg-server audit checkpoint --audit-key audit.key --audit-folder /mnt/elsewhere/checkpoints",
            "Of the database of `up`, before it is archived.",
        ),
    ),
)
@DATABASE()
@AUDIT_KEY()
@AUDIT_FOLDER()
def checkpoint(database: str | None, audit_key: Path | None, audit_folder: Path | None) -> None:
    """Bring the tree up to the log and sign a checkpoint, whether a registry runs or not. Prints it."""
    from mdevreg_server import revision
    from mdevreg_server.audit.checkpoints import issue_whole
    from mdevreg_server.audit.files import CheckpointFolder, load_key
    from mdevreg_server.engine import open_engine

    if audit_key is None:
        raise UsageError("--audit-key FILE is missing; make one with: mdevreg-server audit keygen FILE")
    key, folder = load_key(audit_key), None if audit_folder is None else CheckpointFolder(audit_folder)
    engine = open_engine(database_url(database), writer=True)
    try:
        revision.check(engine)
        click.echo(issue_whole(engine, key, folder, now_us=time.time_ns() // 1_000), nl=False)
    finally:
        engine.dispose()
