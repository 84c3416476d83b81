"""What a module's file says of itself: the sections ``.modinfo`` and ``.note.gnu.build-id`` of an ELF file.

Only the headers and these sections are read, so that a module of 100 MB costs no memory. Sources: gABI chapter 4 (ELF
header, section header table), scripts/mod/modpost.c (``key=value``, ended by NUL).
"""

from __future__ import annotations

import struct
from typing import BinaryIO

import msgspec

from mdevreg_agent.attributes import parse_build_id, parse_line

#: More than any module has: of a section's bytes, of sections, and of a file.
_MAX_SECTION_BYTES, _MAX_SECTIONS, _MAX_FILE_BYTES = 1 << 22, 1 << 15, 1 << 30
#: By EI_CLASS: e_shoff, e_shentsize, e_shnum and e_shstrndx; sh_name, sh_offset and sh_size.
_HEADER = {1: (0x20, "I", 0x2E), 2: (0x28, "Q", 0x3A)}
_SECTION = {1: "I12x2I", 2: "I20x2Q"}
_ORDER = {1: "<", 2: ">"}


class Modinfo(msgspec.Struct, frozen=True):
    """What tells one build from another; each may be absent."""

    version: str | None = None
    srcversion: str | None = None
    build_id: str | None = None


class NoModuleError(ValueError):
    """The bytes are no ELF file, or one that is cut off."""


def read_modinfo(file: BinaryIO) -> Modinfo:
    """Read a module. Raises ``NoModuleError``, and what reading ``file`` raises."""
    try:
        sections = _sections(file)
        said = _said(_bytes(file, *sections[b".modinfo"])) if b".modinfo" in sections else {}
        note = sections.get(b".note.gnu.build-id")
        build_id = None if note is None else parse_build_id(_bytes(file, *note))
    except struct.error as error:
        raise NoModuleError(f"no ELF file: {error}") from error
    return Modinfo(said.get(b"version"), said.get(b"srcversion"), build_id)


def _sections(file: BinaryIO) -> dict[bytes, tuple[int, int]]:
    """Offset and size by name."""
    head = _bytes(file, 0, 64)
    if head[:4] != b"\x7fELF" or head[4] not in _HEADER or head[5] not in _ORDER:
        raise NoModuleError("no ELF file")
    order, (at, word, rest) = _ORDER[head[5]], _HEADER[head[4]]
    (table,) = struct.unpack_from(f"{order}{word}", head, at)
    size, number, names = struct.unpack_from(f"{order}3H", head, rest)
    if number > _MAX_SECTIONS:
        raise NoModuleError(f"{number} sections are beyond what a module has")
    headers = _bytes(file, table, size * number)
    found = [struct.unpack_from(f"{order}{_SECTION[head[4]]}", headers, size * each) for each in range(number)]
    if names >= len(found):
        raise NoModuleError("no ELF file: its sections have no names")
    texts = _bytes(file, *found[names][1:])
    return {texts[name : texts.find(b"\0", name)]: (offset, length) for name, offset, length in found}


def _bytes(file: BinaryIO, offset: int, length: int) -> bytes:
    if offset + length > _MAX_FILE_BYTES or length > _MAX_SECTION_BYTES:
        raise NoModuleError(f"{length} bytes at {offset} are beyond what a module has")
    file.seek(offset)
    found = file.read(length)
    if len(found) < length:
        raise NoModuleError(f"the file ends within {length} bytes at {offset}")
    return found


def _said(section: bytes) -> dict[bytes, str]:
    """The first value of each key, as far as it is text."""
    found: dict[bytes, str] = {}
    for entry in section.split(b"\0"):
        key, equals, raw = entry.partition(b"=")
        value = parse_line(raw).value if equals and key not in found else None
        if value:
            found[key] = value
    return found
