"""Catalog files for one question: folders of TOML files, read whole or not at all."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from mdevreg.catalog import Entry
from mdevreg.catalog_file import MAX_FILE_CHARS, read_catalog_file
from mdevreg.errors import CatalogError, StateError

#: Most files in a folder.
MAX_FILES = 1_000


def read_folders(folders: Iterable[str]) -> tuple[Entry, ...]:
    """The entries of all ``*.toml`` files there. Raises ``StateError``, or ``CatalogError`` with every fault."""
    entries: dict[str, Entry] = {}
    faults: list[tuple[str, int, str]] = []
    for file in (file for folder in folders for file in _files(Path(folder))):
        try:
            found = read_catalog_file(_text(file), str(file))
        except CatalogError as error:
            faults += error.faults
            continue
        faults += [
            (str(file), 1, f"another file has the id {each.id!r} already") for each in found if each.id in entries
        ]
        entries.update((entry.id, entry) for entry in found)
    if faults:
        raise CatalogError(faults)
    return tuple(entries.values())


def _files(folder: Path) -> list[Path]:
    try:
        found = sorted(file for file in folder.iterdir() if file.suffix == ".toml" and not file.name.startswith("."))
    except OSError as error:
        raise StateError(f"{folder} can't be read: {error.strerror}; expected a folder of *.toml files") from error
    if not found or len(found) > MAX_FILES:
        raise StateError(f"{folder} holds {len(found)} *.toml files; 1 to {MAX_FILES} were expected")
    return found


def _text(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return opened.read(4 * MAX_FILE_CHARS + 1).decode()
    except OSError as error:
        raise StateError(f"{file} can't be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise CatalogError([(str(file), 1, f"no UTF-8: {error.reason} at byte {error.start}")]) from error
