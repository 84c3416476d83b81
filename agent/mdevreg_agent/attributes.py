r"""What a sysfs attribute's bytes mean. Pure: no file is opened here (``tree`` reads, this file parses).

Rules of this file:

1. Unknown text is never an error: the parser says what is wrong and keeps the raw text for a fault.
2. What comes out fits the bounds of ``mdevreg.records``: control characters and bytes that are no UTF-8
   become backslash escapes (``\x1b``), and too long a name keeps its head and a digest of the whole.
3. No value is shortened silently: a value out of bounds is no value, and a fault.
"""

from __future__ import annotations

import hashlib
import re
import struct
from typing import Literal

import msgspec

from mdevreg.shapes import MAX_TEXT_CHARS

#: So much of the raw text goes into a fault; enough to recognise it, small enough for thousands of faults.
MAX_FAULT_CHARS = 256
#: Longest kernel name in a record (``records.Name``).
MAX_NAME_CHARS = 255
#: Largest count in a record (``records.Count``).
MAX_COUNT = 2**53 - 1

_LINE_UNSAFE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_TEXT_UNSAFE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")
_UUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\Z")
_PCI_ADDRESS = re.compile(r"[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]\Z")
_PCI_ID = re.compile(r"0x([0-9a-f]{4})\Z")
_VGPU_TYPE = re.compile(r"\s*(\d{1,9})\s*:\s*(\S.{0,1000}?)\s*\Z")  # escaped, four times as long: still a Line
_OS_RELEASE = re.compile(r"([A-Z][A-Z0-9_]*)=(.*)\Z")
_OS_RELEASE_KEYS = ("ID", "VERSION_ID", "PRETTY_NAME")
_NT_GNU_BUILD_ID = 3  # elf.h
_MAX_BUILD_ID_BYTES = 64  # SHA-1 has 20; ld --build-id=0x... takes any length


class Parsed(msgspec.Struct, frozen=True):
    """A value, or what is wrong with the text (``wrong`` and the raw ``text``, made printable)."""

    value: str | None
    wrong: str | None = None
    text: str | None = None


class VgpuTypes(msgspec.Struct, frozen=True):
    """``creatable_vgpu_types`` of one VF: names by vGPU type number, and the lines that were no type."""

    names: dict[int, str]
    unknown: tuple[str, ...] = ()


def parse_line(raw: bytes) -> Parsed:
    """An attribute of one line; a newline inside is escaped."""
    return _bounded(_LINE_UNSAFE.sub(_escape, _decoded(raw)))


def parse_text(raw: bytes) -> Parsed:
    """An attribute of several lines (mdev ``description`` is on i915)."""
    return _bounded(_TEXT_UNSAFE.sub(_escape, _decoded(raw)))


def parse_count(raw: bytes) -> tuple[int | None, Parsed]:
    """``available_instances``, ``current_vgpu_type``: a decimal count, and the text if it is none."""
    text = _decoded(raw).strip()
    if text.isascii() and text.isdigit() and len(text) <= len(str(MAX_COUNT)) and int(text) <= MAX_COUNT:
        return int(text), Parsed(text)
    return None, Parsed(None, "not a count", fault_text(text))


def parse_pci_id(raw: bytes) -> str | None:
    """Four hex digits of a PCI vendor or device file (``0x10de``), without the ``0x``."""
    found = _PCI_ID.match(_decoded(raw).lower())
    return found[1] if found else None


def parse_vgpu_types(raw: bytes) -> VgpuTypes:
    """``creatable_vgpu_types``: lines ``1428 : NVIDIA H200X-141C``, a header line first or not.

    Seen in the kernel-6.8 vendor VFIO interface of NVIDIA vGPU 17 and later.
    """
    lines = [line for line in _decoded(raw).splitlines() if line.strip()]
    found = [(line, _VGPU_TYPE.match(line)) for line in lines]
    unknown = tuple(line for at, (line, type_) in enumerate(found) if type_ is None and not _is_header(at, line))
    names = {int(type_[1]): _LINE_UNSAFE.sub(_escape, type_[2]) for _, type_ in found if type_}
    return VgpuTypes(names=names, unknown=unknown)


def parse_build_id(raw: bytes) -> str | None:
    """Build-id, hex, of an ELF note section (gABI "Note Section"); ``None`` if it holds none.

    Numbers are in the recorded host's byte order, which need not be ours (a tree captured on s390).
    """
    return _build_id(raw, "<") or _build_id(raw, ">")


def parse_os_release(raw: bytes) -> dict[str, str]:
    """ID, VERSION_ID and PRETTY_NAME of os-release(5)."""
    pairs = [found.groups() for line in _decoded(raw).splitlines() if (found := _OS_RELEASE.match(line.strip()))]
    found_keys = {key: _unquoted(value) for key, value in pairs if key in _OS_RELEASE_KEYS}
    return {key: found_keys[key] for key in _OS_RELEASE_KEYS if key in found_keys}


def name_of(name: str, most: int = MAX_NAME_CHARS) -> str:
    """A file name, made printable, of 1 to ``most`` characters; two long names stay different."""
    text = _LINE_UNSAFE.sub(_escape, name) or "?"
    if len(text) <= most:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    return f"{text[: most - 17]}~{digest}"


def fault_text(text: str) -> str:
    """The head of a text, made printable, for a fault."""
    return _TEXT_UNSAFE.sub(_escape, text[:MAX_FAULT_CHARS])[:MAX_FAULT_CHARS]


def is_uuid(name: str) -> bool:
    """Whether the kernel would take this as an mdev's uuid (lib/uuid.c, uuid_is_valid)."""
    return _UUID.match(name) is not None


def is_pci_address(name: str) -> bool:
    """Whether this is ``domain:bus:device.function``."""
    return _PCI_ADDRESS.match(name) is not None


def _decoded(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace").rstrip("\n")


def _bounded(text: str) -> Parsed:
    if len(text) <= MAX_TEXT_CHARS:
        return Parsed(text)
    return Parsed(None, f"{len(text)} characters; at most {MAX_TEXT_CHARS} are kept", fault_text(text))


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()


def _is_header(at: int, line: str) -> bool:
    return at == 0 and not line.lstrip()[0].isdigit()


def _unquoted(value: str) -> str:
    inner = value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'" else value
    return _LINE_UNSAFE.sub(_escape, re.sub(r"\\(.)", r"\1", inner))[:MAX_TEXT_CHARS]


def _build_id(raw: bytes, order: Literal["<", ">"]) -> str | None:
    at = 0
    while at + 12 <= len(raw):
        namesz, descsz, kind = struct.unpack_from(f"{order}III", raw, at)
        desc = at + 12 + _padded(namesz)
        if desc + descsz > len(raw):
            return None
        if (
            kind == _NT_GNU_BUILD_ID
            and raw[at + 12 : at + 12 + namesz] == b"GNU\0"
            and 0 < descsz <= _MAX_BUILD_ID_BYTES
        ):
            return raw[desc : desc + descsz].hex()
        at = desc + _padded(descsz)
    return None


def _padded(size: int) -> int:
    return (size + 3) & ~3
