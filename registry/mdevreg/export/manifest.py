"""The manifest of an export: what is in it, of when and of whom, and what tells that it is whole. Pure."""

from __future__ import annotations

from datetime import datetime

import msgspec

from mdevreg.errors import DecodeError

#: The version of the layout: files, columns, manifest. A reader refuses another major.
FORMAT = "mdevreg-export/1.0"
NAME = "manifest.json"


class FileMade(msgspec.Struct, frozen=True):
    """One file: its table, rows, size and SHA-256 in hex."""

    name: str
    table: str
    format: str
    rows: int
    bytes: int
    sha256: str


class Asked(msgspec.Struct, frozen=True, rename={"begin": "from", "end": "to"}):
    """The period as it was asked for: times in RFC 3339 or ``seq:POSITION``; ``None``: without an end."""

    begin: str | None
    end: str | None


class Manifest(msgspec.Struct, frozen=True):
    """What an export holds.

    ``first_position`` to ``last_position``: the entries of the period; there are none if the first is after the last.
    ``known_at``: the position as of which timelines are told. ``checkpoint``: a signed note of the registry's audit
    tree that covers the last position, if there was one.
    """

    format: str
    registry: str
    asked: Asked
    first_position: int
    last_position: int
    known_at: int
    files: tuple[FileMade, ...]
    made_at: datetime
    made_by: str
    checkpoint: str | None = None


def encoded(manifest: Manifest) -> bytes:
    """As it stands in the folder."""
    return msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"


def decoded(data: bytes) -> Manifest:
    """Read one. Raises ``DecodeError``."""
    try:
        found = msgspec.json.decode(data, type=Manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise DecodeError(f"{NAME} is no manifest of an export: {error}", code="MANIFEST") from error
    if found.format.partition(".")[0] != FORMAT.partition(".")[0]:
        raise DecodeError(f"{NAME} has the format {found.format!r}; this program reads {FORMAT}", code="MANIFEST")
    return found
