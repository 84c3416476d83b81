"""Further attributes of a parent that migration rules of its driver ask for: one table, read only where they exist.

What is recorded is raw text by a path below the parent. A rule names it as ``attributes.<key>``.
"""

from __future__ import annotations

import msgspec

from mdevreg_agent.readings import Readings


class Further(msgspec.Struct, frozen=True):
    """One attribute. ``key`` is its name in the record, ``path`` where it is; ``*`` is the first folder by name."""

    key: str
    path: str
    subsystem: str  # of the parents that can have it
    source: str  # the kernel document that promises it


FURTHER = (
    Further(
        key="features",  # what the vfio_ap driver can: guest_matrix dyn ap_config
        path="features",
        subsystem="matrix",
        source="Documentation/arch/s390/vfio-ap.rst",
    ),
    Further(
        key="infiniband/board_id",  # mlx5: the PSID, one per board and its set of features
        path="infiniband/*/board_id",
        subsystem="pci",
        source="Documentation/ABI/stable/sysfs-class-infiniband",
    ),
    Further(
        key="infiniband/fw_ver",
        path="infiniband/*/fw_ver",
        subsystem="pci",
        source="Documentation/ABI/stable/sysfs-class-infiniband",
    ),
    Further(
        key="qat/cfg_services",  # which services the device runs: decides what a VF's state holds
        path="qat/cfg_services",
        subsystem="pci",
        source="Documentation/ABI/testing/sysfs-driver-qat",
    ),
)


def read_further(parent: str, subsystem: str | None, readings: Readings) -> dict[str, str]:
    """Those of ``FURTHER`` that this parent has, by key."""
    asked = {each.key: _found(parent, each.path, readings) for each in FURTHER if each.subsystem == subsystem}
    texts = {key: readings.line(path) for key, path in asked.items() if path is not None}
    return {key: text for key, text in texts.items() if text is not None}


def _found(parent: str, path: str, readings: Readings) -> str | None:
    folder, star, rest = path.partition("/*/")
    if not star:
        return f"{parent}/{path}"
    names = readings.folders(f"{parent}/{folder}")
    return f"{parent}/{folder}/{names[0]}/{rest}" if names else None
