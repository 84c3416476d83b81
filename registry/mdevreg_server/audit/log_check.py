"""Every row of the log against the tree, the tree against itself, its roots against checkpoints. One pass.

Two trees are followed: of the rows as they are, and of the leaves as the tiles have them. They are the same until
somebody changed one of both; what vouches (an upper tile, a checkpoint) then says which.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec
import sqlalchemy as sa

from mdevreg.audit.findings import Finding, Findings
from mdevreg.audit.leaves import hash_of
from mdevreg.audit.merkle import Peaks, complete_root
from mdevreg.audit.tiles import WIDTH, split
from mdevreg_server.audit.rows import streamed
from mdevreg_server.audit.suspect import column_of
from mdevreg_server.audit.tile_check import Tiles
from mdevreg_server.audit.tree import LEAF_COLUMNS
from mdevreg_server.tables import RecordLog

LOG = "record_log"


class Roots(msgspec.Struct, frozen=True):
    """The root at one size, of the rows and of the tiles; the same where nothing differs."""

    rows: bytes
    tiles: bytes


class LogCheck:
    """``run`` once. ``sizes``: where roots are wanted. ``pruned_to``: host → up to where bodies may be empty."""

    def __init__(
        self,
        connection: sa.Connection,
        findings: Findings,
        tiles: Tiles,
        sizes: Iterable[int],
        *,
        pruned_to: Mapping[str, int],
    ) -> None:
        self._connection, self._findings, self._tiles = connection, findings, tiles
        self._sizes = sorted(set(sizes), reverse=True)
        self._vouched = max(self._sizes, default=0)
        self._pruned_to = pruned_to
        self._rows, self._leaves = Peaks(), Peaks()
        self._number, self._next = 0, 1
        self._lot: list[
            tuple[bytes | None, Any]
        ] = []  # of one tile: a row's hash, and the row if it is to be looked at
        self._broken = False  # a gap after the tree's end: what follows has no place
        self.records = 0
        self.pruned = 0
        self.roots: dict[int, Roots] = {}
        self.root = b""

    @property
    def end(self) -> int:
        """How far the log goes without a gap that the tree can't fill."""
        return self._next - 1

    def run(self) -> None:
        """Read the whole log."""
        statement = sa.select(*LEAF_COLUMNS, RecordLog.body).order_by(RecordLog.position)
        for row in streamed(self._connection, statement):
            self.records += 1
            if row[0] == self._next and not self._broken:
                self._take(row)
            else:
                self._astray(row)
        if self.end < self._tiles.size:
            self._missing(self._tiles.size)
        self._close()

    def _take(self, row: Any) -> None:
        body = row[9]
        if not body:
            self._bodiless(row[0], row[1])
        elif not isinstance(body, bytes) or hashlib.sha256(body).hexdigest() != row[5]:
            self._wrong_body(row)
        self._push(hash_of(row[:9]), row)

    def _push(self, found: bytes | None, row: Any) -> None:
        self._next += 1
        self._lot.append((found, row))
        if len(self._lot) == WIDTH:
            self._tile()
            self._number += 1
            self._lot = []

    def _astray(self, row: Any) -> None:
        """A row that does not follow the one before it."""
        position = row[0]
        if isinstance(position, int) and self.end < position <= self._tiles.size:
            self._missing(position - 1)
            self._take(row)
            return
        if isinstance(position, int) and position > self.end and not self._broken:
            self._broken = True
            self._missing(self._tiles.size)
            if position > self.end + 1:
                text = (
                    f"positions {self.end + 1} to {position - 1} are missing, and the row after them is not in the tree"
                )
                self._findings.add(Finding("ROWS_MISSING", text, LOG, self.end + 1, position - 1))
            else:
                self._broken = False
                self._take(row)
                return
        text = f"the row at position {position} can't be of this log: positions begin at 1 and follow each other"
        self._findings.add(Finding("ROW_INSERTED", text, LOG, position))

    def _missing(self, last: int) -> None:
        """Rows up to ``last`` are gone that are in the tree; its leaves stand for them."""
        first = self.end + 1
        if first > last:
            return
        what = "the end of the log is cut off" if last == self._tiles.size else "rows were deleted"
        text = f"{what}: positions {first} to {last} are in the tree, and their rows are gone"
        self._findings.add(Finding("ROWS_MISSING", text, LOG, first, last))
        while self.end < last:
            self._push(None, None)

    def _bodiless(self, position: int, host: str) -> None:
        if position <= self._pruned_to.get(host, 0):
            self.pruned += 1
            return
        text = f"the body at position {position} is gone, and it was not pruned"
        self._findings.add(Finding("BODY_CHANGED", text, LOG, position, column="body"))

    def _wrong_body(self, row: Any) -> None:
        stored = self._tiles.leaf(row[0] - 1)
        if isinstance(row[9], bytes) and stored is not None and stored != hash_of(row[:9]) and _sound(row) == stored:
            return  # the column sha256 was changed, and is told of as a row that differs
        text = f"the body at position {row[0]} is not the one that was logged: its SHA-256 is not the row's"
        self._findings.add(Finding("BODY_CHANGED", text, LOG, row[0], column="body"))

    def _tile(self) -> None:
        """All leaves of one tile are there: compare, and go on with both trees."""
        stored = self._tiles.stored(self._number)
        rows = [found for found, _ in self._lot]
        if b"".join(found or b"" for found in rows) == stored:
            self._grow(rows, rows)
            return
        there = split(stored)
        leaves = [there[at] if at < len(there) else found for at, found in enumerate(rows)]
        filled = [found if found is not None else leaves[at] for at, found in enumerate(rows)]
        trusted = self._trusted(filled, leaves)
        for at in range(min(len(there), len(rows))):
            if rows[at] is not None and rows[at] != there[at]:
                self._differs(at, trusted)
        if trusted == "rows":
            self._tiles.changed(0, self._number)
        self._grow(filled, leaves)

    def _trusted(self, rows: list[Any], leaves: list[Any]) -> str:
        """What the tile above vouches for: ``rows``, ``leaves``, or nothing."""
        above = self._tiles.above(self._number)
        if above is None or len(rows) < WIDTH:
            return ""
        return "leaves" if complete_root(leaves) == above else "rows" if complete_root(rows) == above else ""

    def _differs(self, at: int, trusted: str) -> None:
        _, row = self._lot[at]
        if trusted == "rows":
            return  # the tile was changed, and is told of
        column = column_of(row, self._tiles.leaf(row[0] - 1))
        where = f", column {column}" if column else ""
        text = f"the row at position {row[0]} is not the one that was logged{where}: its leaf is not the tree's"
        text += "" if trusted or row[0] <= self._vouched else "; or the tree was changed: nothing is signed of it yet"
        self._findings.add(Finding("ROW_CHANGED", text, LOG, row[0], column=column))

    def _grow(self, rows: list[Any], leaves: list[Any]) -> None:
        first = self._number * WIDTH
        same = rows is leaves and self._rows is self._leaves
        if not same and self._rows is self._leaves:
            self._leaves = self._rows.copy()
        for at, (one, other) in self._stops(rows, leaves, first):
            self.roots[at] = Roots(one, other)
        if len(rows) == WIDTH:
            self._tiles.below(self._number, complete_root(leaves))
            self._rows.add(complete_root(rows), 8)
            if self._rows is not self._leaves:
                self._leaves.add(complete_root(leaves), 8)

    def _stops(self, rows: list[Any], leaves: list[Any], first: int) -> Iterator[tuple[int, tuple[bytes, bytes]]]:
        """The roots that are wanted inside this tile."""
        if not self._sizes or self._sizes[-1] > first + len(rows):
            return
        one, other, done = self._rows.copy(), self._leaves.copy(), 0
        while self._sizes and self._sizes[-1] <= first + len(rows):
            size = self._sizes.pop()
            for at in range(done, size - first):
                one.add(rows[at])
                other.add(leaves[at])
            done = max(done, size - first)
            yield size, (one.root(), other.root())

    def _close(self) -> None:
        """The last tile, and the root over all."""
        end = self.end
        self._sizes = [end, *(size for size in self._sizes if size < end)]
        if self._lot:
            self._tile()
        for size in self._sizes:  # none was left, or the log ends where a tile does
            self.roots[size] = Roots(self._rows.root(), self._leaves.root())
        self.root = self.roots[end].rows


def _sound(row: Any) -> bytes:
    """The leaf's hash, had the row the digest of its body."""
    return hash_of((*row[:5], hashlib.sha256(row[9]).hexdigest(), *row[6:9]))
