"""What tamper evidence costs: verifying a log, keeping its tree, proving; against bare SHA-256 over the same bytes."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from bench_records import backlog
from rounds import FLOOR, OURS, Cell, Table

from mdevreg.audit.leaves import leaf_of
from mdevreg.signing import new_key
from mdevreg.wire import decode
from mdevreg_server import schema
from mdevreg_server.audit.auditor import SqlAuditor
from mdevreg_server.audit.checkpoints import issue_whole
from mdevreg_server.audit.tree import LOT, integrate
from mdevreg_server.batch import LOG
from mdevreg_server.engine import open_engine
from mdevreg_server.tables import LogTile, RecordLog, StreamPosition

Row = tuple[Any, ...]
_LOT = 5_000
_PROOFS = 200


def report(folder: Path, *, rounds: int, rows: int) -> list[Table]:
    """Measure over a SQLite log of so many rows."""
    url = f"sqlite:///{folder / 'audit.sqlite3'}"
    writer, table = open_engine(url, writer=True, create=True), Table(f"Audit of a log of {rows:,} records")
    schema.upgrade(writer)
    made = _records()
    _fill(writer, made, rows)
    started = time.perf_counter()
    while integrate(writer) == LOT:
        pass
    took_s = time.perf_counter() - started
    key = new_key("bench")
    issue_whole(writer, key, None, now_us=0)
    reader = open_engine(url, writer=False)
    auditor = SqlAuditor(reader)

    def verify() -> float:
        began = time.perf_counter()
        found = auditor.verify(keys=[key.public], log_only=True)
        assert (found.findings, found.vouched_size) == ((), rows)
        return time.perf_counter() - began

    def prove() -> float:
        began = time.perf_counter()
        for number in range(_PROOFS):
            auditor.prove(1 + number * (rows // _PROOFS))
        return (time.perf_counter() - began) / _PROOFS

    cells = [
        Cell(("verify the log",), FLOOR, lambda: _hashed(made, rows)),
        Cell(("verify the log",), OURS, verify),
        Cell(("prove a record",), OURS, prove),
        Cell(("prove that it only grew",), OURS, lambda: _consistency(auditor, rows)),
    ]
    table.measure(cells, rounds)
    table.notes += [
        f"Into the tree: {took_s / rows * 1e6:.1f} µs a record, in lots of {LOT}. {_storage(writer, rows)}",
        "The floor is SHA-256 over each leaf and body, both in memory; ours reads them from SQLite.",
    ]
    table.show()
    reader.dispose()
    writer.dispose()
    return [table]


def _records() -> list[Row]:
    """Rows of real records, but for position and host."""
    made = []
    for _, data in backlog(10_000):
        record = decode(data).record
        kind = str(record.body.__struct_config__.tag)
        made.append((record.epoch, record.seq, kind, hashlib.sha256(data).hexdigest(), data, record.host))
    return made


def _rows(made: list[Row], count: int) -> Iterator[Row]:
    for position in range(1, count + 1):
        lap, at = divmod(position - 1, len(made))
        epoch, seq, kind, sha256, data, host = made[at]
        at_us = 1_700_000_000_000_000 + position
        yield (position, f"{host}-{lap}", epoch, seq, kind, sha256, at_us, at_us, at_us, data)


def _fill(engine: sa.Engine, made: list[Row], count: int) -> None:
    rows = _rows(made, count)
    with engine.begin() as connection:
        while lot := list(islice(rows, _LOT)):
            LOG.insert(connection, lot)
        mark = {"stream": "MDEVREG_RECORDS", "created": "", "stream_seq": count, "position": count}
        connection.execute(sa.insert(StreamPosition), mark)


def _hashed(made: list[Row], count: int) -> float:
    """Seconds for the hashes alone."""
    taken = 0.0
    rows = _rows(made, count)
    while lot := [(leaf_of(row[:9]), row[9]) for row in islice(rows, _LOT)]:
        began = time.perf_counter()
        for leaf, body in lot:
            hashlib.sha256(leaf).digest()
            hashlib.sha256(body).digest()
        taken += time.perf_counter() - began
    return taken


def _consistency(auditor: SqlAuditor, rows: int) -> float:
    began = time.perf_counter()
    for number in range(1, _PROOFS + 1):
        assert auditor.consistency(number * (rows // _PROOFS), rows).consistent
    return (time.perf_counter() - began) / _PROOFS


def _storage(engine: sa.Engine, rows: int) -> str:
    with engine.connect() as connection:
        tiles = connection.scalar(sa.select(sa.func.sum(sa.func.length(LogTile.hashes)))) or 0
        count = connection.scalar(sa.select(sa.func.count()).select_from(LogTile))
        bodies = connection.scalar(sa.select(sa.func.sum(sa.func.length(RecordLog.body)))) or 0
    return f"Tiles: {tiles / rows:.1f} bytes a record in {count} rows, beside bodies of {bodies / rows:,.0f} bytes."
