"""Rows that no derivation shows to be wrong, since a rebuild begins with them where bodies were pruned."""

from __future__ import annotations

import sqlalchemy as sa

from mdevreg.audit.findings import Findings
from mdevreg.records import digest_of
from mdevreg_server.audit.projection_check import finding_of
from mdevreg_server.audit.rows import streamed
from mdevreg_server.oddities import half_ended, misplaced
from mdevreg_server.tables import INTERVALS, Device, Offer, Profile, table_of


def check_rows(connection: sa.Connection, findings: Findings) -> None:
    """Each has both its ends, and is where questions look for it."""
    for table in map(table_of, INTERVALS.values()):
        for key in connection.execute(half_ended(table)):
            text = "ends, and no entry of the log told it, or the other way round"
            findings.add(finding_of("PROJECTION_CHANGED", table, tuple(key), text, "valid_to_us, ended_at"))
        for key in connection.execute(misplaced(table)):
            text = "is not where questions about the past look for it"
            findings.add(finding_of("PROJECTION_CHANGED", table, tuple(key), text, "reach"))


def check_profiles(connection: sa.Connection, findings: Findings) -> None:
    """Profiles are what their digests say, and every one that rows name is there."""
    table = table_of(Profile)
    for digest, body in streamed(connection, sa.select(*table.columns)):
        if not isinstance(body, str) or digest_of(body.encode("utf-8", "surrogateescape")) != digest:
            text = "its digest is not its own"
            findings.add(finding_of("PROJECTION_CHANGED", table, (digest,), text, "body"))
    for rows in (Offer, Device):
        wanted = sa.select(rows.profile).distinct().where(rows.profile.not_in(sa.select(Profile.digest)))
        for digest in connection.scalars(wanted):
            text = f"is gone, and rows of {rows.__tablename__} name it"
            findings.add(finding_of("PROJECTION_MISSING", table, (digest,), text))
