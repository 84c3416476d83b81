"""Real folders, files and links from the text of a host (format: ``tests/hosts/README.md``), and hosts of any size."""

from __future__ import annotations

import ast
import ctypes
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HOSTS = Path(__file__).parent.parent / "hosts"
_LINE = re.compile(
    r"(?P<folder>/\S*)/|(?P<link>/\S+) -> (?P<target>\S+)"
    r"|(?P<file>/\S+)(?: (?P<mode>0[0-7]{3}))? (?:(?P<content>b?['\"].*['\"])|\(write-only\))"
)


def build(root: Path, *files: Path) -> Path:
    """Build the hosts' files below ``root``, later ones on top; returns ``root``."""
    for file in files:
        for line in file.read_text().splitlines():
            if line and not line.startswith("#"):
                _build_entry(root, line)
    return root


def write(root: Path, path: str, content: str | bytes, mode: int = 0o444) -> None:
    """One file, replaced if it is there."""
    at = _made_parent(root, path)
    at.unlink(missing_ok=True)
    at.write_bytes(content.encode() if isinstance(content, str) else content)
    at.chmod(mode)


def link(root: Path, path: str, target: str) -> None:
    """One symbolic link, replaced if it is there."""
    at = _made_parent(root, path)
    at.unlink(missing_ok=True)
    at.symlink_to(target)


def folder(root: Path, path: str) -> None:
    """One folder."""
    (root / path[1:]).mkdir(parents=True, exist_ok=True)


def mdev_parent(root: Path, address: str, *, types: int, mdevs_per_type: int) -> str:
    """A PCI mdev parent of any size, with its driver's module; returns its path."""
    parent = f"/sys/devices/pci0000:3a/{address}"
    link(root, f"/sys/class/mdev_bus/{address}", f"../../devices/pci0000:3a/{address}")
    link(root, f"{parent}/subsystem", "../../../bus/pci")
    link(root, f"{parent}/driver", "../../../bus/pci/drivers/nvidia")
    for name, text in (("vendor", "0x10de\n"), ("device", "0x2235\n"), ("class", "0x030200\n")):
        write(root, f"{parent}/{name}", text)
    _driver(root)
    for number in range(types):
        type_ = f"{parent}/mdev_supported_types/nvidia-{number + 500}"
        for name, text in (
            ("device_api", "vfio-pci"),
            ("available_instances", "16"),
            ("name", f"NVIDIA A40-{number}Q"),
        ):
            write(root, f"{type_}/{name}", f"{text}\n")
        for instance in range(mdevs_per_type):
            _mdev(root, parent, f"nvidia-{number + 500}", number * mdevs_per_type + instance)
    return parent


@contextmanager
def without_file_override() -> Iterator[None]:
    """Modes count for root too: this thread lays down CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH, then takes them up."""
    before = _effective()
    _set_effective(before & ~0b110)
    try:
        yield
    finally:
        _set_effective(before)


def _build_entry(root: Path, line: str) -> None:
    found = _LINE.fullmatch(line)
    if found is None:
        raise ValueError(f"no entry of a tree: {line!r}")
    if found["folder"]:
        folder(root, found["folder"])
    elif found["link"]:
        link(root, found["link"], found["target"])
    else:
        content = ast.literal_eval(found["content"]) if found["content"] else ""
        write(root, found["file"], content, int(found["mode"] or "0444", 8))


def _made_parent(root: Path, path: str) -> Path:
    at = root / path[1:]
    at.parent.mkdir(parents=True, exist_ok=True)
    return at


def _driver(root: Path) -> None:
    link(root, "/sys/bus/pci/drivers/nvidia/module", "../../../../module/nvidia")
    write(root, "/sys/module/nvidia/version", "550.54.16\n")
    folder(root, "/sys/bus/mdev/drivers/nvidia-vgpu-vfio")


def _mdev(root: Path, parent: str, type_: str, number: int) -> None:
    uuid = f"{int(parent[-4:-2], 16):08x}-1111-4222-8333-{number:012x}"
    below = parent.removeprefix("/sys/")
    link(root, f"/sys/bus/mdev/devices/{uuid}", f"../../../{below}/{uuid}")
    link(root, f"{parent}/{uuid}/mdev_type", f"../mdev_supported_types/{type_}")
    link(root, f"{parent}/{uuid}/driver", "../../../../bus/mdev/drivers/nvidia-vgpu-vfio")
    link(root, f"{parent}/{uuid}/subsystem", "../../../../bus/mdev")
    link(root, f"{parent}/{uuid}/iommu_group", f"../../../../kernel/iommu_groups/{number}")


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Sets(ctypes.Structure):
    """capget(2): three 32-bit sets; two of these for 64 capabilities."""

    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


def _capabilities() -> tuple[ctypes.CDLL, _Header, ctypes.Array[_Sets]]:
    libc = ctypes.CDLL(None, use_errno=True)
    header, sets = _Header(0x20080522, 0), (_Sets * 2)()
    if libc.capget(ctypes.byref(header), sets):
        raise OSError(ctypes.get_errno(), "capget")
    return libc, header, sets


def _effective() -> int:
    return int(_capabilities()[2][0].effective)


def _set_effective(effective: int) -> None:
    libc, header, sets = _capabilities()
    sets[0].effective = effective
    if libc.capset(ctypes.byref(header), sets):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
