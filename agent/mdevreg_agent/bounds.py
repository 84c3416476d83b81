"""A parent made to fit into one record. Pure. What is left out is said in a fault, never silently.

No known hardware comes near: a parent with 12 types and 768 mdevs takes about 300 kB of the 1 MB.
"""

from __future__ import annotations

from msgspec import structs

from mdevreg import wire
from mdevreg.records import MAX_DEVICES, MAX_RECORD_BYTES, MAX_TYPES, Fault, Parent

#: Room for the envelope and its cause: three lines and two paths of the greatest length, escaped.
MAX_PARENT_BYTES = MAX_RECORD_BYTES - 100_000
_FAULTS_KEPT = 64  # when there is no room for all


def fitted(parent: Parent, max_bytes: int = MAX_PARENT_BYTES) -> Parent:
    """The parent within the bounds of ``records`` and of one record's bytes.

    Left out, in this order, until it fits: faults over 64, descriptions, devices, types (the last ones first).
    """
    parent = _counted(parent)
    if _size(parent) <= max_bytes:
        return parent
    parent = _with_faults(parent, _FAULTS_KEPT)
    if _size(parent) > max_bytes:
        parent = _without_descriptions(parent)
    parent = _shorter(parent, "devices", max_bytes)
    return _shorter(parent, "types", max_bytes)


def _counted(parent: Parent) -> Parent:
    parent = _cut(parent, "types", MAX_TYPES)
    parent = _cut(parent, "devices", MAX_DEVICES)
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


def _with_faults(parent: Parent, most: int) -> Parent:
    faults = parent.faults
    if len(faults) <= most:
        return parent
    left_out = len(faults) - most + 1
    fault = Fault(path="faults", error=f"{left_out} of {len(faults)} faults left out: no room in one record")
    return structs.replace(parent, faults=(*faults[: most - 1], fault))


def _without_descriptions(parent: Parent) -> Parent:
    bare = tuple(structs.replace(type_, description=None) for type_ in parent.types)
    fault = Fault(path="mdev_supported_types", error="descriptions left out: no room in one record")
    return structs.replace(parent, types=bare, faults=(*parent.faults, fault))


def _size(parent: Parent) -> int:
    return len(wire.encode(parent))
