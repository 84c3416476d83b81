"""How far events were told, who subscribed to them, and how their deliveries went (ADR 18).

Why: events are told once, in log order, by whoever goes on after a crash; deliveries are retried for a day. A database
that has a history begins to tell where it stands: what it holds already is no event.
Release: 0.4.0
Phase: pre (before the new code runs)
Locks: none, the tables are new
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

#: 64-bit everywhere; SQLite only aliases the rowid for plain INTEGER.
BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "event_mark",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("position", BIG, nullable=False),
        sa.Column("at_us", BIG, nullable=False),
        sa.Column("created", sa.Text(), nullable=False),
        sa.Column("stream_seq", BIG, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_event_mark")),
    )
    op.create_table(
        "host_doubt",
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("doubt", sa.Text(), nullable=False),
        sa.Column("seen_us", BIG, nullable=False),
        sa.CheckConstraint("doubt in ('silent', 'left', 'conflict')", name=op.f("ck_host_doubt_doubt")),
        sa.PrimaryKeyConstraint("host", name=op.f("pk_host_doubt")),
    )
    op.create_table(
        "campaign_news",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("told", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_campaign_news")),
    )
    op.create_table(
        "webhook",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("events", sa.Text(), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("created_at_us", BIG, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook")),
    )
    op.create_table(
        "webhook_delivery",
        sa.Column("id", BIG, nullable=False),
        sa.Column("webhook", sa.Text(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("created_at_us", BIG, nullable=False),
        sa.Column("first_at_us", BIG, nullable=True),
        sa.Column("next_at_us", BIG, nullable=False),
        sa.Column("ended_at_us", BIG, nullable=True),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("state in ('waiting', 'delivered', 'failed')", name=op.f("ck_webhook_delivery_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_delivery")),
        sa.UniqueConstraint("webhook", "event", name=op.f("uq_webhook_delivery_webhook_event")),
    )
    op.create_index(op.f("ix_webhook_delivery_webhook_state_id"), "webhook_delivery", ["webhook", "state", "id"])
    op.create_index(op.f("ix_webhook_delivery_ended_at_us"), "webhook_delivery", ["ended_at_us"])


def downgrade() -> None:
    op.drop_table("webhook_delivery")
    op.drop_table("webhook")
    op.drop_table("campaign_news")
    op.drop_table("host_doubt")
    op.drop_table("event_mark")
