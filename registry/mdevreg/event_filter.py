"""Which events are meant: types by pattern, and the same KEY=PATTERN words as operators' rules have. Pure.

``driver.* offer.* host=hv-a-*|hv-b-* site=a``: of one of these types (none named: of any), and every key must fit. What
an event does not tell fits no pattern: a pair of kinds has no host.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any

import msgspec

from mdevreg.errors import UsageError
from mdevreg.events import PING, PREFIX, TYPES, Event
from mdevreg.nearest import nearest
from mdevreg.rules import FLEET, Scope, scope_in

#: Longest filter, in characters.
MAX_CHARS = 2_000


class EventFilter(msgspec.Struct, frozen=True):
    """``types``: patterns of types without their prefix; none: any."""

    types: tuple[str, ...] = ()
    where: Scope = FLEET

    def __str__(self) -> str:
        return " ".join((*self.types, str(self.where))).strip()

    def fits(self, event: Event) -> bool:
        """Whether an event is meant."""
        return self.fits_kind(event.kind) and self._fits_place(event.data)

    def fits_kind(self, kind: str) -> bool:
        """Whether events of a type may be meant."""
        return not self.types or any(fnmatchcase(kind, pattern) for pattern in self.types)

    def _fits_place(self, data: Mapping[str, Any]) -> bool:
        if self.where == FLEET:
            return True
        return all(
            not patterns or any(fnmatchcase(value, pattern) for value in values_in(data, name) for pattern in patterns)
            for name, patterns in ((name, getattr(self.where, name)) for name in self.where.__struct_fields__)
        )


EVERYTHING = EventFilter()


class EventsAsked(msgspec.Struct, frozen=True):
    """Which events. ``since``: those after a log position, or from a time on; ``None``: from now on."""

    filter: EventFilter = EVERYTHING
    since: int | datetime | None = None


def filter_in(words: str) -> EventFilter:
    """The filter that words are. Raises ``UsageError``: no key, or a pattern that no type fits."""
    if len(words) > MAX_CHARS:
        raise UsageError(f"the filter has {len(words)} characters, at most {MAX_CHARS} were expected")
    types: list[str] = []
    keys: list[str] = []
    for word in words.split():
        if "=" in word:
            keys.append(word)
        else:
            types += [_pattern(each) for each in word.split("|")]
    return EventFilter(tuple(dict.fromkeys(types)), scope_in(" ".join(keys)))


def values_in(data: Mapping[str, Any], name: str) -> Iterator[str]:
    """What an event's data tells of a key of scopes."""
    found: Iterable[Any]
    match name:
        case "host":
            found = (data.get(each) for each in ("host", "hostname"))
        case "driver":
            found = (data.get("driver"), *(build.get(each) for build in _builds(data) for each in ("name", "module")))
        case "site" | "type" | "parent" | "device":
            found = (data.get(name),)
        case _:
            found = (build.get(name) for build in _builds(data))
    return (value for value in found if isinstance(value, str))


def _builds(data: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The driver builds in an event's data."""
    ends = (data, *(data[end] for end in ("source", "target") if isinstance(data.get(end), Mapping)))
    for each in ends:
        yield from (each[name] for name in ("build", "before", "after") if isinstance(each.get(name), Mapping))


def _pattern(text: str) -> str:
    pattern = text.removeprefix(PREFIX)
    if pattern and any(fnmatchcase(kind, pattern) for kind in (*TYPES, PING)):
        return pattern
    near = ", ".join(nearest(pattern, TYPES)) or ", ".join(TYPES)
    raise UsageError(f"no event's type is like {text[:80]!r}; a type is one of (or a pattern of): {near}")
