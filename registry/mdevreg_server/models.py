"""The PCI ids of parents, which only their records tell: read there, and nothing else of them."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import sqlalchemy as sa

from mdevreg.records import PciIds
from mdevreg_server.among import among
from mdevreg_server.tables import RecordLog

#: Records that are read in one statement.
SOME = 500


class _Ids(msgspec.Struct):
    vendor: str | None = None
    device: str | None = None


class _Parent(msgspec.Struct):
    pci: _Ids | None = None


class _Body(msgspec.Struct):
    parent: _Parent


class _Record(msgspec.Struct):
    """As much of a parent's record as tells its model."""

    body: _Body


_record = msgspec.json.Decoder(_Record)


def ids_at(connection: sa.Connection, positions: list[int]) -> Iterator[tuple[int, PciIds | None]]:
    """The PCI ids in the records at some log positions; ``None``: that document was pruned."""
    for first in range(0, len(positions), SOME):
        some = among(connection, RecordLog.position, positions[first : first + SOME])
        for row in connection.execute(sa.select(RecordLog.position, RecordLog.body).where(some)):
            yield row.position, _ids_in(row.body)


def _ids_in(body: bytes) -> PciIds | None:
    if not body:
        return None
    found = _record.decode(body).body.parent.pci or _Ids()
    return PciIds(vendor=found.vendor, device=found.device)
