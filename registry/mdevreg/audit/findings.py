"""What verifying a log found. Pure."""

from __future__ import annotations

from typing import Literal

import msgspec

Trust = Literal["signed", "given", "unknown"]


class Finding(msgspec.Struct, frozen=True):
    """One trace of tampering. ``code`` is stable.

    ``table``, ``position``, ``key``, ``column``: where, as far as it can be said; ``last_position``: the trace is
    somewhere from ``position`` to there.
    """

    code: str
    text: str
    table: str
    position: int | None = None
    last_position: int | None = None
    key: str | None = None
    column: str | None = None


class Vouched(msgspec.Struct, frozen=True):
    """A checkpoint that was compared. ``trust``: signed by a key that was given; kept outside; or neither."""

    size: int
    root: str
    origin: str
    source: str
    trust: Trust
    matches: bool


class Verification(msgspec.Struct, frozen=True):
    """What was compared, and what was found.

    ``records``: rows of the log; ``integrated``: of those in the tree; ``vouched_size``: up to which position a
    checkpoint that can be trusted vouches, 0: none; ``counts``: findings by code, those beyond the list included;
    ``checkpoints``: those from outside, those that don't match, and the newest of the database, of ``compared`` in all;
    ``believed``: how many match and can be trusted. ``pruned_bodies``: bodies that pruning took, their rows are whole.
    ``unvouched_prune``: position of an entry about a prune that no checkpoint vouches for yet, 0: there is none.
    """

    records: int
    integrated: int
    root: str
    vouched_size: int
    compared: int
    believed: int
    checkpoints: tuple[Vouched, ...]
    tables: dict[str, int]
    findings: tuple[Finding, ...]
    counts: dict[str, int]
    pruned_bodies: int = 0
    unvouched_prune: int = 0


class Findings:
    """Gathers findings, of each code the first ``bound``; counts them all."""

    def __init__(self, bound: int = 20) -> None:
        self._bound = bound
        self.found: list[Finding] = []
        self.counts: dict[str, int] = {}

    def add(self, finding: Finding) -> None:
        """One more."""
        count = self.counts.get(finding.code, 0) + 1
        self.counts[finding.code] = count
        if count <= self._bound:
            self.found.append(finding)


class Consistency(msgspec.Struct, frozen=True):
    """Whether a tree begins with an earlier one. ``proof``: base64 hashes (RFC 9162, 2.1.4)."""

    first: int
    second: int
    first_root: str
    second_root: str
    proof: tuple[str, ...]
    consistent: bool
    text: str
