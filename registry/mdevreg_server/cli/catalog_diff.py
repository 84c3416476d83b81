"""Two sets of catalog entries, told apart by id and field. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from mdevreg.catalog import Entry


class Difference(msgspec.Struct, frozen=True):
    """What makes one set of entries into another. ``changed``: by id, the fields with both values, as JSON texts."""

    added: tuple[str, ...]
    changed: dict[str, dict[str, tuple[str, str]]]
    removed: tuple[str, ...]
    unchanged: int

    @property
    def same(self) -> bool:
        """Whether there is none."""
        return not (self.added or self.changed or self.removed)


def difference_of(before: Mapping[str, Entry], after: Iterable[Entry], *, removing: bool) -> Difference:
    """``removing``: what is not in ``after`` goes, as in a folder; otherwise it stays, as in an import."""
    wanted = {entry.id: entry for entry in after}
    both = sorted(before.keys() & wanted.keys())
    changed = {name: _fields(before[name], wanted[name]) for name in both if before[name] != wanted[name]}
    return Difference(
        added=tuple(sorted(wanted.keys() - before.keys())),
        changed=changed,
        removed=tuple(sorted(before.keys() - wanted.keys())) if removing else (),
        unchanged=len(both) - len(changed),
    )


def _fields(before: Entry, after: Entry) -> dict[str, tuple[str, str]]:
    old, new = msgspec.to_builtins(before), msgspec.to_builtins(after)
    names = [*new, *(name for name in old if name not in new)]
    return {name: (_text(old.get(name)), _text(new.get(name))) for name in names if old.get(name) != new.get(name)}


def _text(value: Any) -> str:
    return "-" if value is None else msgspec.json.encode(value).decode()
