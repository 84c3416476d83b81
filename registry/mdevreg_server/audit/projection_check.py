"""Every projection against the log: derived again in a scratch database, and compared row by row.

The log of one snapshot is copied there and rebuilt by the ledger itself; both sides are then read in key order.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from mdevreg.audit.findings import Finding, Findings
from mdevreg.errors import DecodeError, StateError
from mdevreg.texts import printable
from mdevreg_server.audit.rows import FETCHED, binary, snapshot, streamed
from mdevreg_server.bulk import Bulk
from mdevreg_server.engine import open_engine
from mdevreg_server.ledger import Ledger
from mdevreg_server.tables import PROJECTIONS, Base, HostBase, Quarantine, RecordLog, table_of

#: What a rebuild reads, the log first.
SOURCES = (RecordLog, Quarantine)
Key = tuple[Any, ...]
#: What a rebuild says of a log, and of the pruned part of projections, that somebody has changed.
_TAMPERED = ("LOG_UNREADABLE", "FROZEN_DAMAGED")
#: So many characters of a value are shown.
SHOWN = 80


def check_projections(connection: sa.Connection, findings: Findings, *, pruned: bool) -> dict[str, int]:
    """Compare them all. ``pruned``: the log says that bodies may be gone. Returns the rows of each table.

    Needs as much room for temporary files as the log has.
    """
    with tempfile.TemporaryDirectory(prefix="mdevreg-audit-") as folder:
        engine = open_engine(f"sqlite:///{Path(folder) / 'derived.sqlite3'}", writer=True, create=True)
        try:
            if not _derived(connection, engine, findings, pruned=pruned):
                return {}
            with snapshot(engine) as derived:
                tables = [table_of(table) for table in PROJECTIONS]
                return {str(table.name): _compare(connection, derived, table, findings) for table in tables}
        finally:
            engine.dispose()


def _derived(connection: sa.Connection, engine: sa.Engine, findings: Findings, *, pruned: bool) -> bool:
    """Derive; a log that was tampered with may make that impossible, in any way, and that is a finding."""
    try:
        _derive(connection, engine, pruned=pruned)
    except Exception as error:
        code = error.code if isinstance(error, StateError) and error.code in _TAMPERED else "LOG_UNREADABLE"
        if not findings.counts and not isinstance(error, DecodeError) and getattr(error, "code", "") != code:
            raise
        text = f"projections can't be derived from this log, nor compared: {printable(str(error))[:300]}"
        findings.add(Finding(code, text, "record_log"))
        return False
    return True


def _derive(connection: sa.Connection, engine: sa.Engine, *, pruned: bool) -> None:
    with engine.begin() as scratch:
        Base.metadata.create_all(scratch)
        # Where records were pruned a rebuild begins with what the rows were then: the log vouches for their digest.
        for source in (*SOURCES, *((HostBase, *PROJECTIONS) if pruned else ())):
            _copy(connection, scratch, table_of(source))
    Ledger(engine).rebuild()


def _copy(connection: sa.Connection, scratch: sa.Connection, table: sa.Table) -> None:
    bulk, rows = Bulk(table), streamed(connection, sa.select(*table.columns))
    lot: list[tuple[Any, ...]] = []
    for row in rows:
        lot.append(tuple(row))
        if len(lot) == FETCHED:
            bulk.insert(scratch, lot)
            lot = []
    if lot:
        bulk.insert(scratch, lot)


def _compare(connection: sa.Connection, derived: sa.Connection, table: sa.Table, findings: Findings) -> int:
    """Merge both sides by key. Returns how many rows the database has."""
    found, wanted = _Side(connection, table), _Side(derived, table)
    while found.key is not None or wanted.key is not None:
        if wanted.key is None or (found.key is not None and _order(found.key) < _order(wanted.key)):
            text = "is not what the log says: there is no such row in it"
            findings.add(finding_of("PROJECTION_INSERTED", table, found.key, text))
            found.advance()
        elif found.key is None or _order(wanted.key) < _order(found.key):
            findings.add(
                finding_of("PROJECTION_MISSING", table, wanted.key, "is gone, and the log says that it is there")
            )
            wanted.advance()
        else:
            for name, one, other in zip(table.columns.keys(), found.row, wanted.row, strict=True):
                if one != other:
                    text = f"has {_shown(one)}, the log says {_shown(other)}"
                    findings.add(finding_of("PROJECTION_CHANGED", table, found.key, text, str(name)))
            found.advance()
            wanted.advance()
    return found.count


class _Side:
    """One side of a comparison, at a row; ``key`` is ``None`` at its end."""

    def __init__(self, connection: sa.Connection, table: sa.Table) -> None:
        key = list(table.primary_key)
        self._places = [list(table.columns).index(column) for column in key]
        ordered = sa.select(*table.columns).order_by(*(binary(connection, column) for column in key))
        self._rows: Iterator[Any] = streamed(connection, ordered)
        self.count = -1
        self.row: Any = None
        self.key: Key | None = ()
        self.advance()

    def advance(self) -> None:
        """To the next row."""
        self.row = next(self._rows, None)
        self.key = None if self.row is None else tuple(self.row[place] for place in self._places)
        self.count += 1


def _order(key: Key | None) -> list[tuple[int, Any]]:
    """As SQLite orders what it was given, of whatever type."""
    rank = {int: 1, float: 1, str: 2, bytes: 3}
    return [(rank.get(type(part), 0), b"" if part is None else _plain(part)) for part in key or ()]


def _plain(part: Any) -> Any:
    return part.encode("utf-8", "surrogateescape") if isinstance(part, str) else part


def finding_of(code: str, table: sa.Table, key: Key | None, text: str, column: str | None = None) -> Finding:
    """Of one row."""
    names = [each.name for each in table.primary_key]
    shown = " ".join(f"{name}={printable(str(value))}" for name, value in zip(names, key or (), strict=False))
    where = f"{table.name}, {shown}" + (f", column {column}" if column else "")
    return Finding(code, f"{where}: {text}", str(table.name), key=shown, column=column)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
