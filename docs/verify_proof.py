"""Verify that a record is in an mdevreg log.

Run: python verify_proof.py PROOF PUBLIC_KEY

PROOF is a .tlog-proof file (C2SP tlog-proof, docs/audit.md); PUBLIC_KEY is a file with the log's public key, or the
key itself: NAME+ID+KEY. Prints what the log says of the record, and exits 0; exits 1 if the proof proves nothing.
This file stands alone: Python 3.11 or newer, and the library cryptography. Nothing else of mdevreg is needed.
"""

from __future__ import annotations

import base64
import sys
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

HEAD = "c2sp.org/tlog-proof@v1"
LEAF = b"mdevreg-record/1\n"


class NotProvenError(Exception):
    """Why the proof proves nothing."""


def need(condition: object, why: str) -> None:
    """Stop where something does not hold."""
    if not condition:
        raise NotProvenError(why)


def bytes_of(text: str) -> bytes:
    """Base64 that is written in the only way there is: no bit of it may be changed unseen."""
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise NotProvenError(f"not base64: {text[:60]!r}") from error
    need(base64.b64encode(data).decode() == text, f"not written as base64 is: {text[:60]!r}")
    return data


def number(text: str) -> int:
    """A decimal number without signs, spaces or leading zeros."""
    need(text.isascii() and text.isdigit() and str(int(text)) == text, f"not a number: {text[:60]!r}")
    return int(text)


def public_key(line: str) -> tuple[str, bytes, bytes]:
    """Name, key id, Ed25519 key."""
    name, _, rest = line.strip().partition("+")
    identity, _, encoded = rest.partition("+")
    data = bytes_of(encoded)
    need(len(data) == 33 and data[0] == 1, "the public key is no Ed25519 key: NAME+ID+KEY was expected")
    found = sha256(name.encode() + b"\n" + data).digest()[:4]
    need(identity == found.hex(), "the public key is damaged: its id is another")
    return name, found, data[1:]


def signed_checkpoint(note: str, key_line: str) -> tuple[str, int, bytes]:
    """Origin, size and root of a checkpoint that this key has signed."""
    name, identity, key = public_key(key_line)
    text, separator, lines = note.rpartition("\n\n")
    need(separator and lines.endswith("\n"), "the checkpoint is no signed note")
    text += "\n"
    signed = False
    for line in lines[:-1].split("\n"):
        dash, _, rest = line.partition(" ")
        signer, _, encoded = rest.partition(" ")
        signature = bytes_of(encoded)
        need(dash == "\u2014" and signer, "a signature line is damaged")
        if (signer, signature[:4]) == (name, identity):
            try:
                Ed25519PublicKey.from_public_bytes(key).verify(signature[4:], text.encode())
            except InvalidSignature as error:
                raise NotProvenError("the signature is forged or damaged") from error
            signed = True
    need(signed, f"the checkpoint is not signed by {name}+{identity.hex()}")
    fields = text.split("\n")
    need(len(fields) >= 4 and fields[0] == name, f"the checkpoint is not one of the log {name}")
    return fields[0], number(fields[1]), bytes_of(fields[2])


def root_of(leaf: bytes, index: int, size: int, path: list[bytes]) -> bytes:
    """The root that a path leads to (RFC 9162, 2.1.3.2)."""
    need(index < size, f"the tree has {size} leaves, and none at index {index}")
    at, last, found = index, size - 1, sha256(b"\x00" + leaf).digest()
    for each in path:
        need(last > 0, "the path is too long")
        if at & 1 or at == last:
            found = sha256(b"\x01" + each + found).digest()
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            found = sha256(b"\x01" + found + each).digest()
        at, last = at >> 1, last >> 1
    need(last == 0, "the path is too short")
    return found


def verified(proof: str, key_line: str) -> tuple[list[str], bytes | None]:
    """The lines of the leaf, the log and its size first, and the record's body if the proof has it."""
    head, separator, note = proof.partition("\n\n")
    first, *lines = head.split("\n")
    need(separator and first == HEAD and len(lines) >= 2, f"this is no proof: it begins with {first[:60]!r}")
    need(lines[0].startswith("extra ") and lines[1].startswith("index "), "the lines extra and index are missing")
    extra, index, path = bytes_of(lines[0][6:]), number(lines[1][6:]), [bytes_of(line) for line in lines[2:]]
    leaf, has_body, body = extra.partition(b"\n\n")
    leaf += b"\n" if has_body else b""
    origin, size, root = signed_checkpoint(note, key_line)
    need(all(len(each) == 32 for each in path), "the path is not made of SHA-256 hashes")
    need(root_of(leaf, index, size, path) == root, "the record is not in the tree that was signed")
    need(leaf.startswith(LEAF), "the leaf has a format that this program does not know")
    columns = leaf.decode("utf-8", "backslashreplace").split("\n")[1:-1]
    need(not has_body or f"sha256 {sha256(body).hexdigest()}" in columns, "the body is not the one that was logged")
    return [f"log {origin}", f"size {size}", *columns], body if has_body else None


def main(arguments: list[str]) -> int:
    """Run. Returns the exit code."""
    if len(arguments) != 2:
        sys.stderr.write("usage: python verify_proof.py PROOF PUBLIC_KEY\n")
        return 2
    try:
        key = Path(arguments[1])
        proof = Path(arguments[0]).read_bytes().decode()
        lines, body = verified(proof, key.read_text(encoding="utf-8") if key.exists() else arguments[1])
    except (NotProvenError, UnicodeDecodeError) as error:
        sys.stdout.write(f"not proven: {error}\n")
        return 1
    except OSError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    shown = "" if body is None else body.decode("utf-8", "backslashreplace") + "\n"
    sys.stdout.write("proven\n" + "".join(f"{line}\n" for line in lines) + shown)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
