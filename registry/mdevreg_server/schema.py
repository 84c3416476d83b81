"""Migrations: find them and run them. What a database needs to be is in ``mdevreg_server.revision``."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from mdevreg.errors import StateError
from mdevreg_server.engine import converted
from mdevreg_server.revision import current


def migrations_folder() -> Path:
    """Where the migrations are: inside the installed package, else in the checkout beside it."""
    here = Path(__file__).resolve().parent
    # An editable install may leave a stale copy in site-packages; the package's own folder decides.
    for folder in (here / "migrations", here.parents[1] / "migrations"):
        if (folder / "env.py").is_file():
            return folder
    raise StateError(f"no migrations beside {here}; this installation is incomplete, install mdevreg again")


def head() -> str:
    """The newest revision there is a migration to."""
    found = ScriptDirectory(str(migrations_folder())).get_current_head()
    if found is None:
        raise StateError(f"no revision in {migrations_folder()}; this installation is incomplete")
    return found


def upgrade(engine: sa.Engine, revision: str = "head") -> str:
    """Bring the database to ``revision``, one transaction a step. Returns the revision it is at then."""
    config = Config()
    config.set_main_option("script_location", str(migrations_folder()))
    config.attributes["engine"] = engine
    with converted(engine):
        command.upgrade(config, revision)
    return current(engine) or ""
