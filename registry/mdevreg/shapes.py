"""The shapes of fields that cross a wire: identifiers, kernel names, raw attribute text, times, counts. Pure.

Control characters are refused by ``mdevreg.wire`` in one pass over the bytes: a pattern per string would take
most of the time of decoding. The schema states them all the same.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

#: One sysfs attribute is at most one page (Documentation/filesystems/sysfs.rst).
MAX_TEXT_CHARS = 4_096

# ``$`` also matches before a trailing newline in Python; the look-ahead forbids that one.
_IDENTIFIER = r"^[A-Za-z0-9_-]+$(?!\n)"
_PRINTABLE = {"pattern": r"^[^\u0000-\u001f\u007f]*$"}
_TEXT = {"pattern": r"^[^\u0000-\u0008\u000b-\u001f\u007f]*$"}

#: One NATS subject token: host ids and epochs.
Token = Annotated[str, Meta(min_length=1, max_length=64, pattern=_IDENTIFIER)]
#: A kernel name: device, driver, module, type id. No control characters.
Name = Annotated[str, Meta(min_length=1, max_length=255, extra_json_schema=_PRINTABLE)]
#: A path below /sys, as the kernel prints it (DEVPATH).
Path = Annotated[str, Meta(min_length=1, max_length=1_024, extra_json_schema=_PRINTABLE)]
#: One line of raw attribute text.
Line = Annotated[str, Meta(max_length=MAX_TEXT_CHARS, extra_json_schema=_PRINTABLE)]
#: Raw attribute text; may hold tabs and newlines (mdev ``description`` is multi-line on i915).
Text = Annotated[str, Meta(max_length=MAX_TEXT_CHARS, extra_json_schema=_TEXT)]
#: SHA-256, lower-case hex.
Digest = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$(?!\n)")]
#: Aware time; naive ones are refused.
Time = Annotated[datetime, Meta(tz=True)]
Count = Annotated[int, Meta(ge=0, le=2**53 - 1)]
Seq = Annotated[int, Meta(ge=1, le=2**53 - 1)]


class Strict(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Base of all wire structs: immutable, named fields, defaults left out, nothing unknown."""
