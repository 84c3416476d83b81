"""A sorted list of names that is never changed: an edit makes another, which shares the blocks that stayed. Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator

#: Most names of a block: an insertion copies one block and the list of blocks.
BLOCK = 512
#: With more changes than this part of the list, it is sorted anew.
_MANY = 8


class NameList:
    """Names in ascending order, each once. ``blocks``: lists that readers must not change."""

    __slots__ = ("_firsts", "blocks", "count")

    def __init__(self, blocks: list[list[str]], firsts: list[str], count: int) -> None:
        self.blocks, self._firsts, self.count = blocks, firsts, count

    @classmethod
    def of(cls, names: Iterable[str]) -> NameList:
        """A list of these names."""
        ordered = sorted(names)
        blocks = [ordered[first : first + BLOCK] for first in range(0, len(ordered), BLOCK)]
        return cls(blocks, [block[0] for block in blocks], len(ordered))

    def __iter__(self) -> Iterator[str]:
        for block in self.blocks:
            yield from block

    def index(self, name: str) -> int:
        """The place of a name that is in the list."""
        at = bisect_right(self._firsts, name) - 1
        return sum(map(len, self.blocks[:at])) + bisect_left(self.blocks[at], name)

    def edited(self, changes: dict[str, bool]) -> NameList:
        """With the names that are ``True`` added, and those that are ``False`` taken out."""
        if len(changes) * _MANY > self.count:
            kept = set(self)
            kept.update(name for name, there in changes.items() if there)
            kept.difference_update(name for name, there in changes.items() if not there)
            return NameList.of(kept)
        blocks, firsts, count = self.blocks.copy(), self._firsts.copy(), self.count
        for name, there in changes.items():
            count += _put(blocks, firsts, name) if there else -_take(blocks, firsts, name)
        return NameList(blocks, firsts, count)


NO_NAMES = NameList([], [], 0)


def _put(blocks: list[list[str]], firsts: list[str], name: str) -> int:
    at = max(0, bisect_right(firsts, name) - 1)
    block = blocks[at] if blocks else []
    where = bisect_left(block, name)
    if where < len(block) and block[where] == name:
        return 0
    longer = [*block[:where], name, *block[where:]]
    half = len(longer) // 2
    parts = [longer] if len(longer) <= BLOCK else [longer[:half], longer[half:]]
    blocks[at : at + 1] = parts
    firsts[at : at + 1] = [part[0] for part in parts]
    return 1


def _take(blocks: list[list[str]], firsts: list[str], name: str) -> int:
    at = bisect_right(firsts, name) - 1
    if at < 0:
        return 0
    block = blocks[at]
    where = bisect_left(block, name)
    if where == len(block) or block[where] != name:
        return 0
    rest = [*block[:where], *block[where + 1 :]]
    blocks[at : at + 1] = [rest] if rest else []
    firsts[at : at + 1] = [rest[0]] if rest else []
    return 1
