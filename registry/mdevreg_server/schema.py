"""Migrations: find them, run them, and refuse to work on the wrong revision."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from mdevreg.errors import StateError, WrongRevisionError
from mdevreg_server.engine import converted


def migrations_folder() -> Path:
    """Where the migrations are: inside the installed package, else in the checkout beside it."""
    here = Path(__file__).resolve().parent
    # An editable install may leave a stale copy in site-packages; the package's own folder decides.
    for folder in (here / "migrations", here.parents[1] / "migrations"):
        if (folder / "env.py").is_file():
            return folder
    raise StateError(f"no migrations beside {here}; this installation is incomplete, install mdevreg again")


def head() -> str:
    """The revision that this program was written for."""
    found = ScriptDirectory(str(migrations_folder())).get_current_head()
    if found is None:
        raise StateError(f"no revision in {migrations_folder()}; this installation is incomplete")
    return found


def current(engine: sa.Engine) -> str | None:
    """The revision that the database is at; ``None`` if it is empty."""
    with converted(engine), engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def check(engine: sa.Engine) -> None:
    """Raise ``WrongRevisionError`` unless the database is at ``head``."""
    found, expected = current(engine), head()
    if found != expected:
        raise WrongRevisionError(found, expected)


def upgrade(engine: sa.Engine, revision: str = "head") -> str:
    """Bring the database to ``revision``, one transaction a step. Returns the revision it is at then."""
    config = Config()
    config.set_main_option("script_location", str(migrations_folder()))
    config.attributes["engine"] = engine
    with converted(engine):
        command.upgrade(config, revision)
    return current(engine) or ""
