"""Files of the audit: the key (mode 0600), and the folder where checkpoints leave the database's reach."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from mdevreg.audit.notes import Checkpoint, read_checkpoint, read_note
from mdevreg.errors import AuditError, StateError
from mdevreg.signing import SigningKey, new_key, read_key

LATEST = "latest.checkpoint"


def own_name() -> str:
    """A key's name that no other key has: it is the origin of one log."""
    return f"mdevreg-{secrets.token_hex(6)}"


def make_key(path: Path, name: str) -> SigningKey:
    """Make a key and its file, which must not be there yet. Raises ``StateError``, ``AuditError``."""
    key = new_key(name)
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise StateError(f"{path} exists: a key is never overwritten; name another file", code="AUDIT_KEY") from error
    except OSError as error:
        raise StateError(f"{path} can't be written: {error.strerror}", code="AUDIT_KEY") from error
    with os.fdopen(file, "w") as opened:
        opened.write(key.text)
        opened.flush()
        os.fsync(opened.fileno())
    return key


def load_key(path: Path) -> SigningKey:
    """A key from its file, which others must not be able to read. Raises ``StateError``, ``AuditError``."""
    try:
        if path.stat().st_mode & 0o077:
            raise StateError(f"others may read the key {path}; run: chmod 600 {path}", code="AUDIT_KEY")
        return read_key(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        text = f"there is no key {path}; make one with: mdevreg-server audit keygen {path}"
        raise StateError(text, code="AUDIT_KEY") from error
    except (OSError, UnicodeDecodeError) as error:
        raise StateError(f"the key {path} can't be read: {error}", code="AUDIT_KEY") from error


class CheckpointFolder:
    """One file per checkpoint, ``SIZE.checkpoint``, and ``latest.checkpoint``; each appears whole or not at all."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def prepare(self) -> None:
        """Make the folder. Raises ``StateError`` if that can't be."""
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o755)
        except OSError as error:
            raise self._refused(error) from error

    def latest(self, origin: str) -> Checkpoint | None:
        """The newest checkpoint of an origin that left; ``None``: none did."""
        try:
            data = (self.path / LATEST).read_bytes()
            found = read_checkpoint(read_note(data))
        except FileNotFoundError:
            return None
        except (OSError, AuditError) as error:
            text = f"{self.path / LATEST} can't be read: {error}; move it away if it is no checkpoint"
            raise StateError(text, code="AUDIT_FOLDER") from error
        return found if found.origin == origin else None

    def write(self, note: str) -> None:
        """Add a checkpoint; the same again changes nothing. Raises ``StateError`` if another one is in its place."""
        data = note.encode()
        found = read_checkpoint(read_note(data))
        file = self.path / f"{found.size:012d}.checkpoint"
        try:
            if file.exists() and read_checkpoint(read_note(file.read_bytes())) != found:
                text = f"{file} is a checkpoint of another history; keep it, and name another folder"
                raise StateError(text, code="AUDIT_FOLDER")
            self._put(file, data)
            latest = self.latest(found.origin)
            if latest is None or latest.size <= found.size:  # it remembers what a restored database has lost
                self._put(self.path / LATEST, data)
        except OSError as error:
            raise self._refused(error) from error

    def _put(self, file: Path, data: bytes) -> None:
        beside = file.with_name(f".{file.name}.{os.getpid()}")
        with beside.open("wb") as opened:
            opened.write(data)
            opened.flush()
            os.fsync(opened.fileno())
        beside.replace(file)

    def _refused(self, error: OSError) -> StateError:
        text = f"checkpoints can't be written to {self.path}: {error.strerror}; make it a writable folder"
        return StateError(text, code="AUDIT_FOLDER")
