"""The registry's first schema.

Why: record_log is the truth; the interval tables, host_state and profile are projections of it; the rest is the
registry's memory of streams, hosts heard and messages refused.
Release: 0.1.0
Phase: pre (before the new code runs)
Locks: none, the tables are new
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


#: 64-bit everywhere; SQLite only aliases the rowid for plain INTEGER.
BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "device",
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=True),
        sa.Column("profile", sa.Text(), nullable=False),
        sa.Column("iommu_group", BIG, nullable=True),
        sa.Column("valid_from_us", BIG, nullable=False),
        sa.Column("system_from", BIG, nullable=False),
        sa.Column("valid_to_us", BIG, nullable=False),
        sa.Column("ended_at", BIG, nullable=False),
        sa.Column("system_to", BIG, nullable=False),
        sa.CheckConstraint("system_from < system_to", name=op.f("ck_device_system")),
        sa.CheckConstraint("valid_from_us < valid_to_us", name=op.f("ck_device_valid")),
        sa.PrimaryKeyConstraint("host", "path", "name", "valid_from_us", "system_from", name=op.f("pk_device")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("device", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_device_name"), ["name"], unique=False)

    op.create_table(
        "driver_build",
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("module", sa.Text(), nullable=True),
        sa.Column("kernel_release", sa.Text(), nullable=True),
        sa.Column("version", sa.Text(), nullable=True),
        sa.Column("srcversion", sa.Text(), nullable=True),
        sa.Column("build_id", sa.Text(), nullable=True),
        sa.Column("valid_from_us", BIG, nullable=False),
        sa.Column("system_from", BIG, nullable=False),
        sa.Column("valid_to_us", BIG, nullable=False),
        sa.Column("ended_at", BIG, nullable=False),
        sa.Column("system_to", BIG, nullable=False),
        sa.CheckConstraint("system_from < system_to", name=op.f("ck_driver_build_system")),
        sa.CheckConstraint("valid_from_us < valid_to_us", name=op.f("ck_driver_build_valid")),
        sa.PrimaryKeyConstraint("host", "path", "name", "valid_from_us", "system_from", name=op.f("pk_driver_build")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "host_fact",
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("hostname", sa.Text(), nullable=False),
        sa.Column("site", sa.Text(), nullable=True),
        sa.Column("kernel_release", sa.Text(), nullable=True),
        sa.Column("position", BIG, nullable=False),
        sa.Column("valid_from_us", BIG, nullable=False),
        sa.Column("system_from", BIG, nullable=False),
        sa.Column("valid_to_us", BIG, nullable=False),
        sa.Column("ended_at", BIG, nullable=False),
        sa.Column("system_to", BIG, nullable=False),
        sa.CheckConstraint("system_from < system_to", name=op.f("ck_host_fact_system")),
        sa.CheckConstraint("valid_from_us < valid_to_us", name=op.f("ck_host_fact_valid")),
        sa.PrimaryKeyConstraint("host", "valid_from_us", "system_from", name=op.f("pk_host_fact")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("host_fact", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_host_fact_hostname"), ["hostname"], unique=False)

    op.create_table(
        "host_presence",
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("last_seen_us", BIG, nullable=False),
        sa.Column("leaving", sa.Integer(), nullable=False),
        sa.Column("conflict", sa.Text(), nullable=True),
        sa.Column("conflict_since_us", BIG, nullable=True),
        sa.PrimaryKeyConstraint("host", name=op.f("pk_host_presence")),
    )
    op.create_table(
        "host_state",
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
        sa.PrimaryKeyConstraint("host", name=op.f("pk_host_state")),
    )
    with op.batch_alter_table("host_state", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_host_state_position"), ["position"], unique=False)

    op.create_table(
        "offer",
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("profile", sa.Text(), nullable=False),
        sa.Column("valid_from_us", BIG, nullable=False),
        sa.Column("system_from", BIG, nullable=False),
        sa.Column("valid_to_us", BIG, nullable=False),
        sa.Column("ended_at", BIG, nullable=False),
        sa.Column("system_to", BIG, nullable=False),
        sa.CheckConstraint("system_from < system_to", name=op.f("ck_offer_system")),
        sa.CheckConstraint("valid_from_us < valid_to_us", name=op.f("ck_offer_valid")),
        sa.PrimaryKeyConstraint("host", "path", "type", "valid_from_us", "system_from", name=op.f("pk_offer")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("offer", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_offer_type_system_to_valid_to_us"), ["type", "system_to", "valid_to_us"], unique=False
        )

    op.create_table(
        "parent",
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("position", BIG, nullable=False),
        sa.Column("free", sa.Text(), nullable=False),
        sa.Column("valid_from_us", BIG, nullable=False),
        sa.Column("system_from", BIG, nullable=False),
        sa.Column("valid_to_us", BIG, nullable=False),
        sa.Column("ended_at", BIG, nullable=False),
        sa.Column("system_to", BIG, nullable=False),
        sa.CheckConstraint("system_from < system_to", name=op.f("ck_parent_system")),
        sa.CheckConstraint("valid_from_us < valid_to_us", name=op.f("ck_parent_valid")),
        sa.PrimaryKeyConstraint("host", "path", "valid_from_us", "system_from", name=op.f("pk_parent")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "profile",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_profile")),
    )
    op.create_table(
        "quarantine",
        sa.Column("id", BIG, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=True),
        sa.Column("epoch", sa.Text(), nullable=True),
        sa.Column("seq", BIG, nullable=True),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("received_at_us", BIG, nullable=False),
        sa.Column("last_received_at_us", BIG, nullable=False),
        sa.Column("times", BIG, nullable=False),
        sa.Column("resolution", sa.Text(), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("state in ('open', 'dropped', 'applied')", name=op.f("ck_quarantine_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_quarantine")),
        sa.UniqueConstraint("sha256", "subject", name=op.f("uq_quarantine_sha256_subject")),
    )
    with op.batch_alter_table("quarantine", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_quarantine_host_epoch_seq"), ["host", "epoch", "seq"], unique=False)

    op.create_table(
        "record_log",
        sa.Column("position", BIG, autoincrement=False, nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("epoch", sa.Text(), nullable=False),
        sa.Column("seq", BIG, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("observed_at_us", BIG, nullable=False),
        sa.Column("received_at_us", BIG, nullable=False),
        sa.Column("committed_at_us", BIG, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("position >= 1", name=op.f("ck_record_log_position")),
        sa.PrimaryKeyConstraint("position", name=op.f("pk_record_log")),
        sa.UniqueConstraint("host", "epoch", "seq", name=op.f("uq_record_log_host_epoch_seq")),
    )
    op.create_table(
        "stream_position",
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("created", sa.Text(), nullable=False),
        sa.Column("stream_seq", BIG, nullable=False),
        sa.Column("position", BIG, nullable=False),
        sa.PrimaryKeyConstraint("stream", name=op.f("pk_stream_position")),
    )


def downgrade() -> None:
    op.drop_table("stream_position")
    op.drop_table("record_log")
    with op.batch_alter_table("quarantine", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_quarantine_host_epoch_seq"))

    op.drop_table("quarantine")
    op.drop_table("profile")
    op.drop_table("parent")
    with op.batch_alter_table("offer", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_offer_type_system_to_valid_to_us"))

    op.drop_table("offer")
    with op.batch_alter_table("host_state", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_host_state_position"))

    op.drop_table("host_state")
    op.drop_table("host_presence")
    with op.batch_alter_table("host_fact", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_host_fact_hostname"))

    op.drop_table("host_fact")
    op.drop_table("driver_build")
    with op.batch_alter_table("device", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_device_name"))

    op.drop_table("device")
