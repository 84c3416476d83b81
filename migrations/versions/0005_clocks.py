"""What is measured of hosts' clocks, and the records that were committed while one was wrong.

Why: a record says when its host saw something, by the host's clock; an auditor must know which of them were wrong.
Release: 0.2.0
Phase: pre (before the new code runs)
Locks: host_presence, for the moment that three empty columns take
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MEASURED = ("skew_us", "skew_at_us", "skew_beyond_us")


def upgrade() -> None:
    for name in MEASURED:
        op.add_column("host_presence", sa.Column(name, BIG, nullable=True))
    op.create_table(
        "record_clock",
        sa.Column("position", BIG, autoincrement=False, nullable=False),
        sa.Column("skew_us", BIG, nullable=False),
        sa.PrimaryKeyConstraint("position", name=op.f("pk_record_clock")),
    )


def downgrade() -> None:
    op.drop_table("record_clock")
    with op.batch_alter_table("host_presence") as table:
        for name in MEASURED:
            table.drop_column(name)
