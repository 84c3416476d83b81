"""A parent made to fit into one record. Pure. What is left out is said in a fault, never silently.

No known hardware comes near: a parent with 12 types and 768 mdevs takes about 300 kB of the 1 MB.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import structs

from mdevreg import wire
from mdevreg.records import (
    MAX_ATTRIBUTES,
    MAX_DEVICES,
    MAX_MODULES,
    MAX_PLUGINS,
    MAX_RECORD_BYTES,
    MAX_TYPES,
    Device,
    Fault,
    Parent,
)

#: Room for the envelope and its cause: three lines and two paths of the greatest length, escaped.
MAX_PARENT_BYTES = MAX_RECORD_BYTES - 100_000
_FAULTS_KEPT = 64  # when there is no room for all
# What migration rules ask for goes before the last devices and types, but can't take all the room from them.
_SHARES = {"answers": 4, "attributes": 8}
_MOST = {"answers": MAX_PLUGINS, "attributes": MAX_ATTRIBUTES, "modules": MAX_MODULES}


def fitted(parent: Parent, max_bytes: int = MAX_PARENT_BYTES) -> Parent:
    """The parent within the bounds of ``records`` and of one record's bytes.

    Left out, in this order, until it fits: faults over 64, descriptions, NVML's blobs and names of types, answers
    of plug-ins over a quarter of the room and attributes over an eighth, devices, types (the last ones first).
    To be called again by whoever adds to a parent.
    """
    parent = _counted(parent)
    if _size(parent) <= max_bytes:
        return parent
    parent = _with_faults(parent, _FAULTS_KEPT)
    for lighter in (_without_descriptions, _without_evidence):
        if _size(parent) > max_bytes:
            parent = lighter(parent)
    if _size(parent) > max_bytes:
        for what, share in _SHARES.items():
            parent = _fewer(parent, what, max_bytes // share)
    parent = _shorter(parent, "devices", max_bytes)
    return _shorter(parent, "types", max_bytes)


def _counted(parent: Parent) -> Parent:
    parent = _cut(parent, "types", MAX_TYPES)
    parent = _cut(parent, "devices", MAX_DEVICES)
    for what, most in _MOST.items():
        kept = dict(list(getattr(parent, what).items())[:most])
        parent = _kept(parent, what, kept)
    return _with_faults(parent, MAX_TYPES)


def _shorter(parent: Parent, what: str, max_bytes: int) -> Parent:
    """As many of ``what`` as fit, found by halving."""
    low, high = 0, len(getattr(parent, what))
    while low < high:
        middle = (low + high + 1) // 2
        fits = _size(_cut(parent, what, middle)) <= max_bytes
        low, high = (middle, high) if fits else (low, middle - 1)
    return _cut(parent, what, low)


def _cut(parent: Parent, what: str, most: int) -> Parent:
    items = getattr(parent, what)
    if len(items) <= most:
        return parent
    fault = Fault(path=what, error=f"{len(items) - most} of {len(items)} {what} left out: no room in one record")
    return structs.replace(parent, **{what: items[:most], "faults": (*parent.faults[: MAX_TYPES - 1], fault)})


def _fewer(parent: Parent, what: str, max_bytes: int) -> Parent:
    """As many of a mapping's entries as fit, in its order; one that is too large by itself takes no other along."""
    kept: dict[str, object] = {}
    items: Mapping[str, object] = getattr(parent, what)
    for key, value in items.items():
        size = len(wire.encode({key: value}))
        if size <= max_bytes:
            max_bytes -= size
            kept[key] = value
    return _kept(parent, what, kept)


def _kept(parent: Parent, what: str, kept: Mapping[str, object]) -> Parent:
    items: Mapping[str, object] = getattr(parent, what)
    if len(kept) == len(items):
        return parent
    fault = Fault(path=what, error=f"{len(items) - len(kept)} of {len(items)} {what} left out: no room in one record")
    return structs.replace(parent, **{what: kept, "faults": (*parent.faults[: MAX_TYPES - 1], fault)})


def _with_faults(parent: Parent, most: int) -> Parent:
    faults = parent.faults
    if len(faults) <= most:
        return parent
    left_out = len(faults) - most + 1
    fault = Fault(path="faults", error=f"{left_out} of {len(faults)} faults left out: no room in one record")
    return structs.replace(parent, faults=(*faults[: most - 1], fault))


def _without_descriptions(parent: Parent) -> Parent:
    if not any(type_.description for type_ in parent.types):
        return parent
    bare = tuple(structs.replace(type_, description=None) for type_ in parent.types)
    fault = Fault(path="mdev_supported_types", error="descriptions left out: no room in one record")
    return structs.replace(parent, types=bare, faults=(*parent.faults, fault))


def _without_evidence(parent: Parent) -> Parent:
    """Without what no verdict depends on (``mdevreg.profiles`` leaves it out too)."""
    nvml = parent.nvml and structs.replace(parent.nvml, metadata=None, metadata_text=None, vgpu_types={})
    bare = tuple(_without_blob(device) for device in parent.devices)
    if nvml == parent.nvml and bare == parent.devices:
        return parent
    fault = Fault(path="nvml", error="metadata and names of vGPU types left out: no room in one record")
    return structs.replace(parent, nvml=nvml, devices=bare, faults=(*parent.faults, fault))


def _without_blob(device: Device) -> Device:
    if device.vgpu is None or device.vgpu.metadata is None:
        return device
    return structs.replace(device, vgpu=structs.replace(device.vgpu, metadata=None))


def _size(parent: Parent) -> int:
    return len(wire.encode(parent))
