"""Auditing needs the database itself: what a door to it offers beside questions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from mdevreg.addresses import shown
from mdevreg.audit.findings import Consistency, Verification
from mdevreg.audit.notes import Checkpoint, PublicKey
from mdevreg.audit.proofs import Proof
from mdevreg.errors import UsageError
from mdevreg.query.door import Door

#: Schemes of doors that are databases.
DATABASES = ("sqlite", "postgresql+psycopg")
_NO_DATABASE = "an audit reads the database itself; name it with --url sqlite:///FILE or --url postgresql+psycopg://…"


class Auditor(Protocol):
    """Verifies a log and its projections, and proves what is in it."""

    def verify(
        self, *, checkpoints: Sequence[tuple[str, bytes]] = (), keys: Sequence[PublicKey] = (), log_only: bool = False
    ) -> Verification:
        """Compare every row with the tree, its roots with checkpoints, and projections with the log."""
        ...

    def prove(self, position: int, *, checkpoint: bytes | None = None) -> Proof:
        """That the record at a position is in the log."""
        ...

    def consistency(self, first: int | Checkpoint, second: int | Checkpoint) -> Consistency:
        """Whether the tree of the second begins with that of the first."""
        ...


@runtime_checkable
class Auditable(Protocol):
    """A door that the database is behind."""

    @property
    def auditor(self) -> Auditor:
        """Whoever verifies it."""
        ...


def auditor_of(door: Door) -> Auditor:
    """The auditor behind a door. Raises ``UsageError`` (NOT_A_DATABASE) where there is none."""
    if not isinstance(door, Auditable):
        raise UsageError(_NO_DATABASE, code="NOT_A_DATABASE")
    return door.auditor


def check_auditable(url: str) -> None:
    """Raise ``UsageError`` (NOT_A_DATABASE) unless there is a database behind a URL; nothing is opened for that."""
    if url.partition(":")[0].lower() not in DATABASES:
        raise UsageError(f"{shown(url)} is no database: {_NO_DATABASE}", code="NOT_A_DATABASE")
