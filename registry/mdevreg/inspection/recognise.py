"""Which family wrote a stream: those with a magic are asked first, those by plausibility last."""

from __future__ import annotations

from typing import Protocol

from mdevreg.errors import StreamError, UsageError
from mdevreg.inspection.chain import read_mlx5, read_records, read_virtio
from mdevreg.inspection.device_version import read_device_version
from mdevreg.inspection.head import Head
from mdevreg.inspection.hisi_acc import read_hisi_acc
from mdevreg.inspection.inspected import Inspected
from mdevreg.inspection.mtty import read_mtty
from mdevreg.inspection.qat import read_qat
from mdevreg.inspection.xe import read_xe


class _Reader(Protocol):
    def __call__(self, head: Head, *, sure: bool) -> Inspected | None: ...


_READERS: dict[str, _Reader] = {
    "mtty": read_mtty,
    "hisi_acc": read_hisi_acc,
    "qat": read_qat,
    "xe": read_xe,
    "mlx5": read_mlx5,
    "virtio": read_virtio,
    "records": read_records,
    "device-version": read_device_version,
}


def known_formats() -> tuple[str, ...]:
    """Every format that can be named as ``expected``, in the order in which they are tried."""
    return tuple(name for name in _READERS if name != "records")


def inspect(head: bytes, *, size: int | None = None, complete: bool = True, expected: str | None = None) -> Inspected:
    """Say what a stream is by its first bytes; more than ``MAX_HEAD_BYTES`` of them are not looked at.

    ``size`` is the whole stream's, in bytes. Without it ``complete`` says whether ``head`` is the whole stream; if
    neither is known, its length is not checked. ``expected`` names the format that it must have, which settles
    between formats that look alike. Raises ``StreamError``: STREAM_EMPTY, STREAM_NOT_RECOGNISED, STREAM_TRUNCATED,
    STREAM_CORRUPT; ``UsageError`` for an ``expected`` that is none of ``known_formats()``.
    """
    if expected is not None and expected not in known_formats():
        known = ", ".join(known_formats())
        raise UsageError(f"{expected!r} is no format that can be inspected; expected one of: {known}")
    whole = Head.of(head, size, complete=complete)
    if not whole.data:
        raise StreamError("the stream is empty: found 0 bytes, expected a header; save it again", code="STREAM_EMPTY")
    found = _expected(whole, expected) if expected else _first(whole)
    if found is None:
        raise _not_recognised(whole, expected)
    return found


def _first(head: Head) -> Inspected | None:
    return next((found for read in _READERS.values() if (found := read(head, sure=False))), None)


def _reads_as(head: Head) -> str | None:
    """The format that the stream has if nobody expects one; None too if it has none without fault."""
    try:
        found = _first(head)
    except StreamError:
        return None
    return found.format if found else None


def _expected(head: Head, name: str) -> Inspected | None:
    """A fault in a format without a magic is no fault where the stream is plainly of another format."""
    try:
        return _READERS[name](head, sure=True)
    except StreamError:
        if _reads_as(head) in {None, "records"}:
            raise
        return None


def _not_recognised(head: Head, expected: str | None) -> StreamError:
    if expected is None:
        wanted, way_out = f"the header of one of: {', '.join(known_formats())}", "name its format if you know it"
    else:
        wanted, way_out = f"the header of {expected}", f"it reads as {_reads_as(head) or 'no other format'}"
    return StreamError(
        f"the stream is not recognised: found {head.shown()}, expected {wanted}; {way_out}",
        code="STREAM_NOT_RECOGNISED",
    )
