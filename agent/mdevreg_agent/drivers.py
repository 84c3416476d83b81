"""The exact driver binary behind a device: name, module, version, srcversion, build-id. Each may be absent.

Kernel sources: Documentation/ABI/stable/sysfs-module (version and srcversion only with MODULE_VERSION),
kernel/module/sysfs.c (notes).
"""

from __future__ import annotations

import msgspec

from mdevreg.records import DriverBuild, Fault
from mdevreg_agent.attributes import name_of, parse_build_id
from mdevreg_agent.readings import Readings
from mdevreg_agent.tree import Tree


class _Identity(msgspec.Struct, frozen=True):
    """What tells one build of a module from another."""

    version: str | None = None
    srcversion: str | None = None
    build_id: str | None = None
    faults: tuple[Fault, ...] = ()


_UNKNOWN = _Identity()


class Drivers:
    """The drivers of one look: each driver and each module is read once."""

    def __init__(self, tree: Tree, kernel_release: str | None) -> None:
        self._tree = tree
        self._kernel_release = kernel_release
        self._builds: dict[str, tuple[DriverBuild, tuple[Fault, ...]]] = {}
        self._identities: dict[str, _Identity] = {}

    def of_device(self, device: str, readings: Readings) -> DriverBuild | None:
        """The driver bound to a device (``<device>/driver``); ``None`` if it is unbound."""
        driver = self._tree.target(f"{device}/driver")
        return self._build(driver, readings) if driver else None

    def of_parent(self, parent: str, subsystem: str | None, readings: Readings) -> DriverBuild | None:
        """The driver that made a parent: bound to it, else the mdev driver named like its class.

        A purely virtual parent (the kernel's mtty) has no driver link; its class and its mdev driver share a name.
        """
        bound = self.of_device(parent, readings)
        if bound is not None or not subsystem:
            return bound
        driver = f"/sys/bus/mdev/drivers/{subsystem}"
        return self._build(driver, readings) if self._tree.is_folder(driver) else None

    def _build(self, driver: str, readings: Readings) -> DriverBuild:
        if driver not in self._builds:
            self._builds[driver] = self._read(driver)
        build, faults = self._builds[driver]
        readings.add(faults)
        return build

    def _read(self, driver: str) -> tuple[DriverBuild, tuple[Fault, ...]]:
        real = self._tree.canonical(driver)
        module = self._tree.canonical(f"{real}/module") if real else None
        identity = self._identity(module) if module else _UNKNOWN
        build = DriverBuild(
            name=name_of(driver.rpartition("/")[2]),
            module=name_of(module.rpartition("/")[2]) if module else None,
            kernel_release=self._kernel_release,
            version=identity.version,
            srcversion=identity.srcversion,
            build_id=identity.build_id,
        )
        return build, identity.faults

    def _identity(self, module: str) -> _Identity:
        if module not in self._identities:
            self._identities[module] = _read_identity(module, Readings(self._tree, ""))
        return self._identities[module]


def _read_identity(module: str, readings: Readings) -> _Identity:
    return _Identity(
        version=readings.line(f"{module}/version"),
        srcversion=readings.line(f"{module}/srcversion"),
        build_id=_read_build_id(f"{module}/notes/.note.gnu.build-id", readings),
        faults=readings.faults,
    )


def _read_build_id(path: str, readings: Readings) -> str | None:
    raw = readings.raw(path)
    if raw is None:
        return None
    build_id = parse_build_id(raw)
    if build_id is None:
        readings.fault(path, "no GNU build-id note", raw.hex())
    return build_id
