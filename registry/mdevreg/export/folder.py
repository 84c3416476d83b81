"""Exports a period into a folder: file by file, the manifest last. A folder without one is unfinished."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from importlib.metadata import version
from itertools import chain
from pathlib import Path

import msgspec

from mdevreg.errors import StateError, UsageError
from mdevreg.export.columns import LOG, TABLES, Row, Table, log_row, timeline_rows
from mdevreg.export.files import Format, JsonLines, TableFile, measured
from mdevreg.export.manifest import FORMAT, NAME, Asked, FileMade, Manifest, decoded, encoded
from mdevreg.export.parquet import Parquet, library
from mdevreg.logged import LogAsked, TimelineAsked
from mdevreg.query.door import Door
from mdevreg.query.log import log_pages, timeline_pages, whole_entries

_WRITERS: dict[Format, type[JsonLines | Parquet]] = {"jsonl": JsonLines, "parquet": Parquet}


class Period(msgspec.Struct, frozen=True):
    """What is exported: each end a time (committed then), a log position, or open (``None``).

    ``first`` and ``last``: positions, both included; ``since`` is included, ``until`` is not. ``known_at``: as of
    which position, or time, timelines are told, ``None``: the last position of the period.
    """

    since: datetime | None = None
    until: datetime | None = None
    first: int | None = None
    last: int | None = None
    known_at: int | datetime | None = None

    @property
    def asked(self) -> Asked:
        """Both ends in words."""
        return Asked(_end(self.since, self.first), _end(self.until, self.last))


def export(
    door: Door, period: Period, folder: Path, formats: Sequence[Format], *, registry: str, now: datetime
) -> Manifest:
    """Write a period of the log, and the timelines of it, into a folder that is not there yet, or empty.

    ``registry``: its URL, without credentials. Memory does not grow with the period. The same period is the same
    bytes, the manifest's ``made_at`` aside. Raises ``StateError`` (EXPORT_EXISTS), ``UsageError`` for
    positions that are yet to come, ``MissingExtraError``.
    """
    if "parquet" in formats:
        library()
    _refuse_backwards(period)
    pages = log_pages(door, LogAsked((period.first or 1) - 1, period.last, period.since, period.until))
    opening = next(pages)
    if opening.last == 0:
        raise UsageError("nothing was recorded by the end of that period: the log begins later", code="BEFORE_HISTORY")
    _refuse_later(period, opening.position)
    _make(folder)
    entries = whole_entries(chain([opening], pages))
    files = _written(folder, LOG, formats, map(log_row, entries))
    known_at = opening.last if period.known_at is None else _position(door, period.known_at)
    files += _timelines(door, period, folder, formats, known_at)
    manifest = Manifest(
        format=FORMAT,
        registry=registry,
        asked=period.asked,
        first_position=opening.first,
        last_position=opening.last,
        known_at=known_at,
        files=tuple(files),
        made_at=now,
        checkpoint=opening.checkpoint,
        made_by=f"mdevreg {version('mdevreg')}",
    )
    _finish(folder, encoded(manifest))
    return manifest


def faults_of(folder: Path) -> tuple[Manifest, tuple[str, ...]]:
    """The manifest of an export, and one sentence for each file that is not as it says.

    Raises ``StateError`` (EXPORT_UNFINISHED) where there is no manifest, ``DecodeError`` (MANIFEST).
    """
    try:
        manifest = decoded((folder / NAME).read_bytes())
    except (FileNotFoundError, NotADirectoryError) as error:
        text = f"there is no {NAME} in {folder}: no export, or an unfinished one; remove it and export again"
        raise StateError(text, code="EXPORT_UNFINISHED") from error
    except OSError as error:
        raise StateError(f"can't read {folder / NAME}: {error}") from error
    known = {file.name for file in manifest.files} | {NAME}
    strange = sorted(path.name for path in folder.iterdir() if path.name not in known)
    faults = [fault for file in manifest.files if (fault := _fault(folder, file))]
    return manifest, (*faults, *(f"{name} is no file of this export" for name in strange))


def _fault(folder: Path, file: FileMade) -> str | None:
    try:
        size, sha256 = measured(folder / file.name)
    except OSError as error:
        return f"{file.name} can't be read: {error.strerror or error}"
    if size != file.bytes:
        return f"{file.name} has {size} bytes, not {file.bytes}"
    return None if sha256 == file.sha256 else f"{file.name} has the SHA-256 {sha256}, not {file.sha256}"


def _timelines(
    door: Door, period: Period, folder: Path, formats: Sequence[Format], known_at: int
) -> Iterator[FileMade]:
    """Every table; of the profiles only those that rows refer to."""
    wanted: set[str] = set()
    for name, table in TABLES.items():
        asked = TimelineAsked(name, period.since, period.until, (period.first or 1) - 1, known_at)
        rows: Iterable[Row] = (row for page in timeline_pages(door, asked) for row in timeline_rows(table, page))
        if name == "profile":
            rows = (row for row in rows if row[0] in wanted)
        elif name in ("offer", "device"):
            place = [column.name for column in table.columns].index("profile")
            rows = _noting(rows, place, wanted)
        yield from _written(folder, table, formats, rows)


def _noting(rows: Iterable[Row], place: int, wanted: set[str]) -> Iterator[Row]:
    for row in rows:
        wanted.add(str(row[place]))
        yield row


def _written(folder: Path, table: Table, formats: Sequence[Format], rows: Iterable[Row]) -> list[FileMade]:
    files: list[TableFile] = [_WRITERS[form](folder, table) for form in formats]
    try:
        for row in rows:
            for file in files:
                file.add(row)
        return [file.close() for file in files]
    except BaseException:
        for file in files:
            file.drop()
        raise


def _refuse_backwards(period: Period) -> None:
    """A period ends after it begins."""
    times = period.since is not None and period.until is not None and period.since >= period.until
    positions = period.first is not None and period.last is not None and period.first > period.last
    if times or positions:
        asked = period.asked
        raise UsageError(f"the period ends before it begins: from {asked.begin} to {asked.end}")


def _refuse_later(period: Period, newest: int) -> None:
    """What is not written yet would be another period each time."""
    for position in (period.first, period.last, period.known_at):
        if isinstance(position, int) and position > newest:
            raise UsageError(f"position {position} is yet to come; the newest of the log is {newest}")


def _position(door: Door, known_at: int | datetime) -> int:
    """The log position at a time: of the last entry that was committed by then."""
    if isinstance(known_at, int):
        return known_at
    return door.entries(LogAsked(until=known_at + timedelta(microseconds=1), limit=1)).last


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        taken = any(folder.iterdir())
    except OSError as error:
        raise StateError(f"can't make the folder {folder}: {error.strerror or error}") from error
    if taken:
        text = f"{folder} is not empty; an export overwrites nothing: name another folder, or remove this one"
        raise StateError(text, code="EXPORT_EXISTS")


def _finish(folder: Path, manifest: bytes) -> None:
    """The manifest appears at once and whole, after everything that it vouches for."""
    partial = folder / f".{NAME}"
    with partial.open("xb") as file:
        file.write(manifest)
        file.flush()
        os.fsync(file.fileno())
    partial.rename(folder / NAME)
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _end(time: datetime | None, position: int | None) -> str | None:
    return f"seq:{position}" if position is not None else time.isoformat() if time is not None else None
