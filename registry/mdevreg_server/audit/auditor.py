"""Verifying, proving and comparing, over a database; each from one snapshot, while a registry may go on."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

import sqlalchemy as sa

from mdevreg.audit.findings import Consistency, Finding, Findings, Verification
from mdevreg.audit.leaves import leaf_of
from mdevreg.audit.merkle import leaf_hash, verify_consistency, verify_inclusion
from mdevreg.audit.notes import Checkpoint, PublicKey, read_checkpoint, read_note
from mdevreg.audit.proofs import Proof, path_of
from mdevreg.errors import NotFoundError, StateError, UsageError
from mdevreg.subjects import RECORDS_STREAM
from mdevreg_server.audit.log_check import LOG, LogCheck
from mdevreg_server.audit.projection_check import check_projections
from mdevreg_server.audit.prunes import check_pruned, pruning_of
from mdevreg_server.audit.row_check import check_profiles, check_rows
from mdevreg_server.audit.rows import snapshot
from mdevreg_server.audit.tile_check import Tiles
from mdevreg_server.audit.tree import LEAF_COLUMNS, tree_of, tree_size
from mdevreg_server.audit.vouching import compare, given, reclassified, stored, worth_telling
from mdevreg_server.tables import LogCheckpoint, RecordLog, StreamPosition

T = TypeVar("T")

TAMPERED = "LOG_TAMPERED"


class SqlAuditor:
    """``mdevreg.query.auditing.Auditor`` over SQL. ``engine``: a reader's."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def verify(
        self, *, checkpoints: Sequence[tuple[str, bytes]] = (), keys: Sequence[PublicKey] = (), log_only: bool = False
    ) -> Verification:
        """Compare everything. ``checkpoints``: kept outside, by name and content.

        Raises ``AuditError`` for those that are none, or that no key has signed.
        """
        findings, claims = Findings(), given(checkpoints, keys)
        with snapshot(self._engine) as connection:
            claims += stored(connection, keys, findings)
            tiles = Tiles(connection, findings)
            sizes = [claim.checkpoint.size for claim in claims]
            believed = [claim.checkpoint.size for claim in claims if claim.trust != "unknown"]
            pruning = pruning_of(connection, max(believed, default=0), findings)
            log = LogCheck(connection, findings, tiles, sizes, pruned_to=pruning.bases)
            log.run()
            tiles.check_upper()
            vouched = compare(claims, log.roots, log.end, tiles.size, findings)
            _check_position(connection, log.end, findings)
            tables = {}
            if not log_only:
                if pruning.begun is not None:
                    check_rows(connection, findings)
                    check_profiles(connection, findings)
                    check_pruned(connection, pruning, findings)
                tables = check_projections(connection, findings, pruned=pruning.begun is not None)
        trusted = [each.size for each in vouched if each.matches and each.trust != "unknown"]
        return Verification(
            records=log.records,
            integrated=tiles.size,
            root=base64.b64encode(log.root).decode(),
            vouched_size=max(trusted, default=0),
            compared=len(vouched),
            believed=len(trusted),
            checkpoints=worth_telling(vouched),
            tables=tables,
            findings=tuple(reclassified(findings.found, claims, log.roots)),
            counts=dict(findings.counts),
            pruned_bodies=log.pruned,
            unvouched_prune=pruning.unvouched,
        )

    def prove(self, position: int, *, checkpoint: bytes | None = None) -> Proof:
        """That the record at a position is in the log, by a checkpoint: the newest one that is kept, or the given one.

        Raises ``NotFoundError``; ``StateError`` (NO_CHECKPOINT: none is of so many records; LOG_TAMPERED).
        """
        with snapshot(self._engine) as connection:
            row = connection.execute(
                sa.select(*LEAF_COLUMNS, RecordLog.body).where(RecordLog.position == position)
            ).one_or_none()
            if row is None:
                raise NotFoundError("position of the log", str(position))
            note = checkpoint.decode() if checkpoint else _note_for(connection, position)
            found = read_checkpoint(read_note(note.encode()))
            if not position <= found.size <= tree_size(connection):
                text = f"the checkpoint is of {found.size} records; position {position} needs another one"
                raise StateError(text, code="NO_CHECKPOINT")
            leaf, tree = leaf_of(tuple(row[:9])), tree_of(connection, found.size)
            path = _sound(partial(tree.inclusion, position - 1))
        if not verify_inclusion(leaf_hash(leaf), position - 1, found.size, path, found.root):
            text = f"position {position} can't be proven: row, tree and checkpoint disagree; see mdevreg audit verify"
            raise StateError(text, code=TAMPERED)
        return Proof(leaf, row.body or None, position - 1, tuple(path), note)

    def consistency(self, first: int | Checkpoint, second: int | Checkpoint) -> Consistency:
        """Whether the tree of the second begins with that of the first. Sizes are of this log's own tree.

        Raises ``UsageError`` for trees that this log has not.
        """
        old, new = (each if isinstance(each, int) else each.size for each in (first, second))
        with snapshot(self._engine) as connection:
            size = tree_size(connection)
            if not 0 <= old <= new:
                raise UsageError(f"{old} and {new} are no two trees, the smaller one first")
            if new > size:
                return self._beyond(first if old > size else second, size, (old, new))
            before, tree = tree_of(connection, old), tree_of(connection, new)
            roots = [_sound(before.root), _sound(tree.root)]
            proof = _sound(partial(tree.consistency, old))
        claimed = [
            each.root if isinstance(each, Checkpoint) else own for each, own in zip((first, second), roots, strict=True)
        ]
        holds = verify_consistency(old, new, claimed[0], claimed[1], proof)
        text = f"the log's first {new} records begin with the same {old}" if holds else _inconsistent(old, new)
        shown = path_of(claimed)
        return Consistency(old, new, shown[0], shown[1], tuple(path_of(proof)), holds, text)

    @staticmethod
    def _beyond(what: int | Checkpoint, size: int, sizes: tuple[int, int]) -> Consistency:
        """A tree that is larger than the log's: of a checkpoint, records were lost."""
        if isinstance(what, int):
            raise UsageError(f"the log's tree has {size} records, {what} were asked about")
        text = f"the checkpoint is of {what.size} records, the log's tree has {size}: its end is gone"
        return Consistency(*sizes, "", "", (), consistent=False, text=text)


