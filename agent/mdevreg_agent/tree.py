"""A tree of ``/sys``, ``/proc`` and ``/etc`` under a movable root: the only file that opens anything there.

Rules of this file:

1. Paths are as the host itself would write them (``/sys/devices/...``); ``root`` is put in front here.
2. A symbolic link is read and resolved inside the root, as in a chroot; ``open`` never follows one.
3. An attribute is read once, whole: its content may change between two reads.
4. What is absent, or vanished while we looked, is ``None``; any other error is an ``UnreadableError``.

Kernel source: Documentation/admin-guide/sysfs-rules.rst (devices are folders below /sys/devices, links are relative).
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

from mdevreg.errors import StateError

#: Absent, or gone meanwhile: ENODEV is what an open attribute of a removed device gives.
_GONE = frozenset({errno.ENOENT, errno.ENODEV, errno.ENXIO, errno.ENOTDIR})
_MAX_LINKS = 40  # as the kernel's own limit (MAXSYMLINKS)
_PIECE_BYTES = 1 << 16
_MAX_BYTES = 1 << 20  # a sysfs attribute has at most one page, os-release a few
_FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # non-blocking: a FIFO must not hang us
_FOLDER_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC


class UnreadableError(StateError):
    """A file or folder that is there and can't be read. ``error`` is the errno's name (``EACCES``)."""

    code = "UNREADABLE"

    def __init__(self, path: str, error: str) -> None:
        super().__init__(f"{path} can't be read: {error}")
        self.path, self.error = path, error


class Tree:
    """The files below ``root``, by the paths that they have on the host itself. Lives for one look."""

    def __init__(self, root: Path) -> None:
        self._root = "" if str(root) == "/" else str(root)
        self._real: set[str] = set()

    def read(self, path: str) -> bytes | None:
        """A file's whole content. Raises ``UnreadableError``."""
        try:
            fd = os.open(self._root + path, _FILE_FLAGS)
            try:
                return _read_whole(fd)
            finally:
                os.close(fd)
        except OSError as error:
            _raise_unless_gone(path, error)
        return None

    def opened(self, path: str) -> BinaryIO | None:
        """A file that is too large to be read whole. Raises ``UnreadableError``; reading it may raise ``OSError``."""
        try:
            return os.fdopen(os.open(self._root + path, _FILE_FLAGS), "rb")
        except OSError as error:
            _raise_unless_gone(path, error)
        return None

    def names(self, path: str) -> list[str]:
        """All names in a folder, sorted; none if there is no such folder. Raises ``UnreadableError``."""
        return sorted(name for name, _ in self._entries(path))

    def folders(self, path: str) -> list[str]:
        """The folders in a folder (links are none), sorted. Raises ``UnreadableError``."""
        return sorted(name for name, is_folder in self._entries(path) if is_folder)

    def exists(self, path: str) -> bool:
        """Whether there is anything of that name; a dangling link counts."""
        return os.path.lexists(self._root + path)

    def is_folder(self, path: str) -> bool:
        """Whether this is a folder and no link to one."""
        try:
            return stat.S_ISDIR(os.lstat(self._root + path).st_mode)
        except OSError:
            return False

    def link(self, path: str) -> str | None:
        """The text of a symbolic link; ``None`` if there is none of that name."""
        try:
            return os.readlink(self._root + path)  # noqa: PTH115  thousands of links; a Path takes twice as long
        except OSError:
            return None

    def target(self, path: str) -> str | None:
        """Where a link in a real folder points to, by its text alone; nothing is checked."""
        text = self.link(path)
        return None if text is None else joined(path.rpartition("/")[0], text)

    def canonical(self, path: str) -> str | None:
        """The path without links, ``..`` held inside the root; ``None`` if it dangles or loops."""
        done, links = "", 0
        todo = path.split("/")[::-1]
        while todo:
            name = todo.pop()
            here = _step(done, name)
            if here in self._real or here == done or name == "..":
                done = here
            elif (text := self.link(here)) is not None:
                done, links = "" if text.startswith("/") else done, links + 1
                todo += text.split("/")[::-1]
            elif self.exists(here):
                self._real.add(here)
                done = here
            else:
                return None
            if links > _MAX_LINKS:
                return None
        return done or "/"

    def _entries(self, path: str) -> list[tuple[str, bool]]:
        try:
            fd = os.open(self._root + path, _FOLDER_FLAGS)
            try:
                with os.scandir(fd) as entries:
                    return [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
            finally:
                os.close(fd)
        except OSError as error:
            _raise_unless_gone(path, error)
        return []


def joined(folder: str, text: str) -> str:
    """A link's text as a path; ``..`` above the root is the root."""
    path = text if text.startswith("/") else f"{folder}/{text}"
    return "/" + os.path.normpath(path).lstrip("/")


def _step(folder: str, name: str) -> str:
    if name in ("", "."):
        return folder
    return folder.rpartition("/")[0] if name == ".." else f"{folder}/{name}"


def _read_whole(fd: int) -> bytes:
    """Up to ``_MAX_BYTES``. sysfs hands out an attribute in one piece; the next, empty read shows its end."""
    pieces = [os.read(fd, _PIECE_BYTES)]
    while pieces[-1] and len(pieces) * _PIECE_BYTES < _MAX_BYTES:
        pieces.append(os.read(fd, _PIECE_BYTES))
    return b"".join(pieces)


def _raise_unless_gone(path: str, error: OSError) -> None:
    if error.errno not in _GONE:
        raise UnreadableError(path, errno.errorcode.get(error.errno or 0, str(error))) from error
