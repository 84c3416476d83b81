"""What NVML says of each GPU and of each vGPU that runs on it."""

from __future__ import annotations

import msgspec
import pynvml

from mdevreg.records import MAX_TYPES, Fault, Nvml, VersionRange, VgpuInstance
from mdevreg_agent.attributes import parse_line
from mdevreg_agent.nvml_blobs import as_text, parse_pgpu, parse_vgpu
from mdevreg_agent.nvml_calls import NOT_THERE, Questions, error_name, nvml_loaded
from mdevreg_agent.nvml_seen import Gpu, Seen, Vgpu

#: No GPU of NVIDIA's is driven by its driver here: nothing to say, and nothing wrong.
_NO_GPU = frozenset({"NVML_ERROR_LIBRARY_NOT_FOUND", "NVML_ERROR_DRIVER_NOT_LOADED", "NVML_ERROR_GPU_NOT_FOUND"})
#: A vGPU that was listed a moment ago and has ended.
_ENDED = frozenset({"NVML_ERROR_NOT_FOUND", "NVML_ERROR_INVALID_ARGUMENT"})
_MODES = ("none", "passthrough", "vgpu", "host_vgpu", "host_vsga")  # NVML_GPU_VIRTUALIZATION_MODE_*, from 0


class _Host(msgspec.Struct, frozen=True):
    driver_version: str | None
    supported: VersionRange | None
    pinned: VersionRange | None
    host_os: str | None


def see_gpus(*, host_os: str | None) -> Seen:
    """Load NVML, ask it everything, unload it."""
    try:
        with nvml_loaded():
            return _seen(host_os)
    except pynvml.NVMLError as error:
        name = error_name(error)
        return Seen(faults=() if name in _NO_GPU else (Fault(path="nvml", error=name),))


def _seen(host_os: str | None) -> Seen:
    asked = Questions()
    supported, pinned = asked.versions()
    host = _Host(
        driver_version=asked.text(pynvml.nvmlSystemGetDriverVersion),
        supported=supported,
        pinned=pinned,
        host_os=host_os,
    )
    found = [_gpu(index, host, asked) for index in range(asked.ask(pynvml.nvmlDeviceGetCount) or 0)]
    return Seen(gpus=tuple(gpu for gpu in found if gpu is not None), faults=tuple(asked.faults))


def _gpu(index: int, host: _Host, asked_of_host: Questions) -> Gpu | None:
    """``None``: NVML does not say which one it is, and the host has the fault."""
    handle = asked_of_host.ask(pynvml.nvmlDeviceGetHandleByIndex, index)
    info = None if handle is None else asked_of_host.ask(pynvml.nvmlDeviceGetPciInfo, handle)
    if handle is None or info is None:
        return None
    asked = Questions()
    nvml = _nvml(handle, host, asked)
    vgpus = _vgpus(handle, asked)
    return Gpu(address=_address(info), nvml=nvml, vgpus=vgpus, faults=tuple(asked.faults))


def _address(info: pynvml.nvmlPciInfo_t) -> str:
    """As sysfs writes it. NVML names no function: a GPU is its card's function 0."""
    return f"{info.domain:04x}:{info.bus:02x}:{info.device:02x}.0"


def _nvml(handle: pynvml.Handle, host: _Host, asked: Questions) -> Nvml:
    blob = asked.blob("nvmlDeviceGetVgpuMetadata", handle)
    metadata = None if blob is None else parse_pgpu(blob)
    if blob is not None and metadata is None:
        asked.fault("nvmlDeviceGetVgpuMetadata", f"a structure of {len(blob)} bytes, too short for its head")
    return Nvml(
        driver_version=host.driver_version,
        supported=host.supported,
        pinned=host.pinned,
        gpu_range=metadata.vgpu_range if metadata else None,
        migration=metadata.migration if metadata else None,
        ecc=_current(asked.ask(pynvml.nvmlDeviceGetEccMode, handle)),
        mig=_current(asked.ask(pynvml.nvmlDeviceGetMigMode, handle)),
        name=asked.text(pynvml.nvmlDeviceGetName, handle),
        board=asked.text(pynvml.nvmlDeviceGetBoardPartNumber, handle),
        virtualization_mode=_mode(asked.ask(pynvml.nvmlDeviceGetVirtualizationMode, handle)),
        vgpu_types=_vgpu_types(handle, asked),
        host_os=host.host_os,
        metadata=None if blob is None else as_text(blob),
        metadata_text=asked.blob_text("nvmlDeviceGetPgpuMetadataString", handle),
    )


def _current(modes: list[int] | None) -> bool | None:
    """Of the current and the pending mode, the current one."""
    return None if modes is None else bool(modes[0])


def _mode(number: int | None) -> str | None:
    if number is None:
        return None
    return _MODES[number] if number < len(_MODES) else str(number)


def _vgpu_types(handle: pynvml.Handle, asked: Questions) -> dict[str, str]:
    """All types that the GPU could carry; where that isn't told, those that it still can."""
    numbers = asked.listed(pynvml.nvmlDeviceGetSupportedVgpus, handle) or asked.listed(
        pynvml.nvmlDeviceGetCreatableVgpus, handle
    )
    names = {number: asked.text(pynvml.nvmlVgpuTypeGetName, number) for number in sorted(set(numbers))[:MAX_TYPES]}
    return {f"nvidia-{number}": name for number, name in names.items() if name is not None}


def _vgpus(handle: pynvml.Handle, asked: Questions) -> tuple[Vgpu, ...]:
    of_vgpus = Questions(NOT_THERE | _ENDED)
    found = [_vgpu(number, of_vgpus) for number in asked.listed(pynvml.nvmlDeviceGetActiveVgpus, handle)]
    asked.faults += of_vgpus.faults
    return tuple(vgpu for vgpu in found if vgpu is not None)


def _vgpu(number: int, asked: Questions) -> Vgpu | None:
    blob = asked.blob("nvmlVgpuInstanceGetMetadata", number)
    metadata = None if blob is None else parse_vgpu(blob)
    if blob is None:
        return None
    if metadata is None:
        asked.fault("nvmlVgpuInstanceGetMetadata", f"a structure of {len(blob)} bytes, too short for its head")
        return None
    driver = metadata.guest_driver_version
    kind = asked.ask(pynvml.nvmlVgpuInstanceGetType, number)
    uuid = asked.text(pynvml.nvmlVgpuInstanceGetMdevUUID, number)
    return Vgpu(
        type=None if kind is None else f"nvidia-{kind}",
        uuid=uuid.lower() if uuid else None,
        instance=VgpuInstance(
            guest_version=metadata.guest_version,
            guest_driver_version=parse_line(driver).value if driver else None,
            migration=metadata.migration,
            metadata=as_text(blob),
        ),
    )
