"""hisi_acc_vfio_pci, HiSilicon's accelerators. A match block of 40 bytes in host order; 176 bytes in all.

A queue manager that the guest never started saves its match block only. Layout: Linux 6.12
drivers/vfio/pci/hisilicon/hisi_acc_vfio_pci.h.
"""

from __future__ import annotations

from mdevreg.inspection.head import ByteOrder, Head
from mdevreg.inspection.inspected import Inspected

#: stream number → magic
_MAGICS = {1: 0xCDCD_CDCD_FEED_AACC, 2: 0xAACC_FEED_DECA_DEDE}
_MATCH_BYTES = 40
_TOTAL_BYTES = 176
_MAX_PCI_ID = 0xFFFF
#: name → (offset, format), each of 4 bytes
_FIELDS = {
    "qp_num": (8, "d"),
    "dev_id": (12, "#06x"),
    "que_iso_cfg": (16, "#x"),
    "qp_base": (20, "d"),
    "vf_qm_state": (24, "d"),
}
_V1_DEFECT = (
    "A V1 stream carries wrong DMA addresses of its event queues (EQE, AEQE); a driver that knows V2 repairs them "
    "on load, an older one uses them."
)


def read_hisi_acc(head: Head, *, sure: bool) -> Inspected | None:  # noqa: ARG001  (each family is asked the same way)
    """The stream as hisi_acc's, None if it is not. Raises ``StreamError``."""
    for number, magic in _MAGICS.items():
        order = head.magic_order(magic, 8)
        if order is not None:
            head.need(_MATCH_BYTES, f"the match block of the hisi_acc V{number} stream")
            return _read(head, number, order)
    return None


def _read(head: Head, number: int, order: ByteOrder) -> Inspected:
    if head.number(12, 4, order) > _MAX_PCI_ID:
        raise head.corrupt(12, "dev_id of the hisi_acc stream is no PCI device id", f"at most {_MAX_PCI_ID:#x}")
    fields = {name: format(head.number(offset, 4, order), how) for name, (offset, how) in _FIELDS.items()}
    major = head.number(28, 2, order) if number > 1 else 0
    if number > 1:
        fields["minor"] = str(head.number(30, 2, order))
    return Inspected(
        "hisi_acc",
        "dotted",
        f"{number}.{major}",
        fields=fields,
        byte_order=order,
        size=head.total,
        notes=_notes(head, number, major, fields["vf_qm_state"]),
    )


def _notes(head: Head, number: int, major: int, state: str) -> tuple[str, ...]:
    notes = (_V1_DEFECT,) if number == 1 else ()
    if number > 1 and major != 1:
        return (f"V{number} of major {major} is not known; its fields are read as those of major 1.",)
    if state != "0" and head.total == _MATCH_BYTES:
        return (*notes, "The guest never started the device: the stream is its match block only.")
    head.owe(_TOTAL_BYTES, f"the hisi_acc V{number} stream")
    return notes + head.surplus(_TOTAL_BYTES)
