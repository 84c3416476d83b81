"""Alembic's entry: the engine comes from the caller, never from a file.

Foreign keys are switched off before BEGIN on SQLite: batch mode re-creates tables, and a cascade would empty
their children.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context

from mdevreg_server.tables import Base


def run() -> None:
    engine: sa.Engine = context.config.attributes["engine"]
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            connection.connection.driver_connection.execute("PRAGMA foreign_keys=OFF")  # type: ignore[union-attr]  # the raw one: outside any transaction
        context.configure(
            connection=connection,
            target_metadata=Base.metadata,
            render_as_batch=True,
            transaction_per_migration=True,
        )
        with context.begin_transaction():
            context.run_migrations()
        connection.commit()


run()
