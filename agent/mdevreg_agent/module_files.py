"""The files of modules on disk: what would be loaded next, beside what is loaded now.

Of the running kernel alone, by /lib/modules/<release>/modules.dep. A file is read again when it changed, so that a look
costs a few ``stat`` calls. Without a modules.dep below the root nothing is known and nothing is said.
"""

from __future__ import annotations

import gzip
import lzma
import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, cast

from msgspec import structs

from mdevreg.records import HostFacts, ModuleFile, Parent
from mdevreg_agent.attributes import fault_text
from mdevreg_agent.modinfo import NoModuleError, read_modinfo
from mdevreg_agent.tree import Tree, UnreadableError

#: The largest known modules.dep has half a megabyte.
_MAX_DEP_BYTES = 1 << 24
#: How files are compressed, by their names' ends. zstd is in no standard library before Python 3.14.
_OPEN: dict[str, Callable[[BinaryIO], BinaryIO]] = {
    ".ko": lambda file: file,
    ".ko.gz": lambda file: cast("BinaryIO", gzip.GzipFile(fileobj=file)),
    ".ko.xz": lambda file: cast("BinaryIO", lzma.LZMAFile(file)),  # noqa: SIM115  its file is closed by who opened it
}
_WRONG = (NoModuleError, OSError, EOFError, lzma.LZMAError, zlib.error)

#: What tells that a file is another one.
_Stamp = tuple[int, int, int]


class ModuleFiles:
    """Reads them for look after look. Used by one thread."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._listed: tuple[_Stamp, dict[str, str]] | None = None
        self._known: dict[str, tuple[_Stamp, ModuleFile]] = {}

    def added(self, facts: HostFacts, parents: tuple[Parent, ...]) -> tuple[Parent, ...]:
        """The parents with the files of their drivers' modules. Never raises for what is on disk."""
        wanted = {parent.path: _modules_of(parent) for parent in parents}
        if facts.kernel_release is None or "/" in facts.kernel_release or not any(wanted.values()):
            return parents
        tree, folder = Tree(self._root), f"/lib/modules/{facts.kernel_release}"
        try:
            listed = self._list(tree, folder)
        except UnreadableError as error:
            files = dict.fromkeys(set().union(*wanted.values()), ModuleFile(error=f"modules.dep: {error.error}"))
        else:
            if listed is None:
                return parents
            files = {name: self._file(tree, folder, listed.get(name)) for name in set().union(*wanted.values())}
        return tuple(
            structs.replace(parent, modules={name: files[name] for name in sorted(wanted[parent.path])})
            for parent in parents
        )

    def _list(self, tree: Tree, folder: str) -> dict[str, str] | None:
        """The files by module; ``None``: there is no list."""
        path = tree.canonical(f"{folder}/modules.dep")
        file = tree.opened(path) if path else None
        if path is None or file is None:
            return None
        with file:
            stamp = _stamp(file)
            if self._listed is None or self._listed[0] != stamp:
                try:
                    self._listed = stamp, _listed_in(file.read(_MAX_DEP_BYTES))
                except OSError as error:
                    raise UnreadableError(path, str(error)) from error
        return self._listed[1]

    def _file(self, tree: Tree, folder: str, listed: str | None) -> ModuleFile:
        if listed is None:
            return ModuleFile(error="modules.dep lists none")
        path = f"{folder}/{listed}"
        ending = listed[listed.rfind(".ko") :]
        if ending not in _OPEN:
            kind = {".ko.zst": "zstd"}.get(ending, ending)
            return ModuleFile(path=path, error=f"{kind} is not readable here")
        try:
            file = tree.opened(tree.canonical(path) or path)
        except UnreadableError as error:
            return ModuleFile(path=path, error=error.error)
        if file is None:
            return ModuleFile(path=path, error="missing")
        with file:
            return self._read(path, ending, file)

    def _read(self, path: str, ending: str, file: BinaryIO) -> ModuleFile:
        stamp = _stamp(file)
        known = self._known.get(path)
        if known is None or known[0] != stamp:
            try:
                said = read_modinfo(_OPEN[ending](file))
            except _WRONG as error:
                found = ModuleFile(path=path, error=fault_text(f"{error or type(error).__name__}").replace("\n", " "))
            else:
                found = ModuleFile(path=path, version=said.version, srcversion=said.srcversion, build_id=said.build_id)
            known = self._known[path] = stamp, found
        return known[1]


def _modules_of(parent: Parent) -> set[str]:
    """The modules of its driver, and of its devices' drivers."""
    drivers = [parent.driver, *(device.driver for device in parent.devices)]
    return {driver.module for driver in drivers if driver is not None and driver.module is not None}


def _listed_in(text: bytes) -> dict[str, str]:
    """Paths below the folder, by names as in /sys/module: there, dashes are underscores."""
    paths = [line.partition(b":")[0].decode("utf-8", "replace") for line in text.splitlines()]
    return {path.rpartition("/")[2].partition(".")[0].replace("-", "_"): path for path in paths if ".ko" in path}


def _stamp(file: BinaryIO) -> _Stamp:
    found = os.fstat(file.fileno())
    return (found.st_ino, found.st_size, found.st_mtime_ns)
