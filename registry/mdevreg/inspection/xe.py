"""xe_vfio_pci, Intel GPUs. Packets, each with a header of 24 bytes in host order; the first one describes the device.

There is no magic: only a descriptor that can be read to its end is recognised. Layout: Linux
drivers/gpu/drm/xe (xe_sriov_packet.c, xe_sriov_packet_types.h); keys and lengths as in GuC's KLVs.
"""

from __future__ import annotations

from mdevreg.inspection.head import ByteOrder, Head
from mdevreg.inspection.inspected import Inspected

_VERSION = 1
_HEADER_BYTES = 24
_DESCRIPTOR = 1
_TRAILER = 2
#: Types of packet: descriptor, trailer, GGTT, MMIO, GuC, VRAM.
_TYPES = range(1, 7)
#: A descriptor has 16 bytes today; a much longer one is something else.
_MAX_DESCRIPTOR_BYTES = 4096
_KLV_NAMES = {0xF001: "device_id", 0xF002: "revision_id"}


def read_xe(head: Head, *, sure: bool) -> Inspected | None:
    """The stream as xe's, None if it is not. ``sure``: somebody knows that it is. Raises ``StreamError``."""
    begin = head.data[:_HEADER_BYTES]
    # A descriptor names tile 0, gt 0, no flags and offset 0: 14 bytes of zeros.
    if any(begin[2:16]) or begin[1:2] not in {b"", bytes([_DESCRIPTOR])}:
        return None
    if sure:
        head.need(_HEADER_BYTES, "the xe packet header")
    if len(begin) < _HEADER_BYTES:
        return None
    if begin[0] != _VERSION:
        return _of_another_version(head, begin[0]) if sure and begin[0] else None
    order = _order(head)
    return None if order is None else _read(head, order, sure=sure)


def _of_another_version(head: Head, version: int) -> Inspected:
    note = f"xe packets of version {version} are not known; only their version is read."
    return Inspected("xe", "integer", str(version), size=head.total, notes=(note,))


def _order(head: Head) -> ByteOrder | None:
    """The order in which the descriptor has a possible size; never both, for it is below 2**16."""
    orders: tuple[ByteOrder, ByteOrder] = ("little", "big")
    return next((order for order in orders if 0 < head.number(16, 8, order) <= _MAX_DESCRIPTOR_BYTES), None)


def _read(head: Head, order: ByteOrder, *, sure: bool) -> Inspected | None:
    end = _HEADER_BYTES + head.number(16, 8, order)
    if sure:
        head.need(end, "the xe descriptor")
    fields = _klvs(head, _HEADER_BYTES, end, order) if end <= len(head.data) else None
    if fields is None or "device_id" not in fields:
        if sure:
            raise head.corrupt(_HEADER_BYTES, "the xe descriptor can't be read", "keys with a device id (0xf001)")
        return None
    notes = _walk(head, end, order)
    if "revision_id" not in fields:
        notes += ("revision_id can't be checked: the descriptor has none.",)
    return Inspected("xe", "integer", "1", fields=fields, byte_order=order, size=head.total, notes=notes)


def _klvs(head: Head, start: int, end: int, order: ByteOrder) -> dict[str, str] | None:
    """Key in the high, length in dwords in the low 16 bits, then the value; None if they don't fill it exactly."""
    fields, at = {}, start
    while at + 4 <= end:
        key, dwords = divmod(head.number(at, 4, order), 0x10000)
        if key in _KLV_NAMES and dwords == 1:
            fields[_KLV_NAMES[key]] = f"{head.number(at + 4, 4, order):#x}"
        at += 4 + 4 * dwords
    return fields if at == end else None


def _walk(head: Head, start: int, order: ByteOrder) -> tuple[str, ...]:
    """Check the packets after the descriptor, as far as the bytes at hand reach."""
    at = start
    while at + _HEADER_BYTES <= len(head.data):
        version, kind = head.data[at], head.data[at + 1]
        if version != _VERSION or kind not in _TYPES:
            raise head.corrupt(at, "no xe packet follows", f"version {_VERSION} and a type from 1 to {_TYPES[-1]}")
        end = at + _HEADER_BYTES + head.number(at + 16, 8, order)
        head.owe(end, f"the xe packet at offset {at}")
        if kind == _TRAILER:
            return head.surplus(end)
        at = end
    head.owe(at + _HEADER_BYTES, f"the xe stream has no trailer: the packet at offset {at}")
    return ()
