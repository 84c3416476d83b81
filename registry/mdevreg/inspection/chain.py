"""mlx5_vfio_pci and virtio_vfio_pci: a chain of records, each with a header of 16 bytes, always little-endian.

The header holds the payload's size, flags (bit 0: a driver may skip the record) and a tag. There is no magic and no
version. Layout: Linux 6.12 drivers/vfio/pci/mlx5/cmd.h and 6.13 drivers/vfio/pci/virtio.
"""

from __future__ import annotations

import msgspec

from mdevreg.inspection.head import Head
from mdevreg.inspection.inspected import Inspected

_HEADER_BYTES = 16
#: Longest payload that is believed, in bytes: a device's memory, not a random number.
_MAX_RECORD_BYTES = 1 << 40
#: Tags count from 0; far higher ones are no tags.
_MAX_TAG = 255
_OPTIONAL = 1
#: Other files begin with a name of at least so many characters and zeros, which reads like a size.
_MIN_NAME_CHARS = 4
_NAMES = {"mlx5": {0: "FW_DATA", 1: "STOP_COPY_SIZE"}, "virtio": {0: "DEVICE_DATA"}}
_EITHER = "mlx5 or virtio"
_AMBIGUOUS = "mlx5 and virtio write the same record header; name the format to settle which of them it is."


class _Record(msgspec.Struct, frozen=True):
    """One header: where it stands, and what it says."""

    at: int
    size: int
    flags: int
    tag: int

    @property
    def end(self) -> int:
        """Offset after the payload."""
        return self.at + _HEADER_BYTES + self.size

    @property
    def possible(self) -> bool:
        """Whether this can be a header at all. Tag 0 is the device's state: never empty at first, never optional."""
        if self.size > _MAX_RECORD_BYTES or self.flags not in (0, _OPTIONAL) or self.tag > _MAX_TAG:
            return False
        return not (self.at == 0 and self.size == 0) and not (self.tag == 0 and self.flags)

    @property
    def stop_copy_size(self) -> bool:
        """Whether this is mlx5's announcement of the size to come, which nobody else writes."""
        return (self.size, self.flags, self.tag) == (8, _OPTIONAL, 1)


def read_mlx5(head: Head, *, sure: bool) -> Inspected | None:
    """The stream as mlx5's. Unless somebody is ``sure``, only if it announces a STOP_COPY_SIZE."""
    records = _chain(head, sure=sure, name="mlx5" if sure else _EITHER)
    if not records or not (sure or any(record.stop_copy_size for record in records)):
        return None
    return _inspected(head, "mlx5", records)


def read_virtio(head: Head, *, sure: bool) -> Inspected | None:
    """The stream as virtio's: only if somebody is ``sure``, for nothing in it says so."""
    if not sure:
        return None
    records = _chain(head, sure=True, name="virtio")
    if any(record.stop_copy_size for record in records):
        return None
    return _inspected(head, "virtio", records) if records else None


def read_records(head: Head, *, sure: bool) -> Inspected | None:  # noqa: ARG001  (each family is asked the same way)
    """The stream as a chain of records of either driver, None if it is not."""
    records = _chain(head, sure=False, name=_EITHER)
    return _inspected(head, "records", records, _AMBIGUOUS) if records else None


def _chain(head: Head, *, sure: bool, name: str) -> list[_Record]:
    """Every header that the bytes at hand reach; none if they are not believed.

    One impossible header after others is a fault where the format is certain, and a sign of other bytes where not.
    """
    records: list[_Record] = []
    at = 0
    while at + _HEADER_BYTES <= len(head.data):
        record = _Record(
            at, head.number(at, 8, "little"), head.number(at + 8, 4, "little"), head.number(at + 12, 4, "little")
        )
        if not record.possible:
            if records and (sure or records[0].stop_copy_size):
                raise head.corrupt(at, f"no {name} record follows", "its size, flags 0 or 1 and a tag up to 255")
            return []
        records.append(record)
        at = record.end
    return _checked(head, records, sure=sure, name=name)


def _checked(head: Head, records: list[_Record], *, sure: bool, name: str) -> list[_Record]:
    if sure and head.number(0, 8, "little") <= _MAX_RECORD_BYTES:
        head.need(_HEADER_BYTES, f"the {name} record header")
    if not records:
        return []
    # By the first record alone a short payload is no sign of truncation, but of something else than records.
    known = sure or records[0].stop_copy_size
    if not known and not _believed(head, records[0]):
        return []
    end = records[-1].end
    head.owe(end, f"the {name} record at offset {records[-1].at}")
    if head.total is not None and end < head.total and end + _HEADER_BYTES > head.total:
        head.owe(end + _HEADER_BYTES, f"the {name} record header at offset {end}")
    return records


def _believed(head: Head, first: _Record) -> bool:
    """Whether a chain may begin so: with the device's state, within the stream or, if nobody knows its end, no name."""
    if head.total is not None:
        return first.tag == 0 and first.end <= head.total
    begin = head.data[:8].rstrip(b"\0")
    return first.tag == 0 and not (len(begin) >= _MIN_NAME_CHARS and begin.isascii() and begin.decode().isprintable())


def _inspected(head: Head, name: str, records: list[_Record], *notes: str) -> Inspected:
    names = _NAMES.get(name, {})
    mandatory, optional = (
        tuple(dict.fromkeys(names.get(record.tag, str(record.tag)) for record in records if record.flags == flags))
        for flags in (0, _OPTIONAL)
    )
    if records[-1].end != head.total:
        notes += (f"Only the records that begin in the first {len(head.data)} bytes were read.",)
    return Inspected(name, "tag", None, tags=mandatory, optional_tags=optional, size=head.total, notes=notes)
