"""Merkle trees: the standard vectors, and every proof of every small tree."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdevreg.audit.merkle import (
    EMPTY_ROOT,
    Peaks,
    complete_root,
    leaf_hash,
    node_hash,
    verify_consistency,
    verify_inclusion,
)
from mdevreg.audit.tiles import Tree, widths

#: Whether a proof holds.
Holds = Callable[[list[bytes]], bool]
#: RFC 6962's eight leaves, and the roots of the trees of 0 to 8 of them (certificate-transparency's test vectors).
LEAVES = [bytes.fromhex(text) for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657")]
LEAVES.append(bytes(range(0x60, 0x70)))
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
#: (index, size, path) and (old, new, proof) of the same vectors.
INCLUSION = [
    (0, 8, ["96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"]),
    (5, 8, ["bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"]),
    (2, 3, ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
    (1, 5, ["6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"]),
]  # fmt: skip
CONSISTENCY = [
    (1, 8, ["96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"]),
    (6, 8, ["0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"]),
    (2, 5, ["5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"]),
]  # fmt: skip


def tiles_of(hashes: list[bytes]) -> dict[tuple[int, int], bytes]:
    """The tiles over leaves, made in the plainest way."""
    found: dict[tuple[int, int], bytes] = {}
    level = 0
    while hashes:
        groups = [hashes[at : at + 256] for at in range(0, len(hashes), 256)]
        found |= {(level, number): b"".join(group) for number, group in enumerate(groups)}
        hashes, level = [complete_root(group) for group in groups if len(group) == 256], level + 1
    return found


def tree_of(hashes: list[bytes]) -> Tree:
    tiles = tiles_of(hashes)
    return Tree(len(hashes), lambda level, number: tiles[level, number])


@cache
def leaves(size: int) -> list[bytes]:
    return [leaf_hash(str(index).encode()) for index in range(size)]


def plain_root(hashes: list[bytes]) -> bytes:
    """RFC 6962, 2.1, word by word."""
    if len(hashes) < 2:
        return hashes[0] if hashes else EMPTY_ROOT
    half = 1
    while half * 2 < len(hashes):
        half *= 2
    return node_hash(plain_root(hashes[:half]), plain_root(hashes[half:]))


@pytest.mark.parametrize("size", range(9))
def test_the_standard_roots(size: int) -> None:
    """Of eight leaves, whichever way the tree is made."""
    hashes = [leaf_hash(data) for data in LEAVES[:size]]
    peaks = Peaks()
    for each in hashes:
        peaks.add(each)
    assert [peaks.root().hex(), tree_of(hashes).root().hex()] == [ROOTS[size]] * 2
    assert peaks.size == size


@pytest.mark.parametrize(("index", "size", "path"), INCLUSION)
def test_the_standard_inclusion_proofs(index: int, size: int, path: list[str]) -> None:
    """Word for word."""
    found = tree_of([leaf_hash(data) for data in LEAVES[:size]]).inclusion(index)
    assert [each.hex() for each in found] == path


@pytest.mark.parametrize(("old", "new", "proof"), CONSISTENCY)
def test_the_standard_consistency_proofs(old: int, new: int, proof: list[str]) -> None:
    """Word for word."""
    found = tree_of([leaf_hash(data) for data in LEAVES[:new]]).consistency(old)
    assert [each.hex() for each in found] == proof


@pytest.mark.parametrize("size", range(1, 71))
def test_every_proof_of_a_small_tree(size: int) -> None:
    """Each leaf's and each earlier tree's verify; nothing else does."""
    hashes = leaves(size)
    tree, root = tree_of(hashes), plain_root(hashes)
    assert tree.root() == root
    for index in range(size):
        path = tree.inclusion(index)
        assert verify_inclusion(hashes[index], index, size, path, root)
        assert not verify_inclusion(leaf_hash(b"other"), index, size, path, root)
        assert not any(
            verify_inclusion(hashes[index], other, size, path, root) for other in range(size) if other != index
        )
    for old in range(size + 1):
        proof, before = tree.consistency(old), plain_root(hashes[:old])
        assert verify_consistency(old, size, before, root, proof)
        assert not verify_consistency(old, size, leaf_hash(b"other"), root, proof)
        if old:
            assert not verify_consistency(old, size, before, leaf_hash(b"other"), proof)


@given(st.data(), st.integers(1, 70))
def test_a_changed_proof_never_verifies(data: st.DataObject, size: int) -> None:
    """A bit, a hash too many, one too few: of either kind."""
    hashes = leaves(size)
    tree, root = tree_of(hashes), plain_root(hashes)
    index, old = data.draw(st.integers(0, size - 1)), data.draw(st.integers(1, size))
    before = plain_root(hashes[:old])
    checks: tuple[tuple[list[bytes], Holds], ...] = (
        (tree.inclusion(index), lambda changed: verify_inclusion(hashes[index], index, size, changed, root)),
        (tree.consistency(old), lambda changed: verify_consistency(old, size, before, root, changed)),
    )
    for proof, holds in checks:
        assert holds(proof)
        assert not holds([*proof, leaf_hash(b"more")])
        if proof:
            at = data.draw(st.integers(0, len(proof) - 1))
            bit = 1 << data.draw(st.integers(0, 255))
            flipped = (int.from_bytes(proof[at], "big") ^ bit).to_bytes(32, "big")
            assert not holds([*proof[:at], flipped, *proof[at + 1 :]])
            assert not holds(proof[:-1])


@given(st.integers(1, 140_000))
def test_large_trees_are_split_over_tiles(size: int) -> None:
    """At level L there are ``size // 256**L`` hashes, and the top level has one tile at most."""
    last = {level: number * 256 + width for level, number, width in widths(size)}
    assert last == {level: size // 256**level for level in range(len(last))}
    assert size // 256 ** len(last) == 0


def test_proofs_across_levels() -> None:
    """A tree of three levels."""
    hashes = leaves(66_000)
    tree, root = tree_of(hashes), tree_of(hashes).root()
    peaks = Peaks()
    for each in hashes:
        peaks.add(each)
    assert peaks.root() == root
    for index in (0, 255, 256, 65_535, 65_536, 65_999):
        assert verify_inclusion(hashes[index], index, 66_000, tree.inclusion(index), root)
    for old in (1, 256, 257, 65_536, 65_999):
        assert verify_consistency(old, 66_000, tree_of(hashes[:old]).root(), root, tree.consistency(old))


def test_what_a_tree_has_not_is_refused() -> None:
    """Out of range, a tile too short, a subtree out of order."""
    tree = Tree(300, lambda level, number: b"")
    with pytest.raises(ValueError, match="300 is not between 0 and 299"):
        tree.inclusion(300)
    with pytest.raises(ValueError, match="tile 0 of level 0 has no hash 1"):
        tree.leaf(0)
    with pytest.raises(ValueError, match="a power of two"):
        complete_root(leaves(3))
    with pytest.raises(ValueError, match="can't follow"):
        Peaks([(0, EMPTY_ROOT)]).add(EMPTY_ROOT, 8)
