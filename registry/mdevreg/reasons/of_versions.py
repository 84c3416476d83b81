"""Reasons about stream formats and versions."""

from __future__ import annotations

from mdevreg.reasons.explanation import ALLOW_THE_PAIR, Explanation, explain

_STATE = "state both sides in an operator's catalog file (`mdevreg-server catalog lint FILE`, then import it)"
_OTHER = "Choose another target: `mdevreg targets DEVICE`."

VERSIONS: tuple[Explanation, ...] = (
    explain(
        "STREAM_VERSION_LOADS",
        "The target loads the version that the source saves; the highest common one is named as negotiated.",
        ("What the source saves and what the target loads have a version in common.",),
        ("Nothing to do.",),
    ),
    explain(
        "STREAM_TAGS_KNOWN",
        "The stream is made of tagged records, and the target knows every tag that it must know.",
        ("Drivers without a version number: mlx5_vfio_pci since kernel 6.2, virtio_vfio_pci.",),
        ("Nothing to do. What the records hold is judged by the device; see STREAM_DECIDED_BY_DEVICE.",),
    ),
    explain(
        "STREAM_FORMAT_DIFFERS",
        "The two drivers write streams of different formats. Their versions have nothing to do with each other.",
        (
            "The type is served by another driver there: vfio_pci instead of the variant driver, a sample driver.",
            "A catalog entry names another format for one of the builds.",
        ),
        (
            "See which driver serves the type on each side: `mdevreg show HOST`.",
            "Bind the same driver on both (driver_override), or choose another target.",
        ),
    ),
    explain(
        "STREAM_VERSION_TOO_NEW",
        "The source saves a version newer than any that the target loads. The target's driver would refuse it.",
        (
            "The source's host has the newer kernel or driver: new loads old, old refuses new.",
            "hisi_acc_vfio_pci: a kernel with the V2 fix (6.16, and backported into 6.1.y and 6.12.y) saves V2.",
            "nvidia: the target's vGPU manager supports, or is pinned to, lower versions.",
        ),
        ("Upgrade the driver on the target, or migrate to a host that is as new: `mdevreg targets DEVICE`.",),
    ),
    explain(
        "STREAM_VERSION_TOO_OLD",
        "The source saves a version older than any that the target loads.",
        (
            "The target's driver dropped old versions, or states a minimum above them.",
            "nvidia: nvmlSetVgpuVersion raised the lower end of the target's range.",
        ),
        (
            "Migrate through a host whose driver loads the old version and saves a newer one.",
            "nvidia: widen the target's range with nvmlSetVgpuVersion, which needs that no VM runs there.",
        ),
    ),
    explain(
        "STREAM_VERSION_NOT_EQUAL",
        "The target loads its own version only, and the source saves another.",
        (
            "The driver compares for equality: mtty (major and minor), xe (1 in each packet).",
            "The driver states migration_stream_version without migration_stream_version_min: it promises no more.",
        ),
        (
            "Run the same driver build on both hosts: `mdevreg drivers` lists who runs which.",
            _OTHER,
        ),
    ),
    explain(
        "STREAM_VERSION_NOT_LISTED",
        "The target loads certain versions, and the source saves none of them.",
        ("The driver accepts a few versions or magic numbers: hisi_acc_vfio_pci before V2 accepts V1 alone.",),
        ("Upgrade the driver on the target; `mdevreg show HOST` names what it loads now.", _OTHER),
    ),
    explain(
        "STREAM_TAG_UNKNOWN",
        "The source writes records that must be understood, under tags that the target does not know.",
        ("The source's driver is newer: mlx5_vfio_pci, virtio_vfio_pci. The load would end in EOPNOTSUPP.",),
        ("Upgrade the driver on the target, or choose another target.",),
    ),
    explain(
        "STREAM_SCHEMES_DIFFER",
        "The two versions are written in different schemes, which never compare: 16 and 0x10 are not the same.",
        (
            "One build states its version as a number, the other as major.minor or with 0x.",
            "Two catalog entries of one format use different schemes, or tags on one side only.",
        ),
        ("Find out which is right (`mdevreg show HOST` tells who says it) and " + _STATE + ".",),
    ),
    explain(
        "STREAM_VERSIONS_UNORDERED",
        "The two versions are not the same, and nothing tells whether one loads the other.",
        (
            "migration_version is an opaque string: the same, or not known.",
            "device-version: vendor, device or class differ, so that the numbers don't compare.",
        ),
        (
            "Run the same driver build on both hosts, or choose another target.",
            "If you know that it loads, " + _STATE + ".",
            ALLOW_THE_PAIR,
        ),
    ),
    explain(
        "STREAM_OPAQUE",
        "Nothing in the stream tells its version. Only the device's firmware finds out whether it loads.",
        ("pds_vfio_pci: a blob of the firmware. mlx5_vfio_pci before kernel 6.2: a raw firmware image.",),
        (
            "If equal fields vouch for it (board, firmware), say so: `mdevreg rule add match --field NAME …`.",
            ALLOW_THE_PAIR,
        ),
    ),
    explain(
        "STREAM_DECIDED_BY_DEVICE",
        "The driver would pass the stream on, but the device's firmware judges its content, and nobody states how.",
        ("mlx5_vfio_pci: the vendor asks for the same PSID and firmware. virtio_vfio_pci: device parts.",),
        (
            "mlx5: let card and firmware decide: `mdevreg rule add match --field psid --field firmware_version …`.",
            ALLOW_THE_PAIR,
        ),
    ),
    explain(
        "SOURCE_NOT_MIGRATABLE",
        "The source's driver cannot save a device's state at all.",
        (
            "vfio_ap, vfio_ccw, i915 GVT-g, mdpy, mbochs, plain vfio-pci: they have no migration.",
            "nvidia: the GPU's vGPU capabilities say that migration is off.",
        ),
        (
            "Unplug the device, migrate the guest, plug another one in; or shut the guest down.",
            "If that is wrong for your build, " + _STATE + ".",
        ),
    ),
    explain(
        "TARGET_NOT_MIGRATABLE",
        "The target's driver cannot load a device's state at all.",
        (
            "The type is served by a driver without migration there: plain vfio-pci instead of the variant driver.",
            "nvidia: the GPU's vGPU capabilities say that migration is off.",
        ),
        ("Bind the variant driver on the target (driver_override), or choose another target.",),
    ),
    explain(
        "SOURCE_SUPPORT_UNKNOWN",
        "What the source's driver saves is not known. Nothing is concluded from silence.",
        (
            "The driver states no migration_stream_version, and no catalog entry names its build.",
            "No driver is bound to the VF.",
            "What the driver or a plug-in states is not understood, or two sources of one rank contradict each other.",
        ),
        (
            "The sentence beside the code says which it is. Bind the driver, or correct the file that is wrong.",
            "For a build that you know, " + _STATE + "; or let a plug-in in the agent's folder answer.",
            "Upgrade mdevreg: newer releases know more builds.",
        ),
    ),
    explain(
        "TARGET_SUPPORT_UNKNOWN",
        "What the target's driver loads is not known. Nothing is concluded from silence.",
        (
            "The driver states no migration_stream_version, and no catalog entry names its build.",
            "No driver is bound to the VFs of the type.",
            "What the driver or a plug-in states is not understood, or two sources of one rank contradict each other.",
        ),
        (
            "The sentence beside the code says which it is. Bind the driver, or correct the file that is wrong.",
            "For a build that you know, " + _STATE + "; or let a plug-in in the agent's folder answer.",
            "Upgrade mdevreg: newer releases know more builds.",
        ),
    ),
)
