"""Proofs that one record is in the log, verified offline with the log's public key alone (C2SP tlog-proof).

The extra data of such a proof is the leaf, an empty line, and the record's body; the body is left out where it was
pruned. The leaf has the body's SHA-256.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence

import msgspec

from mdevreg.audit.leaves import FORMAT
from mdevreg.audit.merkle import HASH_BYTES, leaf_hash, verify_inclusion
from mdevreg.audit.notes import Checkpoint, Note, PublicKey, Verify, read_checkpoint, read_note, signers, strict_base64
from mdevreg.errors import AuditError

FIRST_LINE = "c2sp.org/tlog-proof@v1"
_PROOF = "AUDIT_PROOF"
_NO_PROOF = "this is no proof of a record"


class Proof(msgspec.Struct, frozen=True):
    """A proof. ``leaf``: what was hashed; ``body``: the record, ``None`` if it was pruned; ``checkpoint``: a note."""

    leaf: bytes
    body: bytes | None
    index: int
    path: tuple[bytes, ...]
    checkpoint: str


def write_proof(proof: Proof) -> str:
    """A proof as a file (``.tlog-proof``)."""
    extra = proof.leaf if proof.body is None else proof.leaf + b"\n" + proof.body
    lines = [FIRST_LINE, f"extra {_base64(extra)}", f"index {proof.index}", *map(_base64, proof.path), ""]
    return "\n".join(lines) + "\n" + proof.checkpoint


def read_proof(data: bytes) -> Proof:
    """A proof from its file. Raises ``AuditError`` (AUDIT_PROOF)."""
    try:
        head, separator, checkpoint = data.decode().partition("\n\n")
        first, extra, index, *path = head.split("\n")
        leaf, body = _parted(strict_base64(extra.removeprefix("extra ")))
        number, hashes = int(index.removeprefix("index ")), tuple(map(strict_base64, path))
    except ValueError as error:
        raise AuditError(f"{_NO_PROOF}: {error}; a .tlog-proof file was expected", code=_PROOF) from error
    if not separator or [first, extra[:6], index] != [FIRST_LINE, "extra ", f"index {number}"]:
        raise AuditError(f"{_NO_PROOF}: its first lines are others than those of a .tlog-proof file", code=_PROOF)
    if any(len(each) != HASH_BYTES for each in hashes):
        raise AuditError(f"{_NO_PROOF}: its path is not made of SHA-256 hashes", code=_PROOF)
    return Proof(leaf, body, number, hashes, checkpoint)


def verify_proof(proof: Proof, keys: Iterable[PublicKey], verify: Verify) -> tuple[Checkpoint, dict[str, str]]:
    """The checkpoint that vouches for the record, and the record's columns.

    Raises ``AuditError`` where the proof proves nothing: who signed, what is in the tree, or what the body is.
    """
    note: Note = read_note(proof.checkpoint.encode())
    checkpoint = read_checkpoint(note)
    if not any(key.name == checkpoint.origin for key in signers(note, keys, verify)):
        raise AuditError(f"the checkpoint of {checkpoint.origin} is not signed by a key that was given", code=_PROOF)
    if not verify_inclusion(leaf_hash(proof.leaf), proof.index, checkpoint.size, proof.path, checkpoint.root):
        raise AuditError(f"the record is not at index {proof.index} of the tree that was signed", code=_PROOF)
    columns = _columns(proof.leaf)
    if proof.body is not None and hashlib.sha256(proof.body).hexdigest() != columns.get("sha256"):
        raise AuditError("the body is not the one that was logged: its SHA-256 is another", code=_PROOF)
    return checkpoint, columns


def _parted(extra: bytes) -> tuple[bytes, bytes | None]:
    leaf, separator, body = extra.partition(b"\n\n")
    return (leaf + b"\n", body) if separator else (extra, None)


def _columns(leaf: bytes) -> dict[str, str]:
    first, *lines = leaf.decode("utf-8", "surrogateescape").removesuffix("\n").split("\n")
    if first != FORMAT:
        raise AuditError(f"a leaf of another format: {first[:40]!r}; upgrade mdevreg", code=_PROOF)
    return dict(line.partition(" ")[::2] for line in lines)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def path_of(hashes: Sequence[bytes]) -> list[str]:
    """Hashes as people and files see them."""
    return [_base64(each) for each in hashes]
