"""Differences between two moments, in groups of what is alike: 40 hosts, nvidia 535.129 → 550.54. Pure.

States in, differences out: the net difference, whatever happened in between.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

import msgspec

from mdevreg.difference_words import Event, Object, event_of, words_of
from mdevreg.differing import (
    Decided,
    DeviceValue,
    Differing,
    EntryDiffering,
    HostName,
    Understood,
)
from mdevreg.rules import Rule


class Place(msgspec.Struct, frozen=True, omit_defaults=True, order=True):
    """Where something differs: a host's name and id, a parent's name, the device's name."""

    hostname: str = ""
    host: str = ""
    parent: str = ""
    device: str = ""


class Group(msgspec.Struct, frozen=True, omit_defaults=True):
    """The same difference in one place or many. ``what``: the type, driver, rule; ``aspect``: what of it.

    ``implied``: it follows from a host or parent that appeared or is gone.
    """

    object: Object
    event: Event
    what: str
    aspect: str = ""
    before: str = ""
    after: str = ""
    implied: bool = False
    places: tuple[Place, ...] = ()


class Differences(msgspec.Struct, frozen=True):
    """All differences between two moments, in groups; the same moment twice has none."""

    position: int
    groups: tuple[Group, ...]
    answered_at: datetime


#: A group without its places.
_Kind = tuple[Object, Event, str, str, str, str, bool]


class _Told(msgspec.Struct, frozen=True):
    """A difference before it is grouped."""

    kind: _Kind
    place: Place


def grouped(
    rows: Iterable[Differing],
    hosts: dict[str, HostName],
    profiles: dict[str, Understood],
    decided: Decided | None,
    *,
    begin: datetime,
    end: datetime,
) -> tuple[Group, ...]:
    """The rows in words, grouped by what is alike, by object, event and words.

    ``begin``, ``end``: the valid times of the two moments, by which a rule is in force or not.
    """
    listed = list(rows)
    told = [*_told(listed, hosts, profiles), *(_decided(decided, begin, end) if decided else ())]
    groups: dict[_Kind, list[Place]] = {}
    for each in told:
        groups.setdefault(each.kind, []).append(each.place)
    found = (Group(*kind, tuple(sorted(places))) for kind, places in groups.items())
    return tuple(sorted(found, key=_order))


def _order(group: Group) -> tuple[Any, ...]:
    said = (group.what, group.aspect, group.before, group.after)
    return (_OBJECTS.index(group.object), _EVENTS.index(group.event), *said)


_OBJECTS: tuple[Object, ...] = ("host", "parent", "driver", "type", "device", "capacity", "rule", "catalog")
_EVENTS: tuple[Event, ...] = ("appeared", "gone", "changed", "moved")


def _told(rows: list[Differing], hosts: dict[str, HostName], profiles: dict[str, Understood]) -> Iterator[_Told]:
    whole = {(row.host, row.path) for row in rows if row.object in ("host", "parent") and event_of(row) != "changed"}
    moved = _moved(rows)
    for row in rows:
        name = hosts.get(row.host, HostName(row.host))
        place = Place(name.hostname, row.host, row.parent, row.name if row.object == "device" else "")
        implied = row.object != "host" and bool({(row.host, ""), (row.host, row.path)} & (whole - {_self(row)}))
        if row.object == "device" and row.name in moved:
            yield from _move(row, moved[row.name], place, hosts)
            continue
        for kind, event, what, aspect, before, after in words_of(row, profiles):
            yield _Told((kind, event, what, aspect, before, after, implied), place)


def _self(row: Differing) -> tuple[str, str] | None:
    return (row.host, row.path) if row.object == "parent" else None


def _moved(rows: list[Differing]) -> dict[str, tuple[Differing, Differing]]:
    """Mdevs that left one parent and are at another: a uuid is one device wherever it is."""
    gone = {row.name: row for row in rows if _is_mdev(row.before) and row.after is None}
    come = {row.name: row for row in rows if _is_mdev(row.after) and row.before is None}
    return {name: (gone[name], come[name]) for name in gone.keys() & come.keys()}


def _is_mdev(value: object) -> bool:
    return isinstance(value, DeviceValue) and value.kind == "mdev"


def _move(
    row: Differing, ends: tuple[Differing, Differing], place: Place, hosts: dict[str, HostName]
) -> Iterator[_Told]:
    come = ends[1]
    if row is not come:
        return
    assert isinstance(come.after, DeviceValue)
    before, after = (f"{hosts.get(each.host, HostName(each.host)).hostname}/{each.parent}" for each in ends)
    yield _Told(("device", "moved", come.after.type or "", "", before, after, False), place)


def _decided(decided: Decided, begin: datetime, end: datetime) -> Iterator[_Told]:
    before, after = ({rule.id: rule for rule in rules} for rules in (decided.rules_before, decided.rules_after))
    for name in sorted(before.keys() | after.keys()):
        yield from _rule(before.get(name), after.get(name), begin, end)
    for entry in decided.entries:
        yield _entry(entry)


def _rule(before: Rule | None, after: Rule | None, begin: datetime, end: datetime) -> Iterator[_Told]:
    told = after or before
    assert told is not None
    old, new = ("" if rule is None else rule.state(at) for rule, at in ((before, begin), (after, end)))
    event: Event = "appeared" if before is None else "gone" if after is None else "changed"
    about = f"{told.id} {told.effect} by {told.author} ({told.scope}): {told.message}"
    if before != after or old != new:
        yield _Told(("rule", event, about, "state", old, new, False), Place())


def _entry(entry: EntryDiffering) -> _Told:
    event: Event = "appeared" if entry.before is None else "gone" if entry.after is None else "changed"
    old, new = (_learned(each.confidence, each.source) if each else "" for each in (entry.before, entry.after))
    return _Told(("catalog", event, entry.id, entry.origin, old, new, False), Place())


def _learned(confidence: str, source: str) -> str:
    return f"{confidence}: {source}"
