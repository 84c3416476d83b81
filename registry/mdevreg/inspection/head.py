"""The first bytes of a stream, and how the families read numbers out of them."""

from __future__ import annotations

from typing import Literal

import msgspec

from mdevreg.errors import StreamError

#: So much of a stream is looked at, in bytes; what lies beyond is never needed to recognise one.
MAX_HEAD_BYTES = 65_536
#: So many bytes an error shows.
_SHOWN_BYTES = 16
#: So many bytes of a magic must be there before a cut-off one is taken for it.
_MIN_MAGIC_BYTES = 4

ByteOrder = Literal["little", "big"]
_ORDERS: tuple[ByteOrder, ByteOrder] = ("little", "big")


class Head(msgspec.Struct, frozen=True):
    """The bytes that are at hand, and ``total``: how many the whole stream has, None if nobody knows."""

    data: bytes
    total: int | None

    @classmethod
    def of(cls, data: bytes, size: int | None, *, complete: bool) -> Head:
        """Bounded to ``MAX_HEAD_BYTES``. A ``size`` below the bytes at hand was measured before they were written."""
        total = max(size, len(data)) if size is not None else len(data) if complete else None
        return cls(bytes(data[:MAX_HEAD_BYTES]), total)

    def number(self, offset: int, width: int, order: ByteOrder) -> int:
        """The unsigned number of ``width`` bytes at ``offset``; ask ``need`` first."""
        return int.from_bytes(self.data[offset : offset + width], order)

    def magic_order(self, magic: int, width: int) -> ByteOrder | None:
        """The byte order in which the stream begins with this magic, or with as much of it as there is; None if not."""
        begin = self.data[:width]
        if len(begin) < _MIN_MAGIC_BYTES:
            return None
        return next((order for order in _ORDERS if magic.to_bytes(width, order).startswith(begin)), None)

    def need(self, end: int, what: str) -> None:
        """Raise STREAM_TRUNCATED if the bytes at hand stop before ``end``."""
        if len(self.data) < end:
            raise self._truncated(len(self.data), end, what)

    def owe(self, end: int, what: str) -> None:
        """Raise STREAM_TRUNCATED if the whole stream is known to stop before ``end``."""
        if self.total is not None and self.total < end:
            raise self._truncated(self.total, end, what)

    def surplus(self, end: int) -> tuple[str, ...]:
        """A note if the whole stream is known to go on after ``end``."""
        if self.total is None or self.total <= end:
            return ()
        return (f"{self.total - end} bytes follow the {end} that its header declares; no driver writes them.",)

    def shown(self, offset: int = 0) -> str:
        """The bytes at ``offset`` in hexadecimal, for an error."""
        some = self.data[offset : offset + _SHOWN_BYTES]
        return f"{some.hex(' ')} at offset {offset}" if some else f"nothing at offset {offset}"

    def corrupt(self, offset: int, what: str, expected: str) -> StreamError:
        """The error for a stream whose format is certain and whose content is not possible."""
        return StreamError(
            f"{what}: found {self.shown(offset)}, expected {expected}; save the stream again",
            code="STREAM_CORRUPT",
        )

    def _truncated(self, found: int, end: int, what: str) -> StreamError:
        way_out = f"give at least {end} bytes" if self.total is None else "save or copy the stream again"
        return StreamError(
            f"{what} is cut short: found {found} bytes, expected {end}; "
            f"the stream begins with {self.shown()}; {way_out}",
            code="STREAM_TRUNCATED",
        )
