"""Signed notes, and the checkpoints that are written as such (C2SP signed-note and tlog-checkpoint). Pure.

A key is named by its name and an id; ``PublicKey.text`` is one line, as Go's sumdb/note writes verifier keys.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Iterable

import msgspec

from mdevreg.audit.merkle import HASH_BYTES
from mdevreg.errors import AuditError

ED25519 = 1
KEY_BYTES = 32
ID_BYTES = 4
#: More is no note of ours; witnesses' signatures are up to 5 kB.
MAX_NOTE_BYTES = 100_000
MAX_SIGNATURES = 64
_DASH = "\u2014 "
_NAME = re.compile(r"[^\s+]{1,200}\Z")

#: Whether an Ed25519 signature (64 bytes) of a message is a public key's (32 bytes): key, signature, message.
Verify = Callable[[bytes, bytes, bytes], bool]
#: Signs a message: 64 bytes.
Sign = Callable[[bytes], bytes]


class PublicKey(msgspec.Struct, frozen=True):
    """An Ed25519 key that checkpoints are checked with. ``name``: also the origin of the log whose key it is."""

    name: str
    key: bytes

    @property
    def id(self) -> bytes:
        """Four bytes that tell keys of one name apart."""
        return hashlib.sha256(self.name.encode() + b"\n" + bytes([ED25519]) + self.key).digest()[:ID_BYTES]

    @property
    def text(self) -> str:
        """``NAME+ID+KEY``: the line that is given to auditors."""
        return f"{self.name}+{self.id.hex()}+{_base64(bytes([ED25519]) + self.key)}"


class Checkpoint(msgspec.Struct, frozen=True):
    """What a log says of itself at one time: its origin, how many leaves it has, their root (32 bytes)."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """What is signed."""
        return f"{self.origin}\n{self.size}\n{_base64(self.root)}\n"


class Note(msgspec.Struct, frozen=True):
    """A text and its signatures: key name, key id, signature."""

    text: str
    signatures: tuple[tuple[str, bytes, bytes], ...]


def checked_name(name: str) -> str:
    """A key's name. Raises ``AuditError`` for one that can't stand in a note."""
    if not _NAME.match(name) or not name.isprintable():
        raise AuditError(f"{name!r} is no key name: up to 200 characters without spaces and + were expected", code=_KEY)
    return name


def read_public_key(text: str) -> PublicKey:
    """A key from its line. Raises ``AuditError`` (AUDIT_KEY)."""
    name, _, rest = text.strip().partition("+")
    identity, _, encoded = rest.partition("+")
    data = _decoded(encoded, _KEY, "a public key")
    if len(data) != 1 + KEY_BYTES or data[0] != ED25519:
        raise AuditError("this is no Ed25519 public key: NAME+ID+KEY was expected", code=_KEY)
    found = PublicKey(checked_name(name), data[1:])
    if identity != found.id.hex():
        raise AuditError(
            f"the public key of {name!r} is damaged: its id is {found.id.hex()}, not {identity}", code=_KEY
        )
    return found


def signed(text: str, key: PublicKey, sign: Sign) -> str:
    """A note with one signature. ``text`` ends with a newline."""
    return f"{text}\n{_DASH}{key.name} {_base64(key.id + sign(text.encode()))}\n"


def read_note(data: bytes) -> Note:
    """A note, whoever signed it. Raises ``AuditError`` (AUDIT_NOTE)."""
    try:
        whole = data.decode()
    except UnicodeDecodeError as error:
        raise AuditError(f"this is no signed note: {error}", code=_NOTE) from error
    text, separator, lines = whole.rpartition("\n\n")
    if not separator or not lines.endswith("\n") or len(data) > MAX_NOTE_BYTES or _has_control(whole):
        raise AuditError("this is no signed note: text, an empty line and signatures were expected", code=_NOTE)
    signatures = tuple(map(_signature, lines[:-1].split("\n")))
    if len(signatures) > MAX_SIGNATURES:
        raise AuditError(f"{len(signatures)} signatures in a note; {MAX_SIGNATURES} at most were expected", code=_NOTE)
    return Note(text + "\n", signatures)


def signers(note: Note, keys: Iterable[PublicKey], verify: Verify) -> tuple[PublicKey, ...]:
    """Whose valid signatures a note has, of these keys; signatures of others are nothing.

    Raises ``AuditError`` (AUDIT_SIGNATURE) if one that should be one of these keys' is not.
    """
    found = []
    for name, identity, signature in note.signatures:
        for key in keys:
            if (key.name, key.id) == (name, identity):
                if not verify(key.key, signature, note.text.encode()):
                    raise AuditError(f"the signature of {name}+{identity.hex()} is forged or damaged", code=_SIGNATURE)
                found.append(key)
    return tuple(found)


def read_checkpoint(note: Note) -> Checkpoint:
    """The checkpoint of a note, written as it must be. Raises ``AuditError`` (AUDIT_NOTE)."""
    origin, size, root, *_ = [*note.text.split("\n"), "", "", ""]
    digits = size.isascii() and size.isdigit() and (size == "0" or not size.startswith("0"))
    if not origin or not digits or len(size) > len(str(1 << 63)):
        raise AuditError("this note is no checkpoint: origin, size and root were expected, a line each", code=_NOTE)
    found = Checkpoint(origin, int(size), _decoded(root, _NOTE, "the root of a checkpoint"))
    if len(found.root) != HASH_BYTES or not note.text.startswith(found.text):
        raise AuditError("this note is no checkpoint: its root is no SHA-256 hash", code=_NOTE)
    return found


_KEY, _NOTE, _SIGNATURE = "AUDIT_KEY", "AUDIT_NOTE", "AUDIT_SIGNATURE"


def strict_base64(text: str) -> bytes:
    """Decode standard base64 that is written in the only way there is. Raises ``ValueError``."""
    data = base64.b64decode(text, validate=True)
    if _base64(data) != text:
        raise ValueError("not written as base64 is")
    return data


def _decoded(text: str, code: str, what: str) -> bytes:
    try:
        return strict_base64(text)
    except (binascii.Error, ValueError) as error:
        raise AuditError(f"{what} is not in base64: {text[:80]!r}", code=code) from error


def _signature(line: str) -> tuple[str, bytes, bytes]:
    name, separator, encoded = line.removeprefix(_DASH).partition(" ")
    data = _decoded(encoded, _NOTE, "a signature")
    if not line.startswith(_DASH) or not separator or not _NAME.match(name) or len(data) <= ID_BYTES:
        raise AuditError(f"this is no signature line of a note: {line[:80]!r}", code=_NOTE)
    return name, data[:ID_BYTES], data[ID_BYTES:]


def _has_control(text: str) -> bool:
    return any(char < " " and char != "\n" for char in text)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
