"""qat_vfio_pci, Intel QuickAssist. One block of 4096 bytes with two preambles, setup and state, each before sections.

A preamble has 16 bytes, a section an id of 8 characters, its size and the number of its parts, all in host order.
Layout: Linux 6.12 drivers/crypto/intel/qat/qat_common (adf_mstate_mgr.c, adf_gen4_vf_mig.c).
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from mdevreg.inspection.head import ByteOrder, Head
from mdevreg.inspection.inspected import Inspected

_MAGIC = 0xADF5_CAEA
_PREAMBLE_BYTES = 16
_SECTION_BYTES = 16
_TOTAL_BYTES = 4096
#: Highest version whose preamble and sections are known.
_KNOWN_VERSION = 1
#: Widest mask in a leaf, in bytes.
_MAX_LEAF_BYTES = 8
_MASKS = ("gencap", "svcmap", "extdc")


class _Block(msgspec.Struct, frozen=True):
    """Sections in ``[start, end)``: those after a preamble, or the parts of a section."""

    start: int
    end: int
    count: int


def read_qat(head: Head, *, sure: bool) -> Inspected | None:  # noqa: ARG001  (each family is asked the same way)
    """The stream as qat's, None if it is not. Raises ``StreamError``."""
    order = head.magic_order(_MAGIC, 4)
    if order is None:
        return None
    head.need(_PREAMBLE_BYTES, "the qat preamble")
    version = head.number(4, 4, order)
    if version > _KNOWN_VERSION:
        note = f"qat of version {version} is not known; only its version is read."
        return Inspected("qat", "integer", str(version), byte_order=order, size=head.total, notes=(note,))
    fields, notes = _read_block(head, order)
    return Inspected("qat", "integer", str(version), fields=fields, byte_order=order, size=head.total, notes=notes)


def _read_block(head: Head, order: ByteOrder) -> tuple[dict[str, str], tuple[str, ...]]:
    setup = _preamble(head, 0, order)
    head.owe(_TOTAL_BYTES, "the qat stream")
    fields: dict[str, str] = {}
    notes = head.surplus(_TOTAL_BYTES)
    for name in _MASKS:
        leaf = _find(head, order, setup, "CONFIG", name)
        if leaf is None:
            notes += (f"{name} can't be checked: no section CONFIG/{name} in the first {len(head.data)} bytes.",)
        else:
            fields[name] = f"{leaf:#x}"
    compver = _find(head, order, _state_preamble(head, setup.end, order), "GENER", "compver")
    if compver is not None:
        fields["pfvf_compver"] = str(compver)
    return fields, notes


def _preamble(head: Head, at: int, order: ByteOrder) -> _Block:
    length, count = head.number(at + 8, 2, order), head.number(at + 10, 2, order)
    end = at + length + head.number(at + 12, 4, order)
    if length < _PREAMBLE_BYTES or end > _TOTAL_BYTES:
        expected = f"a preamble of at least {_PREAMBLE_BYTES} bytes and content within the block of {_TOTAL_BYTES}"
        raise head.corrupt(at + 8, f"the qat preamble at offset {at} declares {length} bytes up to {end}", expected)
    return _Block(at + length, end, count)


def _state_preamble(head: Head, at: int, order: ByteOrder) -> _Block:
    """The second preamble; an empty block where the bytes at hand end before it."""
    if at + _PREAMBLE_BYTES > min(len(head.data), _TOTAL_BYTES):
        return _Block(at, at, 0)
    if head.number(at, 4, order) != _MAGIC or head.number(at + 4, 4, order) > _KNOWN_VERSION:
        expected = f"the magic {_MAGIC:#x} and a version of at most {_KNOWN_VERSION}"
        raise head.corrupt(at, "the qat stream has no second preamble", expected)
    return _preamble(head, at, order)


def _find(head: Head, order: ByteOrder, block: _Block, section: str, leaf: str) -> int | None:
    """The number in a leaf of a section, None if the bytes at hand hold no such leaf."""
    for name, parts in _sections(head, order, block):
        if name == section:
            return next((_value(head, order, at) for name, at in _sections(head, order, parts) if name == leaf), None)
    return None


def _value(head: Head, order: ByteOrder, leaf: _Block) -> int | None:
    width = leaf.end - leaf.start
    if not 1 <= width <= _MAX_LEAF_BYTES or leaf.end > len(head.data):
        return None
    return head.number(leaf.start, width, order)


def _sections(head: Head, order: ByteOrder, block: _Block) -> Iterator[tuple[str, _Block]]:
    at = block.start
    for _ in range(block.count):
        start = at + _SECTION_BYTES
        if start > len(head.data) and start <= block.end:
            return  # the rest is not at hand
        end = start + head.number(at + 8, 4, order)
        if end > block.end:
            what = f"a qat section at offset {at} goes up to {end}, beyond what holds it"
            raise head.corrupt(at, what, f"an end of at most {block.end}")
        name = head.data[at : at + 8].rstrip(b"\0").decode("ascii", "replace")
        yield name, _Block(start, end, head.number(at + 12, 4, order))
        at = end
