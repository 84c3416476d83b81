"""The log holds amendments too: catalog entries and operators' rules (ADR 6).

Why: what is believed of drivers is history like what was seen on hosts. No table changes; programs before this
revision must not rebuild from, or write to, a log whose amendments they can't read.
Release: 0.2.0
Phase: pre (before the new code runs)
Locks: none
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    amendments = op.get_bind().scalar(sa.text("SELECT count(*) FROM record_log WHERE host = ''"))
    if amendments:
        text = f"the log holds {amendments} amendments, which the program before can't read; nothing was changed"
        raise RuntimeError(text)
