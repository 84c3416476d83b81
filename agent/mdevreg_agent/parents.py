"""One parent, read completely: identity, driver build, types, devices, further attributes, faults."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from mdevreg.records import Device, MdevType, Parent
from mdevreg_agent.attributes import name_of
from mdevreg_agent.bounds import fitted
from mdevreg_agent.discovery import Found
from mdevreg_agent.drivers import Drivers
from mdevreg_agent.mdevs import read_mdevs, read_types
from mdevreg_agent.parent_attributes import read_further
from mdevreg_agent.readings import Readings
from mdevreg_agent.tree import Tree
from mdevreg_agent.virtual_functions import read_nvidia_vfs, read_pci, read_variant_vfs

_MAX_PATH_CHARS = 1_024  # of records.Path
T = TypeVar("T")


def read_parent(tree: Tree, path: str, found: Found, drivers: Drivers) -> Parent:
    """Read the parent whose folder is ``path`` (canonical, below /sys/devices)."""
    readings = Readings(tree, path)
    subsystem = tree.target(f"{path}/subsystem")
    subsystem = name_of(subsystem.rpartition("/")[2]) if subsystem else None
    types, devices = _contents(path, found, drivers, readings)
    return fitted(
        Parent(
            path=name_of(path.removeprefix("/sys"), _MAX_PATH_CHARS),
            name=name_of(path.rpartition("/")[2]),
            subsystem=subsystem,
            driver=drivers.of_parent(path, subsystem, readings),
            pci=read_pci(path, readings) if subsystem == "pci" else None,
            types=_by_name(types, lambda type_: type_.id, readings),
            devices=_by_name(devices, lambda device: device.name, readings),
            attributes=read_further(path, subsystem, readings),
            faults=readings.faults,
        )
    )


def _contents(path: str, found: Found, drivers: Drivers, readings: Readings) -> tuple[list[MdevType], list[Device]]:
    vfs = found.vfs.get(path, ())
    variant = read_variant_vfs([vf for vf in vfs if vf.kind == "variant"], drivers, readings)
    nvidia = read_nvidia_vfs([vf for vf in vfs if vf.kind == "nvidia"], drivers, readings)
    types = read_types(path, readings)
    mdevs = read_mdevs(path, found.mdevs, drivers, readings)
    return types + variant[0] + nvidia[0], mdevs + variant[1] + nvidia[1]


def _by_name(items: Iterable[T], name: Callable[[T], str], readings: Readings) -> tuple[T, ...]:
    """Sorted, each name once (two names can be the same once made printable)."""
    found: dict[str, T] = {}
    for item in items:
        if found.setdefault(name(item), item) is not item:
            readings.fault(name(item), "listed twice; the second is left out")
    return tuple(found[key] for key in sorted(found))
