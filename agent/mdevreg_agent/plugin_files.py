"""Which plug-ins there are: executables in a folder, and Python entry points of the agent's own environment."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

import msgspec

from mdevreg.records import MAX_PLUGINS, Fault
from mdevreg_agent.attributes import fault_text, name_of
from mdevreg_agent.plugin_host import GROUP


class Plugin(msgspec.Struct, frozen=True):
    """One plug-in. With another ``identity`` it is another one, whose answers have to be asked for anew."""

    name: str
    command: tuple[str, ...]
    identity: tuple[str | int, ...]


class Found(msgspec.Struct, frozen=True):
    """Plug-ins by name, and why others are not among them."""

    plugins: tuple[Plugin, ...] = ()
    faults: tuple[Fault, ...] = ()


def fault_of(name: str, error: str, text: str = "") -> Fault:
    """A plug-in's fault, as it goes into the record of each parent that it was asked of."""
    return Fault(path=f"plugins/{name_of(name)}", error=error, text=fault_text(text) or None)


def find(folder: Path | None, packaged: Iterable[Plugin] = ()) -> Found:
    """The executables in ``folder`` and the ``packaged`` plug-ins; of two with one name, the executable.

    In the folder counts a regular file (or a link to one) with an execute bit and a name without a leading dot or
    trailing ``~``. It must belong to root or the agent's user, and nobody else may write it or the folder.
    """
    listed = Found() if folder is None else _listed(folder)
    plugins = {plugin.name: plugin for plugin in packaged}
    faults = [*listed.faults]
    for plugin in listed.plugins:
        if plugin.name in plugins:
            faults.append(fault_of(plugin.name, f"in {folder} and among the entry points; the executable is asked"))
        plugins[plugin.name] = plugin
    names = sorted(plugins)
    faults += [fault_of(name, f"left out; at most {MAX_PLUGINS} plug-ins are asked") for name in names[MAX_PLUGINS:]]
    return Found(tuple(plugins[name] for name in names[:MAX_PLUGINS]), tuple(faults[:MAX_PLUGINS]))


def packaged() -> tuple[Plugin, ...]:
    """The entry points of this environment's ``mdevreg.plugins``, by name."""
    found = {entry_point.name: _of_entry_point(entry_point) for entry_point in entry_points(group=GROUP)}
    return tuple(found[name] for name in sorted(found) if name_of(name) == name)


def _of_entry_point(entry_point: EntryPoint) -> Plugin:
    release = entry_point.dist.version if entry_point.dist else ""
    return Plugin(
        name=entry_point.name,
        # -P: not the working folder, but the environment of this very interpreter, is where the package is.
        command=(sys.executable, "-P", "-m", "mdevreg_agent.plugin_host", entry_point.name),
        identity=(entry_point.value, release),
    )


def _listed(folder: Path) -> Found:
    try:
        wrong = _wrong(folder.stat())
        names = [] if wrong else sorted(os.listdir(folder))  # noqa: PTH208  names, not paths
    except FileNotFoundError:
        return Found()
    except OSError as error:
        return Found(faults=(Fault(path="plugins", error=f"{fault_text(str(folder))}: {error.strerror}"),))
    if wrong:
        return Found(faults=(Fault(path="plugins", error=f"{fault_text(str(folder))} {wrong}; no plug-in is asked"),))
    found = [_looked_at(folder, name) for name in names if name[0] != "." and name[-1] != "~"]
    return Found(
        tuple(each for each in found if isinstance(each, Plugin)),
        tuple(each for each in found if isinstance(each, Fault)),
    )


def _looked_at(folder: Path, name: str) -> Plugin | Fault | None:
    path = folder.absolute() / name
    try:
        status = path.stat()
    except OSError as error:
        return fault_of(name, f"can't be read: {error.strerror}")
    if not stat.S_ISREG(status.st_mode) or not status.st_mode & 0o111:
        return None
    wrong = _wrong(status) if name_of(name) == name else "has no printable name of at most 255 characters"
    if wrong:
        return fault_of(name, f"{wrong}; it is not run")
    identity = (str(path), status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
    return Plugin(name=name, command=(str(path),), identity=identity)


def _wrong(status: os.stat_result) -> str | None:
    if status.st_mode & stat.S_IWOTH:
        return "is world-writable"
    if status.st_uid not in (0, os.geteuid()):
        return f"belongs to uid {status.st_uid}, neither root nor the agent"
    return None
