"""The Merkle tree over the log, and its signed checkpoints (docs/audit.md).

Why: whoever can write to the database could change history unseen. The running registry fills the tree in lots, the
log of before included; nothing is computed here.
Release: 0.2.0
Phase: pre (before the new code runs)
Locks: none; two new tables
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "log_tile",
        sa.Column("level", sa.Integer, nullable=False),
        sa.Column("number", _BIG, nullable=False),
        sa.Column("hashes", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("level", "number", name="pk_log_tile"),
    )
    op.create_table(
        "log_checkpoint",
        sa.Column("size", _BIG, nullable=False, autoincrement=False),
        sa.Column("root", sa.Text, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("created_at_us", _BIG, nullable=False),
        sa.PrimaryKeyConstraint("size", name="pk_log_checkpoint"),
    )


def downgrade() -> None:
    op.drop_table("log_checkpoint")
    op.drop_table("log_tile")
