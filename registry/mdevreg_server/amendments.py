"""The registry's own entries in the log: catalog entries and rules (ADR 6). Read here, written by the ledger.

They have no host (an empty one, which no agent can have) and are counted by ``seq``.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import msgspec
import sqlalchemy as sa

from mdevreg.errors import DecodeError, StateError, UsageError
from mdevreg.knowledge import NOTHING, Amendment, Knowledge, decode_amendment, encode_amendment
from mdevreg.texts import Place, forbidden_in, path_of, texts_of
from mdevreg_server.tables import RecordLog

T = TypeVar("T")

#: ``record_log.host`` of an amendment.
NOBODY = ""
#: How many moments' beliefs are kept: now, and some of the past that are asked about.
KEPT = 8
#: The amendments of the log.
MINE = (RecordLog.host == NOBODY, RecordLog.epoch == NOBODY)

#: The columns of ``record_log``, in their order.
Row = tuple[Any, ...]
#: Makes an entry of the registry's own, told its position and time (µs UTC): it, and its row.
Writing = Callable[[sa.Connection, int, int], tuple[T, Row]]
#: Position and digest of an amendment: the same position of another copy's history is another one.
_Mark = tuple[int, str]
_NONE: _Mark = (0, "")


class Beliefs:
    """What was believed at log positions, each folded once. Usable from any thread."""

    def __init__(self) -> None:
        self._known: OrderedDict[_Mark, Knowledge] = OrderedDict()
        self._lock = threading.Lock()

    def at(self, connection: sa.Connection, known_at: int) -> Knowledge:
        """What was believed at a log position. Raises ``StateError`` for an amendment of a newer program."""
        newest = _newest(connection, known_at)
        with self._lock:
            kept = dict(self._known)
        found = kept.get(newest)
        if found is None:
            base = _standing(connection, kept, newest)
            found = kept.get(base, NOTHING).amended(_read(connection, base[0], newest[0]))
        with self._lock:
            self._known[newest] = found
            self._known.move_to_end(newest)
            while len(self._known) > KEPT:
                self._known.popitem(last=False)
        return found

    def forget(self) -> None:
        """Believe the database anew."""
        with self._lock:
            self._known.clear()


def encoded(amendment: Amendment) -> bytes:
    """An amendment as it is logged, and can be read again: what can't be would stop every later reader.

    Raises ``UsageError``.
    """
    try:
        data = encode_amendment(amendment)
        decode_amendment(data)
    except (UnicodeEncodeError, DecodeError) as error:
        raise UsageError(f"this can't be kept: {error}", code="AMENDMENT") from error
    for place, text in texts_of(msgspec.json.decode(data)):
        wrong = forbidden_in(text, several_lines=_several_lines(place))
        if wrong is not None:
            told = f"the control character U+{ord(wrong):04X} is in {path_of(place)}: {text[:40]!r}"
            raise UsageError(told, code="CONTROL_CHARACTER")
    return data


def unreadable(connection: sa.Connection) -> Iterator[str]:
    """One sentence per amendment that can't be read."""
    for position, body in connection.execute(sa.select(RecordLog.position, RecordLog.body).where(*MINE)):
        try:
            decoded(position, body)
        except StateError as error:
            yield error.message


def _newest(connection: sa.Connection, known_at: int) -> _Mark:
    """The last amendment up to a position; they are counted, so that the log's key finds it."""
    wanted = sa.select(RecordLog.position, RecordLog.sha256).where(*MINE, RecordLog.position <= known_at)
    row = connection.execute(wanted.order_by(RecordLog.seq.desc()).limit(1)).one_or_none()
    return (row.position, row.sha256) if row else _NONE


def _standing(connection: sa.Connection, kept: Iterable[_Mark], newest: _Mark) -> _Mark:
    """The last of the kept marks before ``newest`` that the log still has: an older copy may have taken its place."""
    earlier = [position for position, _ in kept if position < newest[0]]
    wanted = sa.select(RecordLog.position, RecordLog.sha256).where(*MINE, RecordLog.position.in_(earlier))
    there = {(row.position, row.sha256) for row in connection.execute(wanted)} if earlier else set()
    return max(there.intersection(kept), default=_NONE)


def _read(connection: sa.Connection, after: int, upto: int) -> list[Amendment]:
    wanted = sa.select(RecordLog.position, RecordLog.body)
    between = wanted.where(*MINE, RecordLog.position > after, RecordLog.position <= upto)
    return [decoded(row.position, row.body) for row in connection.execute(between.order_by(RecordLog.seq))]


def decoded(position: int, body: bytes) -> Amendment:
    """A logged amendment. Raises ``StateError`` for one of a newer program."""
    try:
        return decode_amendment(body)
    except DecodeError as error:
        text = f"position {position} of the log can't be read by this program: {error}; upgrade it"
        raise StateError(text, code="LOG_UNREADABLE") from error


def _several_lines(place: Place) -> bool:
    """What an entry is about, by its place: mappings may have any keys."""
    match place:
        case ("change", "put", int(), "about"):
            return True
    return False
