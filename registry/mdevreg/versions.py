"""Stream versions and their schemes: text as it came, and a key that orders it.

===============  ==============================  ========================================================
scheme           text                            order
===============  ==============================  ========================================================
integer          ``7``                           numbers
hex              ``0x1f``, ``1f``                numbers
dotted           ``1``, ``1.0``, ``535.161.05``  number by number; trailing zeros don't count
device-version   ``8086:5912:0300:0004``, or     vendor, device and class identify; the version orders
                 ``0x8086591203000004``
tag              ``hisi-v2``                     none: the same or another
opaque           any printable text              none: the same, or not known (never parsed)
===============  ==============================  ========================================================

Versions of different schemes never compare, nor those of different devices. ``sort_key`` is text whose byte order
is the version's order: fixed widths, so that an SQL index under any collation of digits agrees.
Source of device-version: the kernel maintainers' sketch of 2018 (design section 1).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal, get_args

import msgspec

from mdevreg.errors import VersionError

#: Longest accepted version text, in characters.
MAX_VERSION_CHARS = 255
#: Most numbers in a dotted version, and most digits in each of them.
MAX_DOTTED = 8
MAX_DOTTED_DIGITS = 10

Scheme = Literal["integer", "hex", "dotted", "device-version", "tag", "opaque"]
SCHEMES: tuple[Scheme, ...] = get_args(Scheme)
#: Schemes without an order: two versions are the same, or nothing is known of them.
UNORDERED: frozenset[Scheme] = frozenset({"tag", "opaque"})

_INTEGER = re.compile(r"[0-9]{1,20}\Z")
_HEX = re.compile(r"(?:0[xX])?([0-9a-fA-F]{1,16})\Z")
_DOTTED = re.compile(r"[0-9]{1,10}(?:\.[0-9]{1,10})*\Z")
_DEVICE = re.compile(r"([0-9a-fA-F]{4}):([0-9a-fA-F]{4}):([0-9a-fA-F]{4}):([0-9a-fA-F]{4})\Z")
_MAGIC = re.compile(r"0[xX]([0-9a-fA-F]{16})\Z")
_TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+/-]*\Z")

#: What each scheme expects, for messages.
EXPECTED: dict[Scheme, str] = {
    "integer": "up to 20 digits",
    "hex": "up to 16 hex digits, with or without 0x",
    "dotted": f"up to {MAX_DOTTED} numbers of up to {MAX_DOTTED_DIGITS} digits with dots between them",
    "device-version": "vendor:device:class:version, four hex digits each, or 0x and 16 hex digits",
    "tag": "letters, digits and any of _ . + / -, beginning with a letter or digit",
    "opaque": "at least one printable character",
}


class StreamVersion(msgspec.Struct, frozen=True):
    """One version: ``raw`` is its text as it came; ``key`` orders it within its ``scheme`` and ``family``."""

    scheme: Scheme
    family: str  # what must be the same for two versions to compare; "" in most schemes
    key: str
    raw: str

    @classmethod
    def parse(cls, text: str, scheme: Scheme) -> StreamVersion:
        """Read a version. Surrounding white space is no part of it. Raises ``VersionError``."""
        raw = text.strip()
        if len(raw) > MAX_VERSION_CHARS:
            raise VersionError(f"the version has {len(raw)} characters; at most {MAX_VERSION_CHARS} are accepted")
        found = _READERS[scheme](raw)
        if found is None:
            raise VersionError(f"{raw!r} is no {scheme} version; expected {EXPECTED[scheme]}")
        return cls(scheme, *found, raw)

    @property
    def sort_key(self) -> str:
        """Text that sorts like the version among those of its scheme and family, and beside all others."""
        return f"{self.scheme}:{self.family}:{self.key}"

    def __str__(self) -> str:
        return self.raw


def stated(text: str) -> StreamVersion:
    """Read a version whose scheme nobody names, as drivers state them in sysfs. Raises ``VersionError``.

    ``7`` is an integer, ``0x10`` hex, ``1.0`` dotted, four groups of four hex digits a device-version.
    """
    raw = text.strip()
    for pattern, scheme in _SHAPES:
        if pattern.match(raw):
            return StreamVersion.parse(raw, scheme)
    raise VersionError(f"{raw[:64]!r} is no version; expected 7, 0x10, 1.0 or vendor:device:class:version")


def comparable(one: StreamVersion, other: StreamVersion) -> bool:
    """Whether the two have an order, or are the same."""
    return one.scheme == other.scheme and one.family == other.family


def compare(one: StreamVersion, other: StreamVersion) -> Literal["<", "=", ">"] | None:
    """How two versions stand to each other; ``None`` if they don't compare."""
    if not comparable(one, other):
        return None
    if one.key == other.key:
        return "="
    return "<" if one.key < other.key else ">"


def device_version(magic: int) -> StreamVersion:
    """The device-version of a 64-bit magic number, as text. Requires ``0 <= magic < 2**64``."""
    digits = f"{magic:016x}"
    return StreamVersion.parse(":".join(digits[at : at + 4] for at in range(0, 16, 4)), "device-version")


def magic_of(version: StreamVersion) -> int:
    """The 64-bit magic number of a device-version: vendor, device, class, version from the top."""
    return int(version.family.replace(":", "") + version.key, 16)


_Read = tuple[str, str] | None  # family, key


def _integer(raw: str) -> _Read:
    return ("", f"{int(raw):020d}") if _INTEGER.match(raw) else None


def _hex(raw: str) -> _Read:
    found = _HEX.match(raw)
    return ("", f"{int(found[1], 16):016x}") if found else None


def _dotted(raw: str) -> _Read:
    numbers = raw.split(".")
    if not _DOTTED.match(raw) or len(numbers) > MAX_DOTTED:
        return None
    while len(numbers) > 1 and int(numbers[-1]) == 0:  # 1.0 and 1.0.0 are one version
        numbers.pop()
    return "", ".".join(f"{int(number):0{MAX_DOTTED_DIGITS}d}" for number in numbers)


def _device(raw: str) -> _Read:
    magic = _MAGIC.match(raw)
    if magic:
        digits = magic[1].lower()
        return ":".join(digits[at : at + 4] for at in (0, 4, 8)), digits[12:]
    found = _DEVICE.match(raw)
    return (f"{found[1]}:{found[2]}:{found[3]}".lower(), found[4].lower()) if found else None


def _tag(raw: str) -> _Read:
    return (raw, "") if _TAG.match(raw) else None


def _opaque(raw: str) -> _Read:
    return (raw, "") if raw and raw.isprintable() else None


_READERS: dict[Scheme, Callable[[str], _Read]] = {
    "integer": _integer,
    "hex": _hex,
    "dotted": _dotted,
    "device-version": _device,
    "tag": _tag,
    "opaque": _opaque,
}
_SHAPES: tuple[tuple[re.Pattern[str], Scheme], ...] = (
    (_INTEGER, "integer"),
    (re.compile(r"0[xX]"), "hex"),
    (_DOTTED, "dotted"),
    (_DEVICE, "device-version"),
)
