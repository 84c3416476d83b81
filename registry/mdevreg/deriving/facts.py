"""The facts of one host as events are derived from them: objects as they are stored (``mdevreg.objects``). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from mdevreg.objects import Effect, Key, Value
from mdevreg.records import DriverBuild

#: Key → value; never changed. Capacity, documents and iommu groups make no event.
HostFacts = Mapping[Key, Value]
NOTHING: HostFacts = {}


class Called(msgspec.Struct, frozen=True):
    """How a host is called, and its site."""

    host: str
    hostname: str
    site: str | None


def edited(facts: HostFacts, effects: Iterable[Effect]) -> HostFacts:
    """The facts after some changes."""
    found = dict(facts)
    for key, value in effects:
        if value is None:
            found.pop(key, None)
        else:
            found[key] = value
    return found


def called(host: str, *facts: HostFacts) -> Called:
    """How a host is called by the first of these that tell it."""
    for each in facts:
        if (value := each.get(("host",))) is not None:
            return Called(host, value[0], value[1])
    return Called(host, host, None)


def parent_name(path: str, *facts: HostFacts) -> str:
    """The name of a parent by the first of these that tell it."""
    for each in facts:
        if (value := each.get(("parent", path))) is not None:
            return str(value[0])
    return path.rpartition("/")[2]


def build_in(name: str, value: Value | None) -> DriverBuild | None:
    """The driver build of a stored value."""
    return None if value is None else DriverBuild(name, *value)


def of_kind(facts: HostFacts, kind: str) -> Iterator[tuple[Key, Value]]:
    """The objects of a kind."""
    return ((key, value) for key, value in facts.items() if key[0] == kind)
