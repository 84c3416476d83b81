"""Catalog files: TOML text to entries, with every fault named by file and line. Pure: text in, entries out.

One file per driver::

    drivers = ["qat_vfio_pci"]            # for every entry that names none itself

    [[entry]]
    id = "qat-1"
    source = "linux 6.12.117 drivers/crypto/intel/qat/qat_common/adf_mstate_mgr.c"
    date = 2026-11-24
    confidence = "source"
    builds = [{ from = "6.10.0", before = "6.13.0" }]
    format = "qat"
    saves = "1"
    loads = { up_to = "1" }

The fields: ``mdevreg.catalog.Entry`` and ``mdevreg.statements.Statement``.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from datetime import date
from typing import Any

import msgspec

from mdevreg.catalog import BuildKey, Entry, release_of
from mdevreg.errors import CatalogError, VersionError
from mdevreg.places import known_place
from mdevreg.streams import read_set
from mdevreg.texts import forbidden_in, texts_of

#: Largest accepted file; a driver's needs a few KiB.
MAX_FILE_CHARS = 1_000_000
_KEYS = frozenset({"drivers", "about", "entry"})
_AT_LINE = re.compile(r" \(at line (\d+), column (\d+)\)\Z")
_AT_PATH = re.compile(r" - at `\$(.*)`\Z")
_UNKNOWN = re.compile(r"unknown field `([^`]*)`")
#: What begins an entry. A text of several lines may hold it too.
_HEADER = re.compile(r"[ \t]*\[\[[ \t]*entry[ \t]*\]\]")
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]")

Path = tuple[str | int, ...]


def read_catalog_file(text: str, name: str) -> tuple[Entry, ...]:
    """The entries of one file. Raises ``CatalogError`` with all faults that can be told apart, by line."""
    if len(text) > MAX_FILE_CHARS:
        raise CatalogError([(name, 1, f"the file has {len(text)} characters; at most {MAX_FILE_CHARS} are read")])
    document = _parsed(text, name)
    faults: list[tuple[Path, str]] = [((key,), f"unknown key {key!r}") for key in document if key not in _KEYS]
    entries: dict[int, Entry] = {}
    stated = document.get("entry", [])
    if not isinstance(stated, list) or not stated:
        faults.append((("entry",), "no [[entry]] is in this file; at least one was expected"))
        stated = []
    for index, table in enumerate(stated):
        entry, wrong = _entry(table, index, document)
        faults += wrong
        if entry is not None:
            entries[index] = entry
    faults += _twice(entries)
    if faults:
        lines = _Lines(text)
        raise CatalogError([(name, lines.of(path), message) for path, message in dict.fromkeys(faults)])
    return tuple(entries.values())


class _Lines:
    """Where things stand in a TOML text that parses. No parser that keeps lines is needed.

    The text is cut before each ``[[entry]]``, which ends what came before; the shortest beginning of such a piece
    that parses and has a value ends with it.
    """

    def __init__(self, text: str) -> None:
        lines = text.replace("\r\n", "\n").split("\n")  # TOML's ends of lines; U+2028 and the like are text
        self._pieces: list[tuple[int, list[str], int]] = []  # lines before it, its own, its entries
        begin = 0
        for end in (*(number for number, line in enumerate(lines) if _HEADER.match(line)), len(lines)):
            piece = _document(lines[begin:end])
            if piece is not None:  # else: the header is part of a text of several lines
                entries = piece.get("entry", [])
                self._pieces.append((begin, lines[begin:end], len(entries) if isinstance(entries, list) else 0))
                begin = end

    def of(self, path: Path) -> int:
        """The line (from 1) on which a value is complete, or where its nearest known table begins."""
        for before, lines, here in self._places(path):
            for depth in range(len(here), 0, -1):
                at = next((at for at in range(1, len(lines) + 1) if _has(lines[:at], here[:depth])), None)
                if at is not None:
                    return before + at
        return 1

    def _places(self, path: Path) -> Iterator[tuple[int, list[str], Path]]:
        """The pieces where a value may be, and its path there."""
        if path[0] != "entry" or len(path) == 1:
            yield from ((before, lines, path) for before, lines, _ in self._pieces)
            return
        index = int(path[1])
        for before, lines, entries in self._pieces:
            if index < entries:
                yield before, lines, ("entry", index, *path[2:])
                return
            index -= entries


def _has(lines: list[str], path: Path) -> bool:
    value: Any = _document(lines)
    try:
        for step in path:
            value = value[step]
    except (KeyError, IndexError, TypeError):
        return False
    return True


def _document(lines: list[str]) -> dict[str, Any] | None:
    try:
        return tomllib.loads("\n".join(lines))
    except ValueError:
        return None


def _parsed(text: str, name: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = _AT_LINE.search(str(error))
        line = int(found[1]) if found else text.count("\n") + 1
        raise CatalogError([(name, line, f"no TOML: {_AT_LINE.sub('', str(error))}")]) from error
    except ValueError as error:  # Python converts no integer of thousands of digits
        raise CatalogError([(name, 1, "no TOML: a number in this file is too long")]) from error
    except RecursionError as error:
        raise CatalogError([(name, 1, "no TOML: nested too deeply")]) from error


def _entry(table: Any, index: int, document: dict[str, Any]) -> tuple[Entry | None, list[tuple[Path, str]]]:
    at: Path = ("entry", index)
    if not isinstance(table, dict):
        return None, [(at, "an [[entry]] is a table")]
    shared = {"drivers": document["drivers"]} if "drivers" in document else {}
    try:
        entry = msgspec.convert(shared | table, Entry, builtin_types=(date,))
    except msgspec.ValidationError as error:
        text = str(error)
        place = _place(text)
        where = place if place[:1] == ("drivers",) and "drivers" not in table else (*at, *place)
        return None, [(where, _AT_PATH.sub("", text))]
    return entry, [((*at, *path), message) for path, message in faults_of(entry)]


def _place(text: str) -> Path:
    """Where msgspec found a fault, from its message."""
    path, unknown = _AT_PATH.search(text), _UNKNOWN.search(text)
    steps = tuple(int(step[2]) if step[2] else step[1] for step in _STEP.finditer(path[1] if path else ""))
    return (*steps, unknown[1]) if unknown else steps


def faults_of(entry: Entry) -> Iterator[tuple[Path, str]]:
    """What is wrong with an entry whose fields are all of the right type: where, and a sentence."""
    yield from _version_faults(entry)
    yield from _character_faults(entry)
    if not entry.builds and entry.migratable and entry.saves is not None:
        yield ("id",), "an entry that states versions names its builds; a driver's name alone decides nothing"
    yield from _blank_faults(entry)
    for index, key in enumerate(entry.builds):
        yield from ((("builds", index), fault) for fault in _build_faults(key))
    for index, rule in enumerate(entry.match):
        if rule.from_ is not None and not known_place(rule.from_):
            yield ("match", index, "from"), f"{rule.from_!r} is no place in a profile (pci.…, attributes.…, nvml.…)"


def _version_faults(entry: Entry) -> Iterator[tuple[Path, str]]:
    if not entry.migratable:
        if entry.saves is not None or entry.loads is not None:
            yield ("migratable",), "what is not migratable saves and loads nothing"
        return
    if (entry.saves is None) != (entry.loads is None):
        yield ("id",), "saves and loads are stated both, or neither"
    if entry.saves is not None and entry.format is None:
        yield ("id",), "versions need a format: the namespace in which they compare"
    for name, stated in (("saves", entry.saves), ("loads", entry.loads)):
        try:
            if stated is not None:
                read_set(stated, entry.scheme)
        except VersionError as error:
            yield (name,), error.message


def _build_faults(key: BuildKey) -> Iterator[str]:
    spans = (key.from_, key.before)
    if key == BuildKey(suffix=key.suffix):
        yield "an empty key is of every build; name kernel_release, from and before, version, srcversion or build_id"
    if spans != (None, None) and None in spans:
        yield "from and before go together: what comes later is not known"
    found = [release_of(each) for each in spans if each is not None]
    if None in found or any(each is not None and each[1] for each in found):
        yield f"from and before are kernel releases of three numbers, found {key.from_} and {key.before}"
    elif len(found) == 2 and found[0] and found[1] and found[0][0] >= found[1][0]:  # noqa: PLR2004  (both)
        yield f"from {key.from_} is not below before {key.before}"
    if key.kernel_release is not None and release_of(key.kernel_release) is None:
        text = "its three numbers first: fixes are backported, major.minor alone decides nothing"
        yield f"{key.kernel_release!r} names no kernel release; {text}"


def _character_faults(entry: Entry) -> Iterator[tuple[Path, str]]:
    """``about`` may be of several lines."""
    for place, text in texts_of(msgspec.to_builtins(entry)):
        wrong = forbidden_in(text, several_lines=place == ("about",))
        if wrong is not None:
            at = tuple(step for step in place if step is not ...)
            yield at, f"{text[:40]!r} holds the control character {wrong!r}"


def _blank_faults(entry: Entry) -> Iterator[tuple[Path, str]]:
    stated: list[tuple[Path, str]] = [(("fields", name), value) for name, value in entry.fields.items()]
    for kind, fields in entry.values.items():
        stated += [(("values", kind, name), value) for name, value in fields.items()]
    yield from ((at, f"the value of {at[-1]!r} is blank") for at, value in stated if not value.strip())


def _twice(entries: dict[int, Entry]) -> Iterator[tuple[Path, str]]:
    seen: set[str] = set()
    for index, entry in entries.items():
        if entry.id in seen:
            yield ("entry", index, "id"), f"the id {entry.id!r} is used twice"
        seen.add(entry.id)