def _inconsistent(old: int, new: int) -> str:
    return f"no proof holds from {old} to {new} records: one of them was not made of this log, or it was rewritten"


def _sound(make: Callable[[], T]) -> T:
    try:
        return make()
    except ValueError as error:
        raise StateError(f"the tree is damaged: {error}; see mdevreg audit verify", code=TAMPERED) from error


def _note_for(connection: sa.Connection, position: int) -> str:
    newest = sa.select(LogCheckpoint.note).where(LogCheckpoint.size >= position)
    note = connection.scalar(newest.order_by(LogCheckpoint.size.desc()).limit(1))
    if note is None:
        text = f"no checkpoint covers position {position} yet; a registry that signs makes one soon, or run: "
        raise StateError(f"{text}mdevreg-server audit checkpoint", code="NO_CHECKPOINT")
    return note


def _check_position(connection: sa.Connection, end: int, findings: Findings) -> None:
    """The writer's own mark: rows that are not in the tree yet are no more and no fewer than it wrote."""
    marked: object = connection.scalar(
        sa.select(StreamPosition.position).where(StreamPosition.stream == RECORDS_STREAM)
    )
    if marked is None or marked == end:
        return
    if not isinstance(marked, int):  # SQLite takes values of any type
        text = f"the writer's own mark was changed: it is {marked!r:.80}, the log ends at {end}"
        findings.add(Finding("MARK_CHANGED", text, "stream_position", key=RECORDS_STREAM, column="position"))
        return
    if marked > end:
        text = f"the end of the log is cut off: its writer was at position {marked}, the log ends at {end}"
        findings.add(Finding("ROWS_MISSING", text, LOG, end + 1, marked))
    else:
        text = f"positions {marked + 1} to {end} were not written by the registry: its own mark is {marked}"
        findings.add(Finding("ROW_INSERTED", text, LOG, marked + 1, end))
