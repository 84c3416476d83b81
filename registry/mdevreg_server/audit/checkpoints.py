"""Signed checkpoints: one is signed only if the tree still begins with the one before it."""

from __future__ import annotations

import base64

import sqlalchemy as sa

from mdevreg.audit.notes import Checkpoint, read_checkpoint, read_note, signed
from mdevreg.errors import AuditError, StateError
from mdevreg.signing import SigningKey
from mdevreg_server.audit.files import CheckpointFolder
from mdevreg_server.audit.tree import LOT, integrate, lock, tree_of, tree_size
from mdevreg_server.engine import converted
from mdevreg_server.tables import LogCheckpoint

#: Code of a tree that contradicts a checkpoint: nothing more is signed.
INCONSISTENT = "LOG_REWRITTEN"


def issue(engine: sa.Engine, key: SigningKey, folder: CheckpointFolder | None, *, now_us: int) -> str | None:
    """Sign a checkpoint of the tree as it is, and keep it. Returns the note; ``None`` if the tree has not grown.

    ``folder``: where those before have gone, if anywhere; it remembers what a restored database may have lost.
    Raises ``StateError`` (LOG_REWRITTEN) if the tree contradicts the one before, or the latest in the folder.
    """
    with converted(engine), engine.begin() as connection:
        lock(connection)
        size, last = tree_size(connection), newest(connection)
        if size == (0 if last is None else last.size):
            return None
        if last is not None:
            check_extends(connection, last, "the checkpoint before")
        outside = None if folder is None else folder.latest(key.public.name)
        if folder is not None and outside is not None:
            check_extends(connection, outside, f"the latest checkpoint in {folder.path}")
        root = tree_of(connection, size).root()
        note = signed(Checkpoint(key.public.name, size, root).text, key.public, key.sign)
        row = {"size": size, "root": base64.b64encode(root).decode(), "note": note, "created_at_us": now_us}
        connection.execute(sa.insert(LogCheckpoint), row)
    return note


def issue_whole(engine: sa.Engine, key: SigningKey, folder: CheckpointFolder | None, *, now_us: int) -> str:
    """Integrate everything, sign, and write to the folder. Returns the newest note. Raises ``StateError``."""
    if folder is not None:
        folder.prepare()
    while integrate(engine) == LOT:
        pass
    issue(engine, key, folder, now_us=now_us)
    with converted(engine), engine.connect() as connection:
        note = newest_note(connection)
    if note is None:
        raise StateError("the log is empty: there is nothing to sign yet", code="NO_CHECKPOINT")
    if folder is not None:
        folder.write(note)
    return note


def newest(connection: sa.Connection) -> Checkpoint | None:
    """The newest checkpoint that is kept. Raises ``StateError`` if it can't be read any more."""
    note = newest_note(connection)
    if note is None:
        return None
    try:
        return read_checkpoint(read_note(note.encode()))
    except AuditError as error:
        text = f"the newest checkpoint in the database is damaged: {error}; see mdevreg audit verify"
        raise StateError(text, code=INCONSISTENT) from error


def newest_note(connection: sa.Connection) -> str | None:
    """The newest checkpoint as a note."""
    return connection.scalar(sa.select(LogCheckpoint.note).order_by(LogCheckpoint.size.desc()).limit(1))


def check_extends(connection: sa.Connection, checkpoint: Checkpoint, name: str) -> None:
    """See that the tree begins with a checkpoint's. Raises ``StateError`` (LOG_REWRITTEN)."""
    size = tree_size(connection)
    if checkpoint.size > size:
        text = f"{name} is of {checkpoint.size} records, the log's tree has {size}: records were lost"
    elif tree_of(connection, checkpoint.size).root() != checkpoint.root:
        text = f"the log's first {checkpoint.size} records are not those of {name}"
    else:
        return
    way_out = "nothing is signed any more; see mdevreg audit verify, and docs/audit.md on keys after a restore"
    raise StateError(f"{text}; {way_out}", code=INCONSISTENT)
