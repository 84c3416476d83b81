"""NVML's migration metadata: what the documented head of each structure says. Pure.

The rest is opaque: only NVML may judge it, so that it is kept whole, as evidence. Source: NVML API reference, vGPU
migration (``nvmlVgpuPgpuMetadata_t``, ``nvmlVgpuMetadata_t``); numbers are in the host's byte order.
"""

from __future__ import annotations

import base64
import struct

import msgspec

from mdevreg.records import VersionRange

#: Longest blob whose base64 still is one ``records.Line``. The known ones have 380 and 468 bytes.
MAX_BLOB_BYTES = 3_072
# version, revision, hostDriverVersion, pgpuVirtualizationCaps, reserved, hostSupportedVgpuRange
_PGPU = struct.Struct("=8x80xI20xII")
# version, revision, guestInfoState, guestDriverVersion, hostDriverVersion, reserved, vgpuVirtualizationCaps,
# guestVgpuVersion
_VGPU = struct.Struct("=8xI80s80x24xII")
_MIGRATION = 1  # bit 0 of the virtualization capabilities
_INITIALIZED = 1  # NVML_VGPU_INSTANCE_GUEST_INFO_STATE_INITIALIZED


class PgpuMetadata(msgspec.Struct, frozen=True):
    """Of a physical GPU. ``vgpu_range`` is absent in structures from before it was added (there: reserved zeros)."""

    migration: bool
    vgpu_range: VersionRange | None


class VgpuMetadata(msgspec.Struct, frozen=True):
    """Of a running vGPU. What the guest's driver negotiated is absent until the guest has loaded it."""

    migration: bool
    guest_version: int | None
    guest_driver_version: bytes | None


def parse_pgpu(blob: bytes) -> PgpuMetadata | None:
    """``nvmlVgpuPgpuMetadata_t``; ``None`` if it is too short for its head."""
    if len(blob) < _PGPU.size:
        return None
    capabilities, minimum, maximum = _PGPU.unpack_from(blob)
    return PgpuMetadata(migration=bool(capabilities & _MIGRATION), vgpu_range=range_of(minimum, maximum))


def parse_vgpu(blob: bytes) -> VgpuMetadata | None:
    """``nvmlVgpuMetadata_t``; ``None`` if it is too short for its head."""
    if len(blob) < _VGPU.size:
        return None
    state, driver, capabilities, version = _VGPU.unpack_from(blob)
    known = state == _INITIALIZED
    return VgpuMetadata(
        migration=bool(capabilities & _MIGRATION),
        guest_version=version if known else None,
        guest_driver_version=driver.partition(b"\0")[0] if known else None,
    )


def range_of(minimum: int, maximum: int) -> VersionRange | None:
    """A range; ``None`` for zeros, which say that there is none."""
    return VersionRange(minimum=minimum, maximum=maximum) if minimum or maximum else None


def as_text(blob: bytes) -> str:
    """The blob whole, for a record."""
    return base64.b64encode(blob).decode()
