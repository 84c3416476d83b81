"""Kernel modules as the kernel's build makes them, as far as anybody reads them: headers, ``.modinfo``, a build-id."""

from __future__ import annotations

import struct

#: By class: ELF header after e_ident, and a section header.
_HEADER = {1: "HHIIIIIHHHHHH", 2: "HHIQQQIHHHHHH"}
_SECTION = {1: "IIIIIIIIII", 2: "IIQQQQIIQQ"}


def module(
    *, bits: int = 64, order: str = "<", modinfo: bytes | None = b"", build_id: str = "", padding: int = 4_096
) -> bytes:
    """A module's file. ``padding``: code that nobody looks at."""
    kind = 2 if bits == 64 else 1
    names = b"\0.text\0.modinfo\0.note.gnu.build-id\0.shstrtab\0"
    parts = {b".text": b"\x90" * padding, b".shstrtab": names}
    if modinfo is not None:
        parts[b".modinfo"] = modinfo
    if build_id:
        raw = bytes.fromhex(build_id)
        parts[b".note.gnu.build-id"] = struct.pack(f"{order}III", 4, len(raw), 3) + b"GNU\0" + raw
    size, entry = struct.calcsize(f"{order}{_HEADER[kind]}") + 16, struct.calcsize(f"{order}{_SECTION[kind]}")
    body, rows = b"", [struct.pack(f"{order}{_SECTION[kind]}", *[0] * 10)]
    for name, data in parts.items():
        rows.append(
            struct.pack(f"{order}{_SECTION[kind]}", names.find(name), 1, 0, 0, size + len(body), len(data), 0, 0, 1, 0)
        )
        body += data
    where = list(parts).index(b".shstrtab") + 1
    ident = b"\x7fELF" + bytes([kind, 1 if order == "<" else 2, 1]) + b"\0" * 9
    head = struct.pack(
        f"{order}{_HEADER[kind]}", 1, 62, 1, 0, 0, size + len(body), 0, size, 0, 0, entry, len(rows), where
    )
    return ident + head + body + b"".join(rows)


def modinfo(**said: str) -> bytes:
    """``.modinfo`` as modpost writes it."""
    return b"".join(f"{key}={value}".encode() + b"\0" for key, value in said.items())
