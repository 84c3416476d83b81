"""A tree kept in tiles (C2SP tlog-tiles): 256 hashes each, of leaves at level 0, of the full tiles below above it.

At level L of a tree of N leaves there are ``N // 256**L`` hashes; the last tile of a level may be partial.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from mdevreg.audit.merkle import EMPTY_ROOT, HASH_BYTES, complete_root, node_hash

WIDTH = 256
#: How many levels of the tree a tile spans.
HEIGHT = 8
FULL_BYTES = WIDTH * HASH_BYTES

#: Reads a tile by level and number: its hashes, one after the other; as many as there are.
ReadTile = Callable[[int, int], bytes]


def split(tile: bytes) -> list[bytes]:
    """The hashes of a tile."""
    return [tile[at : at + HASH_BYTES] for at in range(0, len(tile), HASH_BYTES)]


def widths(size: int) -> Iterator[tuple[int, int, int]]:
    """Every tile of a tree of ``size`` leaves: level, number, how many hashes it has."""
    level, count = 0, size
    while count:
        for number in range(-(-count // WIDTH)):
            yield level, number, min(WIDTH, count - number * WIDTH)
        level, count = level + 1, count // WIDTH


class Tree:
    """The first ``size`` leaves of a tree that is kept in tiles; each tile is read once.

    Raises ``ValueError`` for what the tree has not, and where a tile is shorter than the tree says.
    """

    def __init__(self, size: int, read: ReadTile) -> None:
        self.size, self._read = size, read
        self._tiles: dict[tuple[int, int], list[bytes]] = {}

    def root(self) -> bytes:
        """The root over all leaves."""
        return self._range(0, self.size) if self.size else EMPTY_ROOT

    def leaf(self, index: int) -> bytes:
        """The hash of a leaf."""
        self._check(index, self.size - 1)
        return self._complete(0, index)

    def inclusion(self, index: int) -> list[bytes]:
        """The path from a leaf's sibling to the root's child (RFC 6962, 2.1.1)."""
        self._check(index, self.size - 1)
        path, first, last = list[bytes](), 0, self.size
        while last - first > 1:
            middle = first + _half(last - first)
            if index < middle:
                path.append(self._range(middle, last))
                last = middle
            else:
                path.append(self._range(first, middle))
                first = middle
        return path[::-1]

    def consistency(self, old: int) -> list[bytes]:
        """What proves that the tree begins with its first ``old`` leaves (RFC 6962, 2.1.2)."""
        self._check(old, self.size)
        return self._between(old, 0, self.size, whole=True) if 0 < old < self.size else []

    def _between(self, old: int, first: int, last: int, *, whole: bool) -> list[bytes]:
        if old == last:
            return [] if whole else [self._range(first, last)]
        middle = first + _half(last - first)
        if old <= middle:
            return [*self._between(old, first, middle, whole=whole), self._range(middle, last)]
        return [*self._between(old, middle, last, whole=False), self._range(first, middle)]

    def _range(self, first: int, last: int) -> bytes:
        """The root over leaves ``[first, last)``, which begin where a subtree of their size may."""
        count = last - first
        if not count & (count - 1):
            return self._complete(count.bit_length() - 1, first >> (count.bit_length() - 1))
        middle = first + _half(count)
        return node_hash(self._range(first, middle), self._range(middle, last))

    def _complete(self, height: int, number: int) -> bytes:
        """The root of the ``number``-th complete subtree of ``2**height`` leaves."""
        level, above = divmod(height, HEIGHT)
        first = number << above
        tile, at = divmod(first, WIDTH)
        found = self._tile(level, tile)[at : at + (1 << above)]
        if len(found) < 1 << above:
            raise ValueError(f"tile {tile} of level {level} has no hash {at + (1 << above)}")
        return complete_root(found)

    def _tile(self, level: int, number: int) -> list[bytes]:
        if (level, number) not in self._tiles:
            self._tiles[level, number] = split(self._read(level, number))
        return self._tiles[level, number]

    @staticmethod
    def _check(number: int, largest: int) -> None:
        if not 0 <= number <= largest:
            raise ValueError(f"{number} is not between 0 and {largest}")


def _half(count: int) -> int:
    """The largest power of two below ``count``, which is at least 2."""
    return 1 << (count - 1).bit_length() - 1
