"""Differences between two moments, in groups of what is alike: 40 hosts, nvidia 535.129 → 550.54. Pure.

States in, differences out: the net difference, whatever happened in between.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, Literal

import msgspec

from mdevreg.differing import (
    Decided,
    DeviceValue,
    Differing,
    DriverValue,
    EntryDiffering,
    HostName,
    HostValue,
    OfferValue,
    ParentValue,
)
from mdevreg.profiles import Profile
from mdevreg.rules import Rule

Object = Literal["host", "parent", "driver", "type", "device", "capacity", "rule", "catalog"]
Event = Literal["appeared", "changed", "gone", "moved"]

#: Fields of profiles by the words that operators have for them.
_ASPECTS = {
    "migration_stream_version": "stream version",
    "migration_stream_version_min": "minimum",
    "migration_version": "opaque version",
}


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
    profiles: dict[str, Profile],
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


def _told(rows: list[Differing], hosts: dict[str, HostName], profiles: dict[str, Profile]) -> Iterator[_Told]:
    whole = {(row.host, row.path) for row in rows if row.object in ("host", "parent") and _event(row) != "changed"}
    moved = _moved(rows)
    for row in rows:
        name = hosts.get(row.host, HostName(row.host))
        place = Place(name.hostname, row.host, row.parent, row.name if row.object == "device" else "")
        implied = row.object != "host" and bool({(row.host, ""), (row.host, row.path)} & (whole - {_self(row)}))
        if row.object == "device" and row.name in moved:
            yield from _move(row, moved[row.name], place, hosts)
            continue
        for kind, event, what, aspect, before, after in _words(row, profiles):
            yield _Told((kind, event, what, aspect, before, after, implied), place)


def _self(row: Differing) -> tuple[str, str] | None:
    return (row.host, row.path) if row.object == "parent" else None


def _event(row: Differing) -> Event:
    return "appeared" if row.before is None else "gone" if row.after is None else "changed"


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


_Words = tuple[Object, Event, str, str, str, str]


def _words(row: Differing, profiles: dict[str, Profile]) -> Iterator[_Words]:
    event = _event(row)
    match row.before, row.after:
        case (HostValue() | None) as before, (HostValue() | None) as after if row.object == "host":
            yield from _host(event, before, after)
        case (ParentValue() | None) as before, (ParentValue() | None) as after if row.object == "parent":
            yield from _parent(event, before, after)
        case (DriverValue() | None) as before, (DriverValue() | None) as after if row.object == "driver":
            yield ("driver", event, row.name, *_driver(before, after))
        case (OfferValue() | None) as before, (OfferValue() | None) as after if row.object == "offer":
            yield from _offer(event, row.name, before, after, profiles)
        case (DeviceValue() | None) as before, (DeviceValue() | None) as after if row.object == "device":
            yield from _device(event, before, after, profiles)


def _host(event: Event, before: HostValue | None, after: HostValue | None) -> Iterator[_Words]:
    if before is None or after is None:
        yield ("host", event, "", "", "", "")
        return
    for field, aspect in (("hostname", "hostname"), ("site", "site"), ("kernel_release", "kernel")):
        old, new = (getattr(value, field) for value in (before, after))
        if old != new:
            yield ("host", "changed", "", aspect, old or "", new or "")


def _parent(event: Event, before: ParentValue | None, after: ParentValue | None) -> Iterator[_Words]:
    if before is None or after is None:
        yield ("parent", event, "", "", "", "")
        return
    if before.name != after.name:
        yield ("parent", "changed", "", "name", before.name, after.name)
    for kind in sorted(before.free.keys() | after.free.keys()):
        old, new = before.free.get(kind), after.free.get(kind)
        if old != new:
            yield ("capacity", "changed", kind, "free", _text(old), _text(new))


def _driver(before: DriverValue | None, after: DriverValue | None) -> tuple[str, str, str]:
    """What of a build tells most, before and after: the first of these that differs."""
    old, new = (value.build if value else None for value in (before, after))
    for field, aspect in (
        ("version", "version"),
        ("srcversion", "srcversion"),
        ("build_id", "build-id"),
        ("kernel_release", "kernel"),
        ("module", "module"),
    ):
        one, other = (getattr(build, field) if build else None for build in (old, new))
        if one != other:
            return aspect, _text(one) if old else "", _text(other) if new else ""
    return "", "", ""


def _offer(
    event: Event, kind: str, before: OfferValue | None, after: OfferValue | None, profiles: dict[str, Profile]
) -> Iterator[_Words]:
    if before is None or after is None:
        yield ("type", event, kind, "", "", "")
        return
    for aspect, old, new in _aspects(before.profile, after.profile, profiles):
        yield ("type", "changed", kind, aspect, old, new)


def _device(
    event: Event, before: DeviceValue | None, after: DeviceValue | None, profiles: dict[str, Profile]
) -> Iterator[_Words]:
    if before is None or after is None:
        there = before or after
        yield ("device", event, (there.type if there else "") or "", "", "", "")
        return
    what = after.type or before.type or ""
    for field in ("kind", "type", "iommu_group"):
        old, new = (getattr(value, field) for value in (before, after))
        if old != new:
            yield ("device", "changed", what, field.replace("_", " "), _text(old), _text(new))
    for aspect, old, new in _aspects(before.profile, after.profile, profiles):
        yield ("device", "changed", what, aspect, old, new)


def _aspects(before: str, after: str, profiles: dict[str, Profile]) -> Iterator[tuple[str, str, str]]:
    """What differs in two profiles; the driver build, which has a row of its own, aside."""
    old, new = (dict(_flat("", msgspec.to_builtins(profiles[digest]))) for digest in (before, after))
    for field in sorted(old.keys() | new.keys()):
        if old.get(field) != new.get(field) and field.partition(".")[0] not in ("driver", "type"):
            yield _ASPECTS.get(field, field.replace("_", " ")), _text(old.get(field)), _text(new.get(field))


def _flat(prefix: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for name, each in value.items():
            yield from _flat(f"{prefix}.{name}" if prefix else str(name), each)
    elif value is not None:
        yield prefix, value


def _text(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return msgspec.json.encode(value).decode()
    return "none" if value is None else str(value)


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
