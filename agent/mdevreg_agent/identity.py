"""Who this agent is: the host id, created once and kept in the state folder, and the claim on that folder.

Rules of this file:

1. One agent per state folder: whoever holds the lock.
2. A host id is made once, atomically, together with the machine-id it was made on.
3. Another machine-id means that the folder was cloned with its disk: two hosts must never share an id
   (design section 7), so this is refused until an operator says which of the two it is.
"""

from __future__ import annotations

import fcntl
import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

from mdevreg.errors import StateError

HOST_ID_FILE = "host-id"
LOCK_FILE = "lock"


class Identity(msgspec.Struct, frozen=True):
    """What the file ``host-id`` holds."""

    host_id: str
    machine_id: str | None = None  # of the machine it was created on; None: it had none


def default_state_dir(environ: Mapping[str, str]) -> Path:
    """``$STATE_DIRECTORY`` (systemd), else ``$XDG_STATE_HOME/mdevreg-agent``, else below the home folder."""
    given = environ.get("STATE_DIRECTORY", "").split(":")[0]
    if given:
        return Path(given)
    home = Path(environ.get("HOME") or "/root")
    return Path(environ.get("XDG_STATE_HOME") or home / ".local/state") / "mdevreg-agent"


def machine_id_of(root: Path) -> str | None:
    """machine-id(5) below ``root``; ``None`` where there is none yet."""
    try:
        text = (root / "etc/machine-id").read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return None
    return text if text and text != "uninitialized" else None


@contextmanager
def claimed(state_dir: Path) -> Iterator[Path]:
    """The state folder, made if need be, and locked for as long as the context lasts.

    Raises ``StateError``: it can't be made or written, or another agent works in it.
    """
    try:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(state_dir / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StateError(
            f"the state folder {state_dir} can't be used: {error.strerror}; name a writable one with --state-dir"
        ) from error
    try:
        _lock(lock, state_dir)
        yield state_dir
    finally:
        os.close(lock)


def host_id_of(
    state_dir: Path,
    *,
    machine_id: str | None,
    keep: bool = False,
    new_id: Callable[[], str] = lambda: str(uuid.uuid4()),
) -> str:
    """The host id in ``state_dir``, made with ``new_id`` when there is none.

    ``keep`` binds a cloned folder's id to this ``machine_id``. Raises ``StateError``: cloned, or damaged.
    """
    path = state_dir / HOST_ID_FILE
    found = _read(path)
    if found is None:
        return _create(path, Identity(new_id(), machine_id)).host_id
    if found.machine_id == machine_id or found.machine_id is None or machine_id is None:
        return found.host_id
    if not keep:
        raise StateError(_cloned(path, found, machine_id), code="STATE_CLONED")
    _replace(path, Identity(found.host_id, machine_id))
    return found.host_id


def _lock(lock: int, state_dir: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.pread(lock, 32, 0).decode("ascii", "replace").strip()
        raise StateError(
            f"another agent{f' (process {holder})' if holder else ''} works in {state_dir}; "
            "stop it, or give this one a folder of its own with --state-dir",
            code="STATE_IN_USE",
        ) from error
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)


def _cloned(path: Path, found: Identity, machine_id: str) -> str:
    return (
        f"{path} was created on machine-id {found.machine_id}, this machine is {machine_id}: the state folder was "
        f"cloned. To become a new host, remove {path}; if this is the same host, run once with --keep-host-id"
    )


def _read(path: Path) -> Identity | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Identity)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        raise StateError(
            f"{path} can't be read: {error}; restore it from a backup, or remove it to become a new host"
        ) from error


def _create(path: Path, identity: Identity) -> Identity:
    """Write it unless somebody else just did; what is in the file then is the identity."""
    draft = _draft(path, identity)
    try:
        os.link(draft, path)  # unlike rename, never replaces
    except FileExistsError:
        return _read(path) or identity
    finally:
        draft.unlink()
    _sync_folder(path.parent)
    return identity


def _replace(path: Path, identity: Identity) -> None:
    _draft(path, identity).replace(path)
    _sync_folder(path.parent)


def _draft(path: Path, identity: Identity) -> Path:
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        with draft.open("wb") as file:
            file.write(msgspec.json.encode(identity) + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise StateError(f"{path} can't be written: {error.strerror}") from error
    return draft


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
