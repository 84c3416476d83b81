"""`mdevreg-server db …` and `rebuild`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mdevreg.cli.examples import Exampled, ExampledGroup
from mdevreg.errors import StateError
from mdevreg_server.cli.options import DATABASE, database_url


@click.group(
    cls=ExampledGroup,
    examples=(
        (
            "mdevreg-server db upgrade --database sqlite:////var/lib/mdevreg/registry.sqlite3",
            "Make the tables, or bring them up to this program.",
        ),
        ("mdevreg-server db check", "Is the database of `up` at the right revision, and whole?"),
    ),
)
def db() -> None:
    """Look after the database."""


@db.command(
    "upgrade",
    cls=Exampled,
    examples=(
        (
            "mdevreg-server db upgrade --database postgresql+psycopg://mdevreg@db/mdevreg",
            "Before the first start, and after every upgrade of mdevreg.",
        ),
    ),
)
@DATABASE()
def db_upgrade(database: str | None) -> None:
    """Bring the database to this program's revision. Loses nothing; a step that fails is rolled back whole."""
    from mdevreg_server import revision, schema
    from mdevreg_server.engine import open_engine

    engine = open_engine(database_url(database), writer=True, create=True)
    before = revision.current(engine)
    after = schema.upgrade(engine)
    change = "already at" if before == after else f"{before or 'empty'} →"
    click.echo(f"{_where(engine)}: {change} {after}")


@db.command(
    "check",
    cls=Exampled,
    examples=(
        (
            "mdevreg-server db check --database sqlite:////var/lib/mdevreg/registry.sqlite3",
            "Is it at the right revision, and whole?",
        ),
    ),
)
@DATABASE()
def db_check(database: str | None) -> None:
    """Is the database at this program's revision, and whole? Exit 0 yes, 2 no."""
    from mdevreg_server import revision
    from mdevreg_server.engine import open_engine
    from mdevreg_server.schema_faults import schema_faults
    from mdevreg_server.wholeness import faults_of

    engine = open_engine(database_url(database), writer=False)
    revision.check(engine)
    faults = schema_faults(engine) or faults_of(engine)  # what is not there can't be read
    for fault in faults:
        click.echo(fault)
    if faults:
        text = f"{len(faults)} faults in {_where(engine)}; projections: run mdevreg-server rebuild"
        raise StateError(text, code="NOT_WHOLE")
    click.echo(f"{_where(engine)}: at {revision.EXPECTED}, whole")


@db.command(
    "backup",
    cls=Exampled,
    examples=(
        ("mdevreg-server db backup /backup/registry-2026-11-27.sqlite3", "Of the registry of `up`, while it runs."),
        (
            "mdevreg-server db backup --database sqlite:////var/lib/mdevreg/registry.sqlite3 /backup/registry.sqlite3",
            "To restore: stop the registry, put the copy in place, remove FILE-wal and FILE-shm, check, start.",
        ),
    ),
)
@DATABASE()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def db_backup(database: str | None, file: Path) -> None:
    """Copy a SQLite database to a new FILE, whole and as of one moment, while a registry may be writing to it.

    PostgreSQL has tools of its own: pg_dump, or pg_basebackup with its archive.
    """
    from mdevreg_server import revision
    from mdevreg_server.backup import back_up
    from mdevreg_server.engine import open_engine

    engine = open_engine(database_url(database), writer=False)
    revision.check(engine)
    size = back_up(engine, file)
    click.echo(
        f"{file}: {size} bytes; see if it is whole: mdevreg-server db check --database sqlite:///{file.absolute()}"
    )


@click.command(
    cls=Exampled,
    examples=(("mdevreg-server rebuild", "Recreate the projections in the database of `up`."),),
)
@DATABASE()
def rebuild(database: str | None) -> None:
    """Recreate every projection from the log, in one transaction. Answers stay the same."""
    from mdevreg_server import revision
    from mdevreg_server.engine import open_engine
    from mdevreg_server.ledger import Ledger

    engine = open_engine(database_url(database), writer=True)
    revision.check(engine)
    click.echo(f"{Ledger(engine).rebuild()} records replayed")


def _where(engine: Any) -> str:
    return str(engine.url.render_as_string(hide_password=True))
