"""What is believed, folded from what was published of it. One writer; pure but for what it remembers."""

from __future__ import annotations

from mdevreg.errors import DecodeError
from mdevreg.knowledge import NOTHING, Amendment, Knowledge, decode_amendment


class Believing:
    """Amendments by their place in the log. ``knowledge``: all of them folded, in that order."""

    def __init__(self) -> None:
        self._amendments: dict[tuple[int, int], Amendment] = {}
        self._last = (0, 0)
        self.knowledge: Knowledge = NOTHING

    @property
    def position(self) -> int:
        """The log position of the newest one."""
        return self._last[0]

    def tell(self, token: str, data: bytes) -> bool:
        """Take in ``<position>[-<part>]``; empty ``data`` takes it back. Returns whether anything is believed anew.

        Raises ``DecodeError``.
        """
        place = _place(token)
        if not data:
            return self._forgotten(place)
        amendment = decode_amendment(data)
        if self._amendments.get(place) == amendment:
            return False
        in_order = place > self._last
        self._amendments[place] = amendment
        if in_order:
            self._last, self.knowledge = place, self.knowledge.amended([amendment])
        else:
            self._fold()
        return True

    def _forgotten(self, place: tuple[int, int]) -> bool:
        if self._amendments.pop(place, None) is None:
            return False
        self._fold()
        return True

    def _fold(self) -> None:
        places = sorted(self._amendments)
        self._last = places[-1] if places else (0, 0)
        self.knowledge = NOTHING.amended(self._amendments[place] for place in places)


def _place(token: str) -> tuple[int, int]:
    """Position and part."""
    position, _, part = token.partition("-")
    if not position.isascii() or not position.isdecimal() or not (part or "0").isdecimal():
        raise DecodeError(f"{token[:40]!r} is no log position")
    return (int(position), int(part or "0"))
