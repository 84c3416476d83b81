"""Derives projections from the log again: the same work as when its records came."""

from __future__ import annotations

from collections.abc import Mapping

import sqlalchemy as sa

from mdevreg.errors import DecodeError, StateError
from mdevreg.state import HostFold
from mdevreg.wire import Decoded
from mdevreg_server.amendments import NOBODY
from mdevreg_server.batch import Batch, Memory
from mdevreg_server.messages import Message, read
from mdevreg_server.tables import HostBase, RecordLog


class Replay(Batch):
    """The same work over records that are in the log already: positions are theirs, the log is not written.

    ``clocks``: the log's clock by position.
    """

    def __init__(self, memory: Memory, clocks: Mapping[int, int]) -> None:
        super().__init__(memory, 0)
        self._clocks = clocks

    def _received(self, message: Message, fold: HostFold) -> int:
        return max(message.received_at_us, fold.received_at)

    def _append(self, message: Message, decoded: Decoded, received_at_us: int) -> int:  # noqa: ARG002  (the log has them)
        self.memory.position = message.stream_seq
        self.records.append(decoded)
        return message.stream_seq

    def _disputed(self, connection: sa.Connection, hosts: list[str]) -> dict[str, str]:  # noqa: ARG002  (logged: was undisputed then)
        return {}

    def _greet(self, connection: sa.Connection) -> None:
        """Nobody was heard by replaying."""

    def _one(self, connection: sa.Connection, message: Message, decoded: Decoded) -> None:
        self.now_us = self._clocks[message.stream_seq]
        # What is in the log was applied. One that quarantine had settled before only looks like a duplicate.
        known = self._known[decoded.record.host]
        if known.fold.arrival(decoded.record.epoch, decoded.record.seq) == "next":
            self._next(connection, message, decoded, known)
        else:
            self._place(connection, message, decoded)


def replay_some(connection: sa.Connection, memory: Memory, first: int, last: int) -> int:
    """Replay the records between two log positions, both included, that come after their host's base; how many.

    Raises ``StateError`` for one that can't be read.
    """
    clocks = _clocks(connection, memory, first, last)
    columns = (RecordLog.host, RecordLog.body, RecordLog.position, RecordLog.received_at_us)
    whole = sa.outerjoin(RecordLog, HostBase, HostBase.host == RecordLog.host)
    later = RecordLog.position > sa.func.coalesce(HostBase.position, 0)
    records = (RecordLog.position.between(first, last), RecordLog.host != NOBODY, later)
    wanted = sa.select(*columns).select_from(whole).where(*records).order_by(RecordLog.position)
    messages = [
        Message(f"log.{row.host}", row.body, row.position, row.received_at_us) for row in connection.execute(wanted)
    ]
    Replay(memory, clocks).run(connection, [(message, _logged(message)) for message in messages])
    memory.hosts.trim()
    return len(messages)


def _clocks(connection: sa.Connection, memory: Memory, first: int, last: int) -> dict[int, int]:
    """The log's clock at each position: that of older programs went back sometimes."""
    wanted = sa.select(RecordLog.position, RecordLog.committed_at_us).where(RecordLog.position.between(first, last))
    clocks: dict[int, int] = {}
    for row in connection.execute(wanted.order_by(RecordLog.position)):
        memory.clock_us = clocks[row.position] = max(memory.clock_us, row.committed_at_us)
    return clocks


def _logged(message: Message) -> Decoded:
    """A record of the log: it was readable once, so that one which is not means the wrong program."""
    found = read(message)
    if isinstance(found, DecodeError):
        text = f"position {message.stream_seq} of the log can't be read by this program: {found}; nothing was changed"
        raise StateError(text, code="LOG_UNREADABLE") from found
    return found
