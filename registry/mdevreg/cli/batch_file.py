"""Files of pairs, for ``mdevreg can-migrate --batch``. Pure."""

from __future__ import annotations

import msgspec

from mdevreg.errors import UsageError
from mdevreg.query.batch import Asked


class _Pairs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pairs: tuple[Asked, ...]


def pairs_in(data: bytes, name: str) -> tuple[Asked, ...]:
    """The pairs of a file: ``DEVICE HOST`` a line, or JSON: ``[{"device": …, "to": …}]``, or that as ``pairs``.

    Empty lines and those that begin with ``#`` are left out. ``name``: the file's. Raises ``UsageError``.
    """
    pairs = _json(data, name) if data.lstrip()[:1] in (b"[", b"{") else _lines(data, name)
    if not pairs:
        raise UsageError(f"{name} has no pairs; expected lines of DEVICE HOST, or JSON")
    return pairs


def _json(data: bytes, name: str) -> tuple[Asked, ...]:
    try:
        found = msgspec.json.decode(data, type=tuple[Asked, ...] | _Pairs)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f'{name} is no list of {{"device": …, "to": …}}: {error}') from error
    return found.pairs if isinstance(found, _Pairs) else found


def _lines(data: bytes, name: str) -> tuple[Asked, ...]:
    try:
        lines = data.decode().splitlines()
    except UnicodeDecodeError as error:
        raise UsageError(f"{name} is not UTF-8: {error}") from error
    kept = ((number, line.split()) for number, line in enumerate(lines, start=1) if not line.lstrip().startswith("#"))
    return tuple(_pair(words, f"{name}:{number}") for number, words in kept if words)


def _pair(words: list[str], where: str) -> Asked:
    if len(words) != 2:  # noqa: PLR2004  (a device and a host)
        raise UsageError(f"{where}: {len(words)} words; expected DEVICE HOST[/PARENT[/TYPE]]")
    return Asked(*words)
