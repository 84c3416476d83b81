"""Which schema a database has, and which one this program needs. Without Alembic: every door checks it."""

from __future__ import annotations

import sqlalchemy as sa

from mdevreg.errors import WrongRevisionError
from mdevreg_server.engine import converted

#: The newest revision in ``migrations/versions``; a test holds the two together.
EXPECTED = "0008"

_VERSION = sa.table("alembic_version", sa.column("version_num", sa.Text))


def current(engine: sa.Engine) -> str | None:
    """The revision that a database is at; ``None`` if there is no registry in it."""
    with converted(engine), engine.connect() as connection:
        if not sa.inspect(connection).has_table(_VERSION.name):
            return None
        return connection.scalar(sa.select(_VERSION.c.version_num))


def check(engine: sa.Engine) -> None:
    """Raise ``WrongRevisionError`` unless the database is at ``EXPECTED``."""
    found = current(engine)
    if found != EXPECTED:
        raise WrongRevisionError(found, EXPECTED, engine.url.render_as_string(hide_password=True))
