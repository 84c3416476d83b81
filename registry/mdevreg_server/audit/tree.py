"""The Merkle tree over the log, in SQL: appended to once commit order is known, which positions are.

Every transaction here takes a lock that the others wait for (PostgreSQL; SQLite has one writer anyhow), reads where
the tree ends and goes on from there. So doing it twice, or being killed in it, changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from mdevreg.audit.leaves import hash_of
from mdevreg.audit.merkle import HASH_BYTES, complete_root
from mdevreg.audit.tiles import WIDTH, Tree, split
from mdevreg.errors import StateError
from mdevreg_server.engine import converted
from mdevreg_server.tables import LogTile, RecordLog, table_of
from mdevreg_server.upsert import upsert

#: Rows that one transaction integrates: some 20 ms, so that a registry's ingest hardly waits.
LOT = 8 * WIDTH
#: Advisory lock of who changes the tree or its checkpoints: "logtree".
TREE_KEY = 0x6C6F6774726565
#: The columns of a leaf, in its order.
LEAF_COLUMNS = tuple(column for column in table_of(RecordLog).columns if column.name != "body")


def integrate(engine: sa.Engine, *, lot: int = LOT) -> int:
    """Append the log's next rows to the tree, in one transaction. Returns how many; fewer than ``lot``: no more.

    ``engine``: a writer's. Raises ``StateError`` (LOG_GAP) where the log doesn't go on without a gap.
    """
    with converted(engine), engine.begin() as connection:
        lock(connection)
        size = tree_size(connection)
        hashes = _next(connection, size, lot)
        if hashes:
            _append(connection, 0, size, hashes)
    return len(hashes)


def lock(connection: sa.Connection) -> None:
    """Be the only one to change the tree or its checkpoints, until the transaction ends."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(TREE_KEY)))


def tree_size(connection: sa.Connection) -> int:
    """How many rows of the log are in the tree."""
    last = sa.select(LogTile.number, sa.func.length(LogTile.hashes)).where(LogTile.level == 0)
    row = connection.execute(last.order_by(LogTile.number.desc()).limit(1)).one_or_none()
    return row[0] * WIDTH + row[1] // HASH_BYTES if row else 0


def tree_of(connection: sa.Connection, size: int) -> Tree:
    """The tree's first ``size`` leaves, read from the tiles as they are needed."""
    return Tree(size, lambda level, number: read_tile(connection, level, number))


def read_tile(connection: sa.Connection, level: int, number: int) -> bytes:
    """The hashes of a tile; none if it is not there."""
    wanted = sa.select(LogTile.hashes).where(LogTile.level == level, LogTile.number == number)
    return connection.scalar(wanted) or b""


def _next(connection: sa.Connection, size: int, lot: int) -> list[bytes]:
    wanted = sa.select(*LEAF_COLUMNS).where(RecordLog.position > size, RecordLog.position <= size + lot)
    rows = connection.execute(wanted.order_by(RecordLog.position)).all()
    if rows and rows[-1][0] != size + len(rows):
        missing = next(at for at, row in enumerate(rows, start=size + 1) if row[0] != at)
        text = f"record_log has no position {missing}, but later ones: see mdevreg audit verify; nothing was integrated"
        raise StateError(text, code="LOG_GAP")
    return [hash_of(tuple(row)) for row in rows]


def _append(connection: sa.Connection, level: int, first: int, hashes: Sequence[bytes]) -> None:
    """Append hashes to a level, of which the first is number ``first``; what that completes, to the level above."""
    number, filled = divmod(first, WIDTH)
    begun = read_tile(connection, level, number) if filled else b""
    if len(begun) != filled * HASH_BYTES:
        text = f"tile {number} of level {level} has not the {filled} hashes that it must have; see mdevreg audit verify"
        raise StateError(text, code="LOG_TREE")
    data = begun + b"".join(hashes)
    width = WIDTH * HASH_BYTES
    tiles = [data[at : at + width] for at in range(0, len(data), width)]
    rows = [{"level": level, "number": number + at, "hashes": tile} for at, tile in enumerate(tiles)]
    upsert(connection, LogTile, rows)
    done = [complete_root(split(tile)) for tile in tiles if len(tile) == width]
    if done:
        _append(connection, level + 1, number, done)
