"""The hardware of the simulated fleet. Data only.

Names, ids, types and descriptions are those of real devices. The stream versions are invented: no driver states
``migration_stream_version`` yet, these are successors of today's drivers, as sketched by the kernel's maintainers.
A driver that states no minimum loads its own version only; of one that states nothing the registry knows what its
catalog says of that build.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from mdevreg.records import PciIds


class Build(msgspec.Struct, frozen=True):
    """One release of a driver, and what it says about its streams."""

    version: str | None
    srcversion: str
    stream: str | None = None  # saves
    stream_min: str | None = None  # loads from


class Type(msgspec.Struct, frozen=True):
    """One type: ``units`` of the card's capacity are taken by each device of it."""

    id: str
    name: str | None
    units: int
    description: str | None = None


class Card(msgspec.Struct, frozen=True):
    """A parent's hardware and its driver's releases, oldest first."""

    folder: str  # DEVPATH, without the name
    name: str
    driver: str
    builds: tuple[Build, ...]
    capacity: int
    types: tuple[Type, ...] = ()
    kind: Literal["mdev", "vf"] = "mdev"
    subsystem: str = "pci"
    pci: PciIds | None = None
    vf_pci: PciIds | None = None
    attributes: dict[str, str] = {}  # of the parent, by path below it
    mdev_driver: str | None = None
    one_type_at_a_time: bool = False


def _vgpu(frame: int, heads: int, most: int) -> str:
    return f"num_heads={heads}, frl_config=60, framebuffer={frame}M, max_resolution=5120x2880, max_instance={most}"


def _gvt(low: int, high: int, fence: int, resolution: str, weight: int) -> str:
    return f"low_gm_size: {low}MB\nhigh_gm_size: {high}MB\nfence: {fence}\nresolution: {resolution}\nweight: {weight}\n"


_NVIDIA_BUILDS = (
    Build("535.183.04", "8C1E52F0A6D94B7E3D1F0C2", stream="6", stream_min="4"),  # release 16
    Build("550.90.05", "41F7A2C9D05E8B3366E1F47", stream="7", stream_min="5"),  # release 17
    Build("570.124.03", "F09B63D1E7248AC5502C8D3", stream="8", stream_min="6"),  # release 18
)

A40 = Card(
    folder="/devices/pci0000:3a/0000:3a:00.0",
    name="0000:3b:00.0",
    driver="nvidia",
    builds=_NVIDIA_BUILDS,
    capacity=48,
    types=(
        Type("nvidia-556", "NVIDIA A40-1B", 1, _vgpu(1_024, 4, 32)),
        Type("nvidia-558", "NVIDIA A40-1Q", 1, _vgpu(1_024, 4, 32)),
        Type("nvidia-560", "NVIDIA A40-4Q", 4, _vgpu(4_096, 4, 12)),
        Type("nvidia-562", "NVIDIA A40-8Q", 8, _vgpu(8_192, 4, 6)),
    ),
    pci=PciIds(
        vendor="0x10de", device="0x2235", subsystem_vendor="0x10de", subsystem_device="0x145a", class_="0x030200"
    ),
    mdev_driver="nvidia-vgpu-vfio",
    one_type_at_a_time=True,
)
RTX_A6000 = Card(
    folder="/devices/pci0000:80/0000:80:02.0",
    name="0000:81:00.0",
    driver="nvidia",
    builds=_NVIDIA_BUILDS,
    capacity=48,
    types=(
        Type("nvidia-523", "NVIDIA RTXA6000-2B", 2, _vgpu(2_048, 4, 23)),
        Type("nvidia-532", "NVIDIA RTXA6000-8Q", 8, _vgpu(8_192, 4, 6)),
    ),
    pci=PciIds(
        vendor="0x10de", device="0x2230", subsystem_vendor="0x10de", subsystem_device="0x1459", class_="0x030000"
    ),
    mdev_driver="nvidia-vgpu-vfio",
    one_type_at_a_time=True,
)
#: States a version and no minimum: loads its own version only.
GVT = Card(
    folder="/devices/pci0000:00",
    name="0000:00:02.0",
    driver="i915",
    builds=(Build(None, "5D0E1A6B24C38F79E0B1D6A", stream="3"), Build(None, "B7730C4F9E21D8A65140FE2", stream="4")),
    capacity=8,
    types=(
        Type("i915-GVTg_V5_4", "GVTg_V5_4", 2, _gvt(128, 512, 4, "1920x1200", 4)),
        Type("i915-GVTg_V5_8", "GVTg_V5_8", 1, _gvt(64, 384, 4, "1024x768", 2)),
    ),
    pci=PciIds(
        vendor="0x8086", device="0x3e98", subsystem_vendor="0x1028", subsystem_device="0x085a", class_="0x030000"
    ),
    mdev_driver="kvmgt",
)
#: The kernel's own sample driver: no stream version in sysfs, but the catalog knows its builds.
MTTY = Card(
    folder="/devices/virtual/mtty",
    name="mtty",
    driver="mtty",
    builds=(Build("0.1", "0D2F5B7E9A1C4D6F8B3E5A7"), Build("0.2", "9E8D7C6B5A4F3E2D1C0B9A8")),
    capacity=24,
    types=(Type("mtty-1", "Single port serial", 1), Type("mtty-2", "Dual port serial", 2)),
    subsystem="mtty",
    mdev_driver="mtty",
)
QAT = Card(
    folder="/devices/pci0000:6b/0000:6b:01.0",
    name="0000:6c:00.0",
    driver="4xxx",
    builds=(Build("0.6.0", "6A1B3C5D7E9F0A2B4C6D8E0"),),
    capacity=4,
    types=(Type("pci-8086:4941", None, 1),),
    kind="vf",
    pci=PciIds(
        vendor="0x8086", device="0x4940", subsystem_vendor="0x8086", subsystem_device="0x0000", class_="0x0b4000"
    ),
    vf_pci=PciIds(vendor="0x8086", device="0x4941", revision="0x40"),
    mdev_driver="qat_vfio_pci",
)
MLX5 = Card(
    folder="/devices/pci0000:16/0000:16:02.0",
    name="0000:17:00.0",
    driver="mlx5_core",
    builds=(Build(None, "C3D5E7F9A1B2C4D6E8F0A2B"),),
    capacity=4,
    types=(Type("pci-15b3:101e", None, 1),),
    kind="vf",
    pci=PciIds(
        vendor="0x15b3", device="0x101d", subsystem_vendor="0x15b3", subsystem_device="0x0016", class_="0x020000"
    ),
    vf_pci=PciIds(vendor="0x15b3", device="0x101e", revision="0x00"),
    attributes={"infiniband/board_id": "MT_0000000359", "infiniband/fw_ver": "22.41.1000"},
    mdev_driver="mlx5_vfio_pci",
)

#: What a host may be fitted with, by turns; 1 to 4 parents.
FITTINGS: tuple[tuple[Card, ...], ...] = (
    (A40, QAT),
    (A40, RTX_A6000, MLX5),
    (GVT,),
    (A40, MTTY),
    (RTX_A6000, GVT, MTTY, MLX5),
)
