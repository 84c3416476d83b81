"""The hardware of the bench's fleet: five vendors, twelve types, 19 driver releases, 50 profiles. Data only.

Types are named like real ones; drivers that state their stream version in sysfs are invented successors of today's.
"""

from __future__ import annotations

import msgspec


class Release(msgspec.Struct, frozen=True):
    """One release of a driver: what it saves, from which version on it loads (``None``: only its own)."""

    version: str
    stream: str
    stream_min: str | None = None


class Card(msgspec.Struct, frozen=True):
    """A parent device and its driver's releases, oldest first; ``shares``: how often each is met."""

    path: str
    driver: str
    vendor: str
    types: tuple[tuple[str, str], ...]  # id, name
    releases: tuple[Release, ...]
    shares: tuple[int, ...]


NVIDIA = Card(
    path="/devices/pci0000:3a/0000:3a:00.0/0000:3b:00.0",
    driver="nvidia",
    vendor="0x10de",
    types=(
        ("nvidia-556", "NVIDIA A40-1B"),
        ("nvidia-558", "NVIDIA A40-1Q"),
        ("nvidia-560", "NVIDIA A40-4Q"),
        ("nvidia-562", "NVIDIA A40-8Q"),
    ),
    releases=(
        Release("535.183.04", "6", "4"),
        Release("535.216.01", "7", "5"),
        Release("550.54.16", "8", "6"),
        Release("550.90.05", "9", "6"),
        Release("550.127.06", "10", "8"),
        Release("570.124.03", "11", "9"),
    ),
    shares=(1, 2, 3, 4, 3, 1),
)
INTEL = Card(
    path="/devices/pci0000:00/0000:00:02.0",
    driver="i915",
    vendor="0x8086",
    types=(("i915-GVTg_V5_4", "GVTg_V5_4"), ("i915-GVTg_V5_8", "GVTg_V5_8")),
    releases=(Release("1.3", "3"), Release("1.4", "4"), Release("1.5", "5"), Release("1.6", "6")),
    shares=(1, 3, 3, 1),
)
AMD = Card(
    path="/devices/pci0000:60/0000:60:03.1/0000:63:00.0",
    driver="gim",
    vendor="0x1002",
    types=(("gim-mi210-1", "MI210 1 VF"), ("gim-mi210-4", "MI210 4 VF")),
    releases=(Release("7.1", "1.0", "1.0"), Release("7.2", "1.2", "1.0"), Release("8.0", "2.0", "1.2")),
    shares=(1, 3, 2),
)
ASCEND = Card(
    path="/devices/pci0000:80/0000:80:00.0/0000:81:00.0",
    driver="vascend",
    vendor="0x19e5",
    types=(("vascend-vir02", "vir02"), ("vascend-vir04", "vir04")),
    releases=(Release("23.0", "0x10"), Release("24.1", "0x11", "0x10"), Release("25.0", "0x12", "0x10")),
    shares=(2, 3, 1),
)
CAMBRICON = Card(
    path="/devices/pci0000:c0/0000:c0:01.1/0000:c1:00.0",
    driver="cambricon",
    vendor="0xcabc",
    types=(("cambricon-mlu370_4", "MLU370 4 GB"), ("cambricon-mlu370_8", "MLU370 8 GB")),
    releases=(Release("5.8", "58"), Release("5.10", "510", "58"), Release("6.0", "600")),
    shares=(2, 3, 1),
)

#: What a host may be fitted with, by turns: four types each.
FITTINGS: tuple[tuple[Card, ...], ...] = ((NVIDIA,), (INTEL, AMD), (ASCEND, CAMBRICON))
