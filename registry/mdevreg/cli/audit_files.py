"""Keys and checkpoints that audit commands are handed."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from mdevreg.audit.notes import MAX_NOTE_BYTES, Checkpoint, PublicKey, read_checkpoint, read_note, read_public_key
from mdevreg.cli.files import STDIN, read_whole
from mdevreg.errors import AuditError, StateError

#: A proof has a record of at most 16 MB, in base64, and up to 63 hashes.
MAX_PROOF_BYTES = 32 * 1024 * 1024


def public_keys(given: Iterable[str], now: datetime) -> tuple[PublicKey, ...]:
    """Keys, each a file's name or the key's line itself."""
    return tuple(read_public_key(_line(each, now)) for each in given)


def note_in(name: str, now: datetime) -> bytes:
    """A signed note from a file."""
    return read_whole(name, MAX_NOTE_BYTES, now=now)[0]


def tree_named(name: str, now: datetime) -> int | Checkpoint:
    """A size, or the checkpoint in a file."""
    return int(name) if name.isascii() and name.isdigit() else read_checkpoint(read_note(note_in(name, now)))


def write_whole(name: str, text: str) -> None:
    """Write a file, whole or not at all. Raises ``StateError``."""
    file = Path(name)
    beside = file.with_name(f".{file.name}.part")
    try:
        beside.write_text(text, encoding="utf-8")
        beside.replace(file)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise StateError(
            f"{name} can't be written: {error.strerror}; name another file with -o", code="FILE"
        ) from error


def _line(given: str, now: datetime) -> str:
    if given != STDIN and "+" in given and not Path(given).exists():
        return given
    try:
        return read_whole(given, MAX_NOTE_BYTES, now=now)[0].decode()
    except UnicodeDecodeError as error:
        raise AuditError(f"{given} holds no public key: {error}", code="AUDIT_KEY") from error
