"""What hosts added up to where the bodies of their records were pruned (ADR 15).

Why: a registry that keeps documents for a bounded time goes on from a base. Nothing is pruned by this step, and no
row of another table changes: the body of a pruned record is empty, not NULL, so that record_log is not written anew.
Release: 0.3.0
Phase: pre (before the new code runs)
Locks: none, the table is new
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

#: 64-bit everywhere; SQLite only aliases the rowid for plain INTEGER.
BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "host_base",
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("epoch", sa.Text(), nullable=False),
        sa.Column("retired", sa.Text(), nullable=False),
        sa.Column("received", sa.Text(), nullable=False),
        sa.Column("settled", BIG, nullable=False),
        sa.Column("last_seq", BIG, nullable=False),
        sa.Column("position", BIG, nullable=False),
        sa.Column("valid_at_us", BIG, nullable=False),
        sa.Column("received_at_us", BIG, nullable=False),
        sa.Column("in_sync", sa.Integer(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("host", name=op.f("pk_host_base")),
    )


def downgrade() -> None:
    pruned = op.get_bind().scalar(sa.text("SELECT count(*) FROM host_base"))
    if pruned:
        text = (
            f"records of {pruned} hosts were pruned, which the program before can't go on without; nothing was changed"
        )
        raise RuntimeError(text)
    op.drop_table("host_base")
