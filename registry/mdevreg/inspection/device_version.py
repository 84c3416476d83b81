"""A stream that begins with a 64-bit device version: vendor, device, class and version, 16 bits each.

Proposed on the kernel's lists, written by no driver upstream. Any 64-bit number could be one, so it is asked last and
recognised by plausibility: a vendor whose drivers migrate, and a class of device that has such drivers.
"""

from __future__ import annotations

from mdevreg.inspection.head import ByteOrder, Head
from mdevreg.inspection.inspected import Inspected
from mdevreg.versions import device_version

_BYTES = 8
#: PCI vendors: AMD (2), NVIDIA, Mellanox, Huawei, Red Hat (virtio), Pensando, Habana, Intel.
_VENDORS = {0x1002, 0x1022, 0x10DE, 0x15B3, 0x19E5, 0x1AF4, 0x1DD8, 0x1DA3, 0x8086}
#: PCI base classes: storage, network, display, processor, encryption, processing accelerator, co-processor.
_BASE_CLASSES = {0x01, 0x02, 0x03, 0x0B, 0x10, 0x12, 0x40}
#: Sub-classes count from 0; 0x80 is "other".
_MAX_SUB_CLASS = 0x40
_OTHER = 0x80
_NOTE = "Recognised by plausibility only: the first 8 bytes read as a known PCI vendor and class."


def read_device_version(head: Head, *, sure: bool) -> Inspected | None:
    """The stream as one with a device version, None if it is not. ``sure``: somebody knows that it is."""
    if sure:
        head.need(_BYTES, "the device version")
    if len(head.data) < _BYTES:
        return None
    orders: tuple[ByteOrder, ByteOrder] = ("little", "big")
    return next((found for order in orders if (found := _read(head, order))), None)


def _read(head: Head, order: ByteOrder) -> Inspected | None:
    magic = head.number(0, _BYTES, order)
    vendor, device, kind = (magic >> shift & 0xFFFF for shift in (48, 32, 16))
    if not _plausible(vendor, device, kind):
        return None
    return Inspected(
        "device-version",
        "device-version",
        device_version(magic).raw,
        fields={"vendor": f"{vendor:#06x}", "device": f"{device:#06x}", "class": f"{kind:#06x}"},
        byte_order=order,
        size=head.total,
        notes=(_NOTE,),
    )


def _plausible(vendor: int, device: int, kind: int) -> bool:
    base, sub = divmod(kind, 0x100)
    known = vendor in _VENDORS and base in _BASE_CLASSES and (sub <= _MAX_SUB_CLASS or sub == _OTHER)
    return known and 0 < device < 0xFFFF  # noqa: PLR2004  (the bus's "no device")
