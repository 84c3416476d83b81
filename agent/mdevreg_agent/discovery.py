"""Where this host's parents are: mdev parents, and physical functions whose VFs migrate without mdev.

Cheap on a big host: without the mdev bus only a few folders are listed. With it, every device of a bus or
class is asked once for ``mdev_supported_types``, because the kernel only warns when it can't make the link in
/sys/class/mdev_bus (drivers/vfio/mdev/mdev_core.c). Nothing here walks /sys/devices, so nothing can loop.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from mdevreg_agent.attributes import is_pci_address
from mdevreg_agent.tree import Tree

#: VFIO variant drivers of kernels before /sys/class/vfio-dev (6.1), or whose name has no ``vfio_pci`` at its end.
VARIANT_DRIVERS = frozenset({"nvgrace-gpu-vfio-pci"})
#: Buses of the kernel's own with thousands of devices that are never a parent.
_NEVER_BUSES = frozenset({"clockevents", "clocksource", "cpu", "event_source", "mdev", "memory", "node", "workqueue"})
_NEVER_CLASSES = frozenset({"bdi", "block", "mdev_bus", "mem", "tty", "vfio", "vfio-dev"})
_PLAIN = "vfio-pci"  # passes a device through; no migration
_DEVICES = "/sys/devices/"


class Vf(msgspec.Struct, frozen=True):
    """A virtual function that can be given to a guest: by its VFIO variant driver, or by NVIDIA's own driver."""

    path: str  # /sys/devices/...
    kind: Literal["variant", "nvidia"]


class Found(msgspec.Struct, frozen=True):
    """Canonical paths of all parents, the VFs of each, and all names on the mdev bus."""

    parents: tuple[str, ...]  # sorted
    vfs: dict[str, tuple[Vf, ...]]  # by parent, sorted by path
    mdevs: frozenset[str]  # of all parents: a uuid is unique on the bus


def discover(tree: Tree) -> Found:
    """Find all parents. Raises ``UnreadableError``: a folder that hides parents must not look like an empty one."""
    mdevs = frozenset(tree.names("/sys/bus/mdev/devices"))
    vfs = _vfs(tree)
    parents = _real(tree, [*_listed(tree, "/sys/class/mdev_bus"), *_offering(tree), *vfs])
    return Found(parents=tuple(parents), vfs=vfs, mdevs=mdevs)


def _offering(tree: Tree) -> list[str]:
    """Every device of a bus or class that has ``mdev_supported_types``."""
    if not (tree.exists("/sys/bus/mdev") or tree.exists("/sys/class/mdev_bus")):
        return []  # mdev core is not loaded
    buses = [f"/sys/bus/{bus}/devices" for bus in tree.names("/sys/bus") if bus not in _NEVER_BUSES]
    classes = [f"/sys/class/{name}" for name in tree.names("/sys/class") if name not in _NEVER_CLASSES]
    devices = {path for folder in buses + classes for path in _listed(tree, folder)}
    return [path for path in devices if tree.exists(f"{path}/mdev_supported_types")]


def _vfs(tree: Tree) -> dict[str, tuple[Vf, ...]]:
    found: dict[str, dict[str, Vf]] = {}
    for vf in (*_nvidia_vfs(tree), *_variant_vfs(tree)):
        found.setdefault(_physical(tree, vf.path), {})[vf.path] = vf
    return {parent: tuple(vfs[path] for path in sorted(vfs)) for parent, vfs in found.items()}


def _physical(tree: Tree, vf: str) -> str:
    """The physical function of a VF; a function that names none is its own parent."""
    found = tree.canonical(f"{vf}/physfn")
    return found if found and found.startswith(_DEVICES) and tree.is_folder(found) else vf


def _variant_vfs(tree: Tree) -> list[Vf]:
    """PCI devices bound to a VFIO variant driver: by the driver's name, or by their VFIO device."""
    drivers = [name for name in tree.names("/sys/bus/pci/drivers") if _is_variant(name)]
    named = [path for name in drivers for path in _bound(tree, name)]
    vfio = [path.rpartition("/vfio-dev/")[0] for path in _listed(tree, "/sys/class/vfio-dev")]
    with_device = [path for path in vfio if is_pci_address(_base(path)) and _has_own_driver(tree, path)]
    return [Vf(path=path, kind="variant") for path in _real(tree, named + with_device)]


def _nvidia_vfs(tree: Tree) -> list[Vf]:
    """VFs whose vGPU type is chosen in ``nvidia/current_vgpu_type`` (no mdev since vGPU 17 on kernel 6.8)."""
    drivers = [name for name in tree.names("/sys/bus/pci/drivers") if name.startswith("nvidia")]
    bound = _real(tree, [path for name in drivers for path in _bound(tree, name)])
    return [Vf(path=path, kind="nvidia") for path in bound if tree.exists(f"{path}/nvidia/current_vgpu_type")]


def _is_variant(driver: str) -> bool:
    return driver in VARIANT_DRIVERS or driver.replace("-", "_").endswith("_vfio_pci")


def _has_own_driver(tree: Tree, device: str) -> bool:
    driver = tree.target(f"{device}/driver")
    return driver is not None and _base(driver) != _PLAIN


def _bound(tree: Tree, driver: str) -> list[str]:
    return [path for path in _listed(tree, f"/sys/bus/pci/drivers/{driver}") if is_pci_address(_base(path))]


def _real(tree: Tree, paths: list[str]) -> list[str]:
    real = {found for path in paths if (found := tree.canonical(path))}
    return sorted(path for path in real if path.startswith(_DEVICES) and tree.is_folder(path))


def _listed(tree: Tree, folder: str) -> list[str]:
    """Where the links in a folder point to."""
    return [target for name in tree.names(folder) if (target := tree.target(f"{folder}/{name}")) is not None]


def _base(path: str) -> str:
    return path.rpartition("/")[2]
