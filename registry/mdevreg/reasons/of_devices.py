"""Reasons about the device that the guest sees, and about room for it."""

from __future__ import annotations

from mdevreg.reasons.explanation import Explanation, explain

DEVICES: tuple[Explanation, ...] = (
    explain(
        "USER_COMPATIBLE",
        "The guest would see the same device: source and target have the same type over the same device_api.",
        ("Both kernels name the type alike, such as mtty-1, nvidia-558 or pci-15b3:101e.",),
        ("Nothing to do. Whether the stream loads is another question; other reasons answer it.",),
    ),
    explain(
        "DEVICE_API_DIFFERS",
        "The device is driven through another VFIO interface there. No guest can be moved between the two.",
        ("A type that is named alike on another bus: vfio-pci on one host, vfio-ccw or vfio-ap on the other.",),
        ("Choose another target: `mdevreg targets DEVICE`.",),
    ),
    explain(
        "DEVICE_API_UNKNOWN",
        "One side does not state its device_api, so nobody can say that the guest would see the same device.",
        (
            "The file device_api of the type could not be read; the parent's faults say why.",
            "The link mdev_type of the device never appeared: its creation failed half-way.",
        ),
        (
            "Look at the faults of its parent: `mdevreg show HOST -o json`.",
            "If the device is half made, remove it (`echo 1 > /sys/bus/mdev/devices/UUID/remove`) and create it anew.",
        ),
    ),
    explain(
        "TYPE_DIFFERS",
        "The target is another type: the guest would see another device.",
        (
            "The question names a parent and type of its own: --to HOST/PARENT/TYPE.",
            "A driver was renamed or upgraded, and its types have other names or numbers now (NVIDIA, GVT-g).",
        ),
        ("Ask about the type that the device has: `mdevreg can-migrate DEVICE --to HOST`.",),
    ),
    explain(
        "TYPE_UNKNOWN",
        "The type of a device is not known, so there is nothing to look for on the target.",
        ("The link mdev_type of the device never appeared: its creation failed half-way.",),
        (
            "On its host, look at /sys/bus/mdev/devices/UUID/mdev_type.",
            "If it is missing, remove the device (`echo 1 > …/UUID/remove`) and create it anew.",
        ),
    ),
    explain(
        "TYPE_NOT_OFFERED",
        "The host, or the parent that was named, has no such type.",
        (
            "The driver is not loaded there, or no parent has been registered: /sys/class/mdev_bus is empty.",
            "SR-IOV is off after a reboot: the VFs that offer the type do not exist.",
            "The card there offers other types, or an upgrade of its driver renamed them.",
        ),
        (
            "See what it offers: `mdevreg show HOST`; which hosts have the type: `mdevreg targets DEVICE`.",
            "Load the driver or enable the VFs (sriov_numvfs) there; the agent tells the registry by itself.",
        ),
    ),
    explain(
        "TYPE_NOT_TOLD",
        "A saved stream does not tell its device's type, so the guest's view was not compared. This decides nothing.",
        ("No known stream format holds the type.",),
        ("Name the type of the suspended device, and it is compared: `mdevreg targets --stream FILE --type TYPE`.",),
    ),
    explain(
        "NO_FREE_INSTANCE",
        "The parent on the target has no free instance of the type. The stream would load, but not now.",
        ("Other guests use all of them: available_instances is 0.",),
        (
            "Free one there, or choose another target: `mdevreg targets DEVICE` tells the free ones.",
            "Capacity moves quickly: ask again when you migrate.",
        ),
    ),
    explain(
        "CAPACITY_UNKNOWN",
        "How many instances are free is not known. The verdict does not depend on it.",
        (
            "The driver states no available_instances, or the file could not be read.",
            "A VF counts as one device; nobody tells whether a guest uses it.",
        ),
        ("Look on the host before you migrate: `mdevreg show HOST`.",),
    ),
)
