"""Questions about the past cost their answer, not the length of the history.

Why: every interval row gets its *reach*, how long after its beginning it may be an answer, and indexes that begin with
it, for one host and for the fleet; the log gets an index by commit time, so that "what was known at" takes a time.
Release: 0.2.0
Phase: pre (before the new code runs)
Locks: the interval tables and record_log while indexes are made and rows updated; about 15 s per million interval rows
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

OPEN = 2**63 - 1
LEVELS = range(20, 54, 3)
NAMED = ("device", "driver_build")
TABLES = ("host_fact", "parent", "offer", "device", "driver_build")

#: The entry that told that a row ended or was withdrawn, the later one of both.
_TOLD = f"""(CASE WHEN ended_at = {OPEN} THEN system_to WHEN system_to = {OPEN} THEN ended_at
    WHEN ended_at > system_to THEN ended_at ELSE system_to END)"""


def upgrade() -> None:
    op.create_index(op.f("ix_record_log_committed_at_us"), "record_log", ["committed_at_us"])
    op.execute("CREATE TEMPORARY TABLE log_clock (position BIGINT PRIMARY KEY, us BIGINT NOT NULL)")
    op.execute("INSERT INTO log_clock SELECT position, max(committed_at_us) OVER (ORDER BY position) FROM record_log")
    for table in TABLES:
        op.add_column(table, sa.Column("reach", sa.Integer(), server_default="63", nullable=False))
        op.execute(_filling(table))
        op.create_index(op.f(f"ix_{table}_host_reach_valid_from_us"), table, ["host", "reach", "valid_from_us"])
        op.create_index(op.f(f"ix_{table}_reach_valid_from_us"), table, ["reach", "valid_from_us"])
    op.execute("DROP TABLE log_clock")
    op.drop_index("ix_offer_type_system_to_valid_to_us", "offer")
    op.create_index(op.f("ix_offer_type_reach_valid_from_us"), "offer", ["type", "reach", "valid_from_us"])
    op.drop_index("ix_device_name", "device")
    for table in NAMED:
        op.create_index(op.f(f"ix_{table}_name_reach_valid_from_us"), table, ["name", "reach", "valid_from_us"])


def _filling(table: str) -> str:
    seen_to = f"CASE WHEN valid_to_us = {OPEN} OR valid_to_us < us THEN us ELSE valid_to_us END"
    levels = " ".join(f"WHEN {seen_to} - valid_from_us <= {1 << level} THEN {level}" for level in LEVELS[:-1])
    closed = f"valid_to_us < {OPEN} OR system_to < {OPEN}"
    reach = f"CASE {levels} ELSE {LEVELS[-1]} END"
    return f"UPDATE {table} SET reach = {reach} FROM log_clock WHERE log_clock.position = {_TOLD} AND ({closed})"  # noqa: S608  (constants of this file)


def downgrade() -> None:
    op.create_index(op.f("ix_offer_type_system_to_valid_to_us"), "offer", ["type", "system_to", "valid_to_us"])
    op.drop_index("ix_offer_type_reach_valid_from_us", "offer")
    for table in NAMED:
        op.drop_index(f"ix_{table}_name_reach_valid_from_us", table)
    op.create_index(op.f("ix_device_name"), "device", ["name"])
    for table in TABLES:
        op.drop_index(f"ix_{table}_reach_valid_from_us", table)
        op.drop_index(f"ix_{table}_host_reach_valid_from_us", table)
        op.drop_column(table, "reach")
    op.drop_index("ix_record_log_committed_at_us", "record_log")
