"""Campaigns and baselines are found by their names (ADR 17).

Why: what operators intend is entries of the log like rules; these two tables are projections of them. No row of another
table changes. Programs before this revision can't say what such entries are, and must not rebuild from their log.
Release: 0.4.0
Phase: pre (before the new code runs)
Locks: none, the tables are new
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

#: 64-bit everywhere; SQLite only aliases the rowid for plain INTEGER.
BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TABLES = ("campaign", "baseline")


def upgrade() -> None:
    for table in TABLES:
        op.create_table(
            table,
            sa.Column("name", sa.Text(), nullable=False),
            sa.Column("position", BIG, autoincrement=False, nullable=False),
            sa.Column("at_us", BIG, nullable=False),
            sa.Column("body", sa.Text(), nullable=False),
            sa.PrimaryKeyConstraint("name", "position", name=op.f(f"pk_{table}")),
        )


def downgrade() -> None:
    intents = op.get_bind().scalar(sa.text("SELECT count(*) FROM record_log WHERE host = '' AND epoch = 'intent'"))
    if intents:
        text = f"the log holds {intents} campaigns and baselines, which the program before does not know"
        raise RuntimeError(f"{text}; nothing was changed")
    for table in TABLES:
        op.drop_table(table)
