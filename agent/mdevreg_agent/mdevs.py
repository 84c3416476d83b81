"""The types that an mdev parent offers and the mdevs made from them.

Kernel source: Documentation/ABI/testing/sysfs-bus-vfio-mdev; device_api and available_instances are mandatory there.
"""

from __future__ import annotations

from mdevreg.records import MAX_DEVICES, MAX_TYPES, Device, MdevType
from mdevreg_agent.attributes import is_uuid, name_of
from mdevreg_agent.drivers import Drivers
from mdevreg_agent.readings import Readings


def read_types(parent: str, readings: Readings) -> list[MdevType]:
    """Each folder of ``mdev_supported_types``."""
    folder = f"{parent}/mdev_supported_types"
    names = readings.first(readings.folders(folder), MAX_TYPES, folder)
    return [type_ for name in names if (type_ := _read_type(f"{folder}/{name}", name, readings)) is not None]


def read_mdevs(parent: str, listed: frozenset[str], drivers: Drivers, readings: Readings) -> list[Device]:
    """Each mdev below the parent; ``listed`` is what is on the mdev bus, of all parents."""
    names = readings.first(_mdev_names(parent, listed, readings), MAX_DEVICES, parent)
    found = (_read_mdev(f"{parent}/{name}", name, drivers, readings) for name in names)
    return [mdev for mdev in found if mdev is not None]


def iommu_group(device: str, readings: Readings) -> int | None:
    """The number of a device's IOMMU group (its ``iommu_group`` link); ``None`` while it has none."""
    number = (readings.tree.link(f"{device}/iommu_group") or "").rpartition("/")[2]
    return int(number) if number.isascii() and number.isdigit() and len(number) <= 15 else None  # noqa: PLR2004  < 2**53


def _read_type(path: str, name: str, readings: Readings) -> MdevType | None:
    device_api = readings.line(f"{path}/device_api")
    available = readings.count(f"{path}/available_instances")
    readings.require(f"{path}/device_api", device_api)
    readings.require(f"{path}/available_instances", available)
    if device_api is None and available is None and not readings.tree.is_folder(path):
        return None  # vanished
    return MdevType(
        id=name_of(name),
        device_api=device_api,
        name=readings.line(f"{path}/name"),
        description=readings.text(f"{path}/description"),
        available_instances=available,
        migration_stream_version=readings.line(f"{path}/migration_stream_version"),
        migration_stream_version_min=readings.line(f"{path}/migration_stream_version_min"),
        migration_version=readings.line(f"{path}/migration_version"),
    )


def _mdev_names(parent: str, listed: frozenset[str], readings: Readings) -> list[str]:
    """Folders named by uuid that the bus lists, or that say themselves that they are on it."""
    folders = readings.folders(parent)
    for name in sorted(listed.intersection(folders)):
        if not is_uuid(name):
            readings.fault(f"{parent}/{name}", "on the mdev bus, but its name is no uuid")
    uuids = (name for name in folders if is_uuid(name))
    return [name for name in uuids if name in listed or _is_on_bus(f"{parent}/{name}", readings)]


def _is_on_bus(device: str, readings: Readings) -> bool:
    return (readings.tree.link(f"{device}/subsystem") or "").endswith("bus/mdev")


def _read_mdev(path: str, name: str, drivers: Drivers, readings: Readings) -> Device | None:
    type_ = readings.tree.link(f"{path}/mdev_type")
    driver = drivers.of_device(path, readings)
    if type_ is None and driver is None and not readings.tree.is_folder(path):
        return None  # vanished: a create that was refused, or a remove
    return Device(
        name=name,
        type=None if type_ is None else name_of(type_.rpartition("/")[2]),
        driver=driver,
        iommu_group=iommu_group(path, readings),
        migration_stream_version=readings.line(f"{path}/migration_stream_version"),
        migration_stream_version_min=readings.line(f"{path}/migration_stream_version_min"),
        migration_version=readings.line(f"{path}/migration_version"),
    )
