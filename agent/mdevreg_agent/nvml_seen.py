"""What NVML was seen to say, put to the parents and devices that sysfs shows. Pure."""

from __future__ import annotations

from collections import Counter

import msgspec
from msgspec import structs

from mdevreg.records import Fault, Nvml, Parent, VgpuInstance
from mdevreg_agent.bounds import fitted

_NVIDIA = "0x10de"


class Vgpu(msgspec.Struct, frozen=True):
    """A running vGPU. ``uuid`` is its mdev's, if it has one; ``type`` is ``nvidia-<number>``."""

    type: str | None
    uuid: str | None
    instance: VgpuInstance


class Gpu(msgspec.Struct, frozen=True):
    """A physical GPU, its address as sysfs writes it."""

    address: str
    nvml: Nvml
    vgpus: tuple[Vgpu, ...] = ()
    faults: tuple[Fault, ...] = ()


class Seen(msgspec.Struct, frozen=True):
    """One look through NVML. ``faults`` are those of no single GPU: they go to every parent of NVIDIA's."""

    gpus: tuple[Gpu, ...] = ()
    faults: tuple[Fault, ...] = ()


def is_nvidia(parent: Parent) -> bool:
    """Whether NVML may know this parent."""
    return parent.pci is not None and parent.pci.vendor == _NVIDIA


def with_seen(parents: tuple[Parent, ...], seen: Seen) -> tuple[Parent, ...]:
    """Each parent with what was seen of it; those that are not NVIDIA's as they were."""
    mdevs = {device.name.lower() for parent in parents for device in parent.devices if device.kind == "mdev"}
    return tuple(_with_seen(parent, seen, mdevs) if is_nvidia(parent) else parent for parent in parents)


def _with_seen(parent: Parent, seen: Seen, mdevs: set[str]) -> Parent:
    gpu = _gpu_of(parent.name, seen.gpus)
    faults = {
        (fault.path, fault.error): fault for fault in (*parent.faults, *seen.faults, *(gpu.faults if gpu else ()))
    }
    told = structs.replace(parent, faults=tuple(faults[key] for key in sorted(faults)))
    if gpu is None:
        return fitted(told)
    by_uuid = {vgpu.uuid: vgpu.instance for vgpu in gpu.vgpus if vgpu.uuid}
    of_type = _by_type(parent, [vgpu for vgpu in gpu.vgpus if vgpu.uuid not in mdevs])
    devices = tuple(
        structs.replace(
            device, vgpu=by_uuid.get(device.name.lower()) if device.kind == "mdev" else of_type.get(device.type or "")
        )
        for device in parent.devices
    )
    return fitted(structs.replace(told, nvml=gpu.nvml, devices=devices))


def _gpu_of(name: str, gpus: tuple[Gpu, ...]) -> Gpu | None:
    """The GPU of that address; else the only one on its bus: with SR-IOV and mdev each VF is a parent of its own.

    A PCI Express card is alone on its bus, and all its functions are on it.
    """
    on_bus = [gpu for gpu in gpus if gpu.address.rpartition(":")[0] == name.rpartition(":")[0]]
    exact = [gpu for gpu in on_bus if gpu.address == name]
    return exact[0] if exact else on_bus[0] if len(on_bus) == 1 else None


def _by_type(parent: Parent, vgpus: list[Vgpu]) -> dict[str, VgpuInstance]:
    """What is known of the VFs of each type.

    NVML does not say on which VF of the host a vGPU runs (``nvmlVgpuInstanceGetGpuPciId`` is the address that the
    *guest* sees). So only what all vGPUs of a type agree on is said of its VFs, and only where each of them runs.
    """
    vfs = Counter(device.type for device in parent.devices if device.kind == "vf")
    running: dict[str, list[VgpuInstance]] = {}
    for vgpu in vgpus:
        running.setdefault(vgpu.type or "", []).append(vgpu.instance)
    shared = {kind: _agreed(found) for kind, found in running.items() if kind and len(found) == vfs[kind]}
    return {kind: agreed for kind, agreed in shared.items() if agreed is not None}


def _agreed(instances: list[VgpuInstance]) -> VgpuInstance | None:
    if len(instances) == 1:
        return instances[0]
    bare = {structs.replace(instance, metadata=None) for instance in instances}
    return bare.pop() if len(bare) == 1 else None
