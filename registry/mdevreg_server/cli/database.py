"""`mdevreg-server db …` and `rebuild`."""

from __future__ import annotations

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
    from mdevreg_server.wholeness import faults_of

    engine = open_engine(database_url(database), writer=False)
    revision.check(engine)
    faults = faults_of(engine)
    for fault in faults:
        click.echo(fault)
    if faults:
        raise StateError(
            f"{len(faults)} faults in {_where(engine)}; projections: run mdevreg-server rebuild", code="NOT_WHOLE"
        )
    click.echo(f"{_where(engine)}: at {revision.EXPECTED}, whole")


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
