"""mtty, the kernel's sample driver. Header of 24 bytes in host order, then 36 bytes for each port.

Layout: Linux 6.12 samples/vfio-mdev/mtty.c, checked against streams recorded from it.
"""

from __future__ import annotations

from mdevreg.inspection.head import ByteOrder, Head
from mdevreg.inspection.inspected import Inspected

_MAGIC = 0x7E9D_0989_8C3E_2C4E
_HEADER_BYTES = 24
_PORT_BYTES = 36
#: mtty has types of one and two ports; more than this many is no count of ports.
_MAX_PORTS = 64
_USUAL_PORTS = 2


def read_mtty(head: Head, *, sure: bool) -> Inspected | None:  # noqa: ARG001  (each family is asked the same way)
    """The stream as mtty's, None if it is not. Raises ``StreamError``."""
    order = head.magic_order(_MAGIC, 8)
    if order is None:
        return None
    head.need(_HEADER_BYTES, "the mtty header")
    major, minor, ports, flags = (head.number(offset, 4, order) for offset in (8, 12, 16, 20))
    notes = _notes_of_one(head, ports, flags) if major == 1 else (_of_another_major(major),)
    return Inspected(
        "mtty",
        "dotted",
        f"{major}.{minor}",
        fields={"nr_ports": str(ports), "flags": str(flags)},
        byte_order=order,
        size=head.total,
        notes=notes + _of_big_endian(order),
    )


def _notes_of_one(head: Head, ports: int, flags: int) -> tuple[str, ...]:
    if not 1 <= ports <= _MAX_PORTS:
        raise head.corrupt(16, f"the mtty header counts {ports} ports", f"1 to {_MAX_PORTS}")
    end = _HEADER_BYTES + _PORT_BYTES * ports
    head.owe(end, f"the mtty stream of {ports} port{'s' if ports > 1 else ''}")
    notes = head.surplus(end)
    if ports > _USUAL_PORTS:
        notes += (f"{ports} ports: the kernel's mtty has types of one and two ports only.",)
    if flags:
        notes += (f"flags are {flags:#x}: mtty of version 1.0 loads flags 0 only.",)
    return notes


def _of_another_major(major: int) -> str:
    return f"mtty of major {major} is not known; its fields are read as those of major 1, its length is not checked."


def _of_big_endian(order: ByteOrder) -> tuple[str, ...]:
    if order == "little":
        return ()
    return ("Saved by a big-endian host; a driver on a little-endian host does not find its magic.",)
