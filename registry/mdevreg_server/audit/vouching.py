"""Checkpoints: which are there, who signed them, and whether the log still is what they say."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence

import msgspec
import sqlalchemy as sa

from mdevreg.audit.findings import Finding, Findings, Trust, Vouched
from mdevreg.audit.notes import Checkpoint, PublicKey, read_checkpoint, read_note, signers
from mdevreg.errors import AuditError
from mdevreg.signing import verify
from mdevreg_server.audit.log_check import LOG, Roots
from mdevreg_server.tables import LogCheckpoint

CHECKPOINTS = "log_checkpoint"
STORED = "database"
#: So many of the database's checkpoints are listed even if nothing is wrong with them.
NEWEST = 10


class Claimed(msgspec.Struct, frozen=True):
    """A checkpoint, where it is from, and why it may be believed."""

    checkpoint: Checkpoint
    source: str
    trust: Trust


def given(files: Iterable[tuple[str, bytes]], keys: Sequence[PublicKey]) -> list[Claimed]:
    """Checkpoints that were kept outside, by name and content.

    Raises ``AuditError`` for what is none, and for one that none of the keys, if there are any, has signed.
    """
    return [_given(name, data, keys) for name, data in files]


def stored(connection: sa.Connection, keys: Sequence[PublicKey], findings: Findings) -> list[Claimed]:
    """The checkpoints in the database; those that were tampered with are findings."""
    rows = connection.execute(sa.select(LogCheckpoint.size, LogCheckpoint.root, LogCheckpoint.note))
    claims = (_stored(row, keys, findings) for row in rows.all())
    return [claim for claim in claims if claim is not None]


def compare(
    claims: Sequence[Claimed], roots: Mapping[int, Roots], end: int, tree_size: int, findings: Findings
) -> tuple[Vouched, ...]:
    """Each checkpoint against the log's root at its size. ``end``: how far the log goes."""
    ordered = sorted(claims, key=lambda claim: (claim.checkpoint.size, claim.source))
    held = [_matches(claim.checkpoint, roots) for claim in ordered]
    good = [claim.checkpoint.size for claim, matches in zip(ordered, held, strict=True) if matches]
    for claim, matches in zip(ordered, held, strict=True):
        size = claim.checkpoint.size
        if claim.source == STORED and matches and size > tree_size:
            text = f"the tree was cut off at {tree_size}: a checkpoint of {size} records was made of it"
            findings.add(Finding("TILE_MISSING", text, "log_tile", tree_size + 1, size))
        if not matches:
            findings.add(_contradiction(claim, good, end))
    return tuple(
        Vouched(
            claim.checkpoint.size,
            base64.b64encode(claim.checkpoint.root).decode(),
            claim.checkpoint.origin,
            claim.source,
            claim.trust,
            matches,
        )
        for claim, matches in zip(ordered, held, strict=True)
    )


def worth_telling(vouched: Sequence[Vouched]) -> tuple[Vouched, ...]:
    """Of a checkpoint a minute, those that tell something: from outside, contradicting, and the newest ones."""
    newest = {id(each) for each in [each for each in vouched if each.source == STORED][-NEWEST:]}
    return tuple(each for each in vouched if each.source != STORED or not each.matches or id(each) in newest)


def reclassified(found: Iterable[Finding], claims: Sequence[Claimed], roots: Mapping[int, Roots]) -> list[Finding]:
    """Where a checkpoint vouches for the rows and not for the tiles, it is the tile that was changed."""
    told = [_by_checkpoint(finding, claims, roots) for finding in found]
    return list(dict.fromkeys(told))


def _by_checkpoint(finding: Finding, claims: Sequence[Claimed], roots: Mapping[int, Roots]) -> Finding:
    if finding.code != "ROW_CHANGED" or finding.position is None:
        return finding
    for claim in claims:
        size, root = claim.checkpoint.size, claim.checkpoint.root
        if size >= finding.position and size in roots and roots[size].rows == root != roots[size].tiles:
            number = (finding.position - 1) // 256
            text = f"tile {number} of level 0 of the tree was changed, at position {finding.position}"
            key = f"level=0 number={number}"
            return Finding("TILE_CHANGED", text, "log_tile", finding.position, key=key, column="hashes")
    return finding


def _given(name: str, data: bytes, keys: Sequence[PublicKey]) -> Claimed:
    try:
        note = read_note(data)
        signed_by = signers(note, keys, verify)
        found = read_checkpoint(note)
    except AuditError as error:
        raise AuditError(f"{name}: {error.message}", code=error.code) from error
    if keys and found.origin not in {key.name for key in signed_by}:
        text = f"{name} is not signed by a key of {found.origin} that was given; give its --public-key"
        raise AuditError(text, code="AUDIT_SIGNATURE")
    return Claimed(found, name, "signed" if keys else "given")


def _stored(row: sa.Row[int, str, str], keys: Sequence[PublicKey], findings: Findings) -> Claimed | None:
    key = f"size={row.size}"
    try:
        note = read_note(str(row.note).encode("utf-8", "surrogateescape"))  # SQLite takes values of any type
        found = read_checkpoint(note)
        signed_by = signers(note, keys, verify)
    except AuditError as error:
        text = f"the checkpoint of {row.size} records was changed: {error.message}"
        findings.add(Finding("CHECKPOINT_CHANGED", text, CHECKPOINTS, key=key, column="note"))
        return None
    for column, one, other in (
        ("size", row.size, found.size),
        ("root", row.root, base64.b64encode(found.root).decode()),
    ):
        if one != other:
            text = f"the checkpoint of {row.size} records was changed: its {column} is not the note's"
            findings.add(Finding("CHECKPOINT_CHANGED", text, CHECKPOINTS, key=key, column=column))
    trusted = found.origin in {each.name for each in signed_by}
    return Claimed(found, STORED, "signed" if trusted else "unknown")


def _matches(checkpoint: Checkpoint, roots: Mapping[int, Roots]) -> bool:
    at = roots.get(checkpoint.size)
    return at is not None and checkpoint.root in (at.rows, at.tiles)


def _contradiction(claim: Claimed, good: Sequence[int], end: int) -> Finding:
    size = claim.checkpoint.size
    before = max((each for each in good if each < size), default=0)
    if size > end:
        text = f"the log ends at {end}, but the checkpoint from {claim.source} is of {size} records: its end is gone"
        return Finding("ROWS_MISSING", text, LOG, end + 1, size)
    if claim.source == STORED and claim.trust == "unknown" and any(each > size for each in good):
        text = f"the checkpoint of {size} records was changed: those before and after it agree with the log"
        return Finding("CHECKPOINT_CHANGED", text, CHECKPOINTS, key=f"size={size}", column="note")
    text = (
        f"positions {before + 1} to {size} were rewritten, tree included: "
        f"their root is not the one of the checkpoint from {claim.source}"
    )
    return Finding("HISTORY_REWRITTEN", text, LOG, before + 1, size)
