"""Merkle trees of RFC 6962 and RFC 9162: hashes, and the two verifications. SHA-256; hashes are 32 bytes.

The tree of no leaves is the hash of nothing; a leaf's hash and a node's begin with different bytes, so that neither
can pass for the other; a tree is split at the largest power of two below its size.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256

HASH_BYTES = 32
EMPTY_ROOT = sha256(b"").digest()


def leaf_hash(data: bytes) -> bytes:
    """The hash of a leaf."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of two subtrees side by side."""
    return sha256(b"\x01" + left + right).digest()


def complete_root(hashes: Sequence[bytes]) -> bytes:
    """The root over a power of two of neighbouring subtrees' hashes. Raises ``ValueError`` for another number."""
    level = list(hashes)
    if not level or len(level) & (len(level) - 1):
        raise ValueError(f"{len(level)} hashes; a power of two was expected")
    while len(level) > 1:
        level = [sha256(b"\x01" + level[i] + level[i + 1]).digest() for i in range(0, len(level), 2)]
    return level[0]


class Peaks:
    """A tree that grows: the roots of its complete subtrees, largest first, each with its height."""

    __slots__ = ("_peaks",)

    def __init__(self, peaks: Iterable[tuple[int, bytes]] = ()) -> None:
        self._peaks = list(peaks)

    @property
    def size(self) -> int:
        """How many leaves there are."""
        return sum(1 << height for height, _ in self._peaks)

    def copy(self) -> Peaks:
        """The same tree, growing apart from now on."""
        return Peaks(self._peaks)

    def add(self, found: bytes, height: int = 0) -> None:
        """Append a complete subtree of ``2**height`` leaves. Raises ``ValueError`` where the last one is smaller."""
        if self._peaks and self._peaks[-1][0] < height:
            raise ValueError(f"a subtree of height {height} can't follow one of height {self._peaks[-1][0]}")
        while self._peaks and self._peaks[-1][0] == height:
            found = node_hash(self._peaks.pop()[1], found)
            height += 1
        self._peaks.append((height, found))

    def root(self) -> bytes:
        """The root over all leaves so far."""
        if not self._peaks:
            return EMPTY_ROOT
        *others, (_, found) = self._peaks
        for _, peak in reversed(others):
            found = node_hash(peak, found)
        return found


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether ``leaf`` (its hash) is at ``index`` of the tree of ``size`` leaves and this root (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    at, last, found = index, size - 1, leaf
    for each in proof:
        if last == 0:
            return False
        if at & 1 or at == last:
            found = node_hash(each, found)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            found = node_hash(found, each)
        at, last = at >> 1, last >> 1
    return last == 0 and found == root


def verify_consistency(first: int, second: int, old: bytes, new: bytes, proof: Sequence[bytes]) -> bool:
    """Whether the tree of ``second`` leaves begins with the tree of ``first`` (RFC 9162, 2.1.4.2).

    ``old``, ``new``: their roots. The empty tree begins every tree; its proof is empty.
    """
    if not 0 <= first <= second:
        return False
    if first == second:
        return not proof and old == new
    if first == 0:
        return not proof and old == EMPTY_ROOT
    path = list(proof) if first & (first - 1) else [old, *proof]
    if not path:
        return False
    at, last = first - 1, second - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    before = after = path[0]
    for each in path[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            before, after = node_hash(each, before), node_hash(each, after)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            after = node_hash(after, each)
        at, last = at >> 1, last >> 1
    return last == 0 and before == old and after == new
