"""Writes the rows of one table into a Parquet file, in row groups of bounded size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mdevreg.errors import MissingExtraError
from mdevreg.export.columns import Row, Table
from mdevreg.export.files import made
from mdevreg.export.manifest import FileMade

#: A row group ends at so many rows, or characters of text: by what is in it alone, so that files are reproducible.
GROUP_ROWS, GROUP_CHARS = 20_000, 16_000_000


def library() -> tuple[Any, Any]:
    """``pyarrow`` and its ``parquet``. Raises ``MissingExtraError`` without."""
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ModuleNotFoundError as error:
        raise MissingExtraError("the format parquet", "parquet") from error
    return pa, parquet


class Parquet:
    """Times are microseconds UTC. Raises ``MissingExtraError`` without pyarrow."""

    def __init__(self, folder: Path, table: Table) -> None:
        self._arrow, parquet = library()
        self._path, self._table = folder / f"{table.name}.parquet", table
        times, texts, counts = self._arrow.timestamp("us", tz="UTC"), self._arrow.string(), self._arrow.int64()
        kinds = {"text": texts, "count": counts, "time": times}
        self._schema = self._arrow.schema([(column.name, kinds[column.kind]) for column in table.columns])
        self._writer: Any = parquet.ParquetWriter(self._path, self._schema, compression="zstd")
        self._waiting: list[Row] = []
        self._chars = self._rows = 0

    def add(self, row: Row) -> None:
        """One more row."""
        self._waiting.append(row)
        self._rows += 1
        self._chars += sum(len(cell) for cell in row if isinstance(cell, str))
        if len(self._waiting) >= GROUP_ROWS or self._chars >= GROUP_CHARS:
            self._flush()

    def close(self) -> FileMade:
        """Finish it."""
        self._flush()
        self._writer.close()
        return made(self._path, self._table, "parquet", self._rows)

    def drop(self) -> None:
        """Let go of it unfinished."""
        self._writer.close()

    def _flush(self) -> None:
        if self._waiting:
            columns = [
                self._arrow.array(cells, type=field.type)
                for cells, field in zip(zip(*self._waiting, strict=True), self._schema, strict=True)
            ]
            self._writer.write_table(self._arrow.table(columns, schema=self._schema))
        self._waiting.clear()
        self._chars = 0
