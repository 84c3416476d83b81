"""SR-IOV virtual functions that go to guests without mdev: as VFIO variant devices, or as NVIDIA vGPUs.

A variant VF is its own type, ``pci-<vendor>:<device>``. An NVIDIA VF carries one vGPU type at a time, a
number in ``nvidia/current_vgpu_type`` (0 = free), out of ``nvidia/creatable_vgpu_types``.
"""

from __future__ import annotations

from collections import Counter

from mdevreg.records import Device, MdevType, PciIds
from mdevreg_agent.attributes import VgpuTypes, parse_pci_id, parse_vgpu_types
from mdevreg_agent.discovery import Vf
from mdevreg_agent.drivers import Drivers
from mdevreg_agent.mdevs import iommu_group
from mdevreg_agent.readings import Readings

_VFIO_PCI = "vfio-pci"  # the device_api of every PCI VFIO device


def read_variant_vfs(vfs: list[Vf], drivers: Drivers, readings: Readings) -> tuple[list[MdevType], list[Device]]:
    """VFs bound to a variant driver. How many more could be enabled is not known: no available_instances."""
    ids_of = {vf: read_pci(vf.path, readings) for vf in vfs}
    devices = [_device(vf, _pci_type(vf.path, ids_of[vf], readings), ids_of[vf], drivers, readings) for vf in vfs]
    ids = {device.type for device in devices if device.type}
    return [MdevType(id=id_, device_api=_VFIO_PCI) for id_ in ids], devices


def read_nvidia_vfs(vfs: list[Vf], drivers: Drivers, readings: Readings) -> tuple[list[MdevType], list[Device]]:
    """The vGPU types that free VFs can still take, and the VFs that have one."""
    current = {vf: readings.count(f"{vf.path}/nvidia/current_vgpu_type") for vf in vfs}
    creatable = {vf: _creatable(f"{vf.path}/nvidia/creatable_vgpu_types", readings) for vf in vfs}
    free: Counter[int] = Counter(number for vf in vfs if current[vf] == 0 for number in creatable[vf])
    names = {number: name for vf in vfs for number, name in creatable[vf].items()}
    used = {vf: number for vf, number in current.items() if number}
    types = [_vgpu_type(number, names.get(number), free[number]) for number in {*names, *used.values()}]
    return types, [
        _device(vf, _vgpu_id(number), read_pci(vf.path, readings), drivers, readings) for vf, number in used.items()
    ]


def read_pci(path: str, readings: Readings) -> PciIds:
    """What a PCI function says of itself. Kernel source: Documentation/ABI/testing/sysfs-bus-pci."""
    return PciIds(
        vendor=readings.line(f"{path}/vendor"),
        device=readings.line(f"{path}/device"),
        subsystem_vendor=readings.line(f"{path}/subsystem_vendor"),
        subsystem_device=readings.line(f"{path}/subsystem_device"),
        class_=readings.line(f"{path}/class"),
        revision=readings.line(f"{path}/revision"),
    )


def _device(vf: Vf, type_: str | None, pci: PciIds, drivers: Drivers, readings: Readings) -> Device:
    return Device(
        name=vf.path.rpartition("/")[2],
        kind="vf",
        type=type_,
        driver=drivers.of_device(vf.path, readings),
        iommu_group=iommu_group(vf.path, readings),
        migration_stream_version=readings.line(f"{vf.path}/migration_stream_version"),
        migration_stream_version_min=readings.line(f"{vf.path}/migration_stream_version_min"),
        migration_version=readings.line(f"{vf.path}/migration_version"),
        pci=None if pci == PciIds() else pci,
    )


def _pci_type(vf: str, pci: PciIds, readings: Readings) -> str | None:
    vendor = _pci_id(f"{vf}/vendor", pci.vendor, readings)
    device = _pci_id(f"{vf}/device", pci.device, readings)
    return f"pci-{vendor}:{device}" if vendor and device else None


def _pci_id(path: str, text: str | None, readings: Readings) -> str | None:
    found = None if text is None else parse_pci_id(text.encode())
    if text is not None and found is None:
        readings.fault(path, "not a PCI id", text.strip())
    readings.require(path, text)
    return found


def _creatable(path: str, readings: Readings) -> dict[int, str]:
    parsed = parse_vgpu_types(readings.raw(path) or b"")
    _report_unknown(path, parsed, readings)
    return parsed.names


def _report_unknown(path: str, parsed: VgpuTypes, readings: Readings) -> None:
    if parsed.unknown:
        readings.fault(path, f"lines that are no vGPU type: {len(parsed.unknown)}", "\n".join(parsed.unknown))


def _vgpu_id(number: int) -> str:
    return f"nvidia-{number}"


def _vgpu_type(number: int, name: str | None, free: int) -> MdevType:
    return MdevType(id=_vgpu_id(number), device_api=_VFIO_PCI, name=name, available_instances=free)
