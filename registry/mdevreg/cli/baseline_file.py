"""Baselines in files: TOML, or JSON. Pure."""

from __future__ import annotations

import tomllib
from typing import Any

import msgspec

from mdevreg.baselines import BaselineClass
from mdevreg.errors import UsageError

#: A file of as many classes as there may be is far smaller.
MAX_FILE_BYTES = 4 * 1024 * 1024


class _File(msgspec.Struct):
    """Whatever else `baseline show -o json` prints beside the classes is not looked at."""

    classes: tuple[BaselineClass, ...]


def classes_in(data: bytes, name: str) -> tuple[BaselineClass, ...]:
    """The classes in a file. Raises ``UsageError`` (BASELINE_FILE) with the place of the first fault."""
    try:
        text = data.decode()
        found: Any = msgspec.json.decode(text) if text.lstrip()[:1] == "{" else tomllib.loads(text)
        return msgspec.convert(found, _File).classes
    except (msgspec.MsgspecError, tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        text = f'{name!r} is no baseline: {error}; expected TOML with [[classes]], or JSON with "classes"'
        raise UsageError(text, code="BASELINE_FILE") from error
