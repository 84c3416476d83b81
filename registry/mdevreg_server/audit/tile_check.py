"""The tree's tiles as they are stored: which there must be, and whether the upper ones follow from those below."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import sqlalchemy as sa

from mdevreg.audit.findings import Finding, Findings
from mdevreg.audit.merkle import HASH_BYTES, complete_root
from mdevreg.audit.tiles import WIDTH, split, widths
from mdevreg.texts import printable
from mdevreg_server.audit.tree import read_tile
from mdevreg_server.tables import LogTile

TILE = "log_tile"
#: A tile whose number is beyond so many times the number of tiles is none of this tree.
_FAR = 2


class Tiles:
    """``size``: of the tree, as its tiles at level 0 say. Level 0 is read as needed, the small rest at once."""

    def __init__(self, connection: sa.Connection, findings: Findings) -> None:
        self._connection, self._findings = connection, findings
        self._bytes = {where: length for where, length in _lengths(connection) if self._named(*where)}
        last = _last(number for level, number in self._bytes if level == 0)
        self.size = 0 if last is None else last * WIDTH + min(WIDTH, self._bytes[0, last] // HASH_BYTES)
        self._roots: dict[int, bytes] = {}
        self._told: set[tuple[int, int]] = set()
        self._upper = {(level, number): self._read(level, number) for level, number in self._bytes if level > 0}
        self.stored = lru_cache(maxsize=2)(self._stored)
        self._shape()

    def leaf(self, index: int) -> bytes | None:
        """The leaf that the tree has at an index."""
        hashes = split(self.stored(index // WIDTH)) if 0 <= index < self.size else []
        return hashes[index % WIDTH] if index % WIDTH < len(hashes) else None

    def above(self, number: int) -> bytes | None:
        """What the level above has as the root of a full tile."""
        hashes = split(self._upper.get((1, number // WIDTH), b""))
        return hashes[number % WIDTH] if number % WIDTH < len(hashes) else None

    def below(self, number: int, root: bytes) -> None:
        """The root over a full tile of level 0, as it is stored, or its rows where it is not."""
        self._roots[number] = root

    def changed(self, level: int, number: int) -> None:
        """A tile is not what it was."""
        if (level, number) not in self._told:
            self._told.add((level, number))
            first, span = number * WIDTH ** (level + 1), WIDTH ** (level + 1)
            text = f"tile {number} of level {level} of the tree was changed; it is about positions {first + 1} to"
            last = min(first + span, max(self.size, first + 1))
            self._add("TILE_CHANGED", level, number, f"{text} {last}", first + 1, last)

    def check_upper(self) -> None:
        """Each level against the one below it; call when every row was seen."""
        expected = [self._roots.get(number, b"") for number in range(self.size // WIDTH)]
        level = 1
        while expected:
            stored = b"".join(self._upper.get((level, at), b"") for at in range(-(-len(expected) // WIDTH)))
            hashes = split(stored)
            for at, wanted in enumerate(expected):
                if at < len(hashes) and hashes[at] != wanted and (level - 1, at) not in self._told:
                    self.changed(level, at // WIDTH)
            groups = [expected[at : at + WIDTH] for at in range(0, len(expected), WIDTH)]
            kept = [hashes[at : at + WIDTH] for at in range(0, len(hashes), WIDTH)]
            full = [number for number, group in enumerate(groups) if len(group) == WIDTH]
            expected = [complete_root(_filled(groups[number], kept, number)) for number in full]
            level += 1

    def _named(self, level: object, number: object) -> bool:
        """Whether a tile has a name; SQLite takes values of any type."""
        if isinstance(level, int) and isinstance(number, int):
            return True
        key = printable(f"level={level} number={number}")
        text = f"the tile {key} is none of this tree"
        self._findings.add(Finding("TILE_INSERTED", text, TILE, key=key, column="level, number"))
        return False

    def _stored(self, number: int) -> bytes:
        return self._read(0, number)[: WIDTH * HASH_BYTES] if (0, number) in self._bytes else b""

    def _read(self, level: int, number: int) -> bytes:
        found: object = read_tile(self._connection, level, number)
        if isinstance(found, bytes):
            return found
        self.changed(level, number)  # SQLite takes values of any type
        return b""

    def _shape(self) -> None:
        """Which tiles there are, and how long each is."""
        wanted = {(level, number): width * HASH_BYTES for level, number, width in widths(self.size)}
        for level, number in sorted(self._bytes.keys() - wanted.keys()):
            self._add("TILE_INSERTED", level, number, f"tile {number} of level {level} is none of this tree")
        for (level, number), length in sorted(wanted.items()):
            found = self._bytes.get((level, number))
            if found is None:
                self._add("TILE_MISSING", level, number, f"tile {number} of level {level} of the tree is gone")
            elif found != length:
                text = f"tile {number} of level {level} has {found} bytes, {length} were expected"
                self._told.add((level, number))
                self._add("TILE_CHANGED", level, number, text)

    def _add(
        self, code: str, level: int, number: int, text: str, first: int | None = None, last: int | None = None
    ) -> None:
        key = f"level={level} number={number}"
        self._findings.add(Finding(code, text, TILE, first, last, key=key, column="hashes"))


def _lengths(connection: sa.Connection) -> list[tuple[tuple[int, int], int]]:
    rows = connection.execute(sa.select(LogTile.level, LogTile.number, sa.func.length(LogTile.hashes)))
    return [((level, number), length) for level, number, length in rows]


def _last(numbers: Iterable[int]) -> int | None:
    """The last tile of level 0; one that is far beyond the others is none of this tree."""
    found = sorted(number for number in numbers if number >= 0)
    while found and found[-1] >= _FAR * len(found) + WIDTH:
        found.pop()
    return found[-1] if found else None


def _filled(expected: list[bytes], kept: list[list[bytes]], number: int) -> list[bytes]:
    """A tile as it is stored; as it should be, where it is gone or cut."""
    there = kept[number] if number < len(kept) else []
    return there if len(there) == len(expected) else expected
