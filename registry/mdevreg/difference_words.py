"""What differs in one object, in a few words: object, event, what, aspect, before, after. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from mdevreg.differing import (
    DeviceValue,
    Differing,
    DriverValue,
    HostValue,
    OfferValue,
    ParentValue,
    Understood,
)
from mdevreg.support import NotMigratable, StreamSupport, Support

Object = Literal["host", "parent", "driver", "type", "device", "capacity", "rule", "catalog"]
Event = Literal["appeared", "changed", "gone", "moved"]

Words = tuple[Object, Event, str, str, str, str]

#: Fields of profiles by the words that operators have for them.
_ASPECTS = {
    "migration_stream_version": "stream version",
    "migration_stream_version_min": "minimum",
    "migration_version": "opaque version",
}


def event_of(row: Differing) -> Event:
    """Whether it came, went or changed."""
    return "appeared" if row.before is None else "gone" if row.after is None else "changed"


def words_of(row: Differing, profiles: dict[str, Understood]) -> Iterator[Words]:
    """What a row says, one for each aspect that differs; none where another row says it."""
    event = event_of(row)
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


def _host(event: Event, before: HostValue | None, after: HostValue | None) -> Iterator[Words]:
    if before is None or after is None:
        yield ("host", event, "", "", "", "")
        return
    for field, aspect in (("hostname", "hostname"), ("site", "site"), ("kernel_release", "kernel")):
        old, new = (getattr(value, field) for value in (before, after))
        if old != new:
            yield ("host", "changed", "", aspect, old or "", new or "")


def _parent(event: Event, before: ParentValue | None, after: ParentValue | None) -> Iterator[Words]:
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
    event: Event, kind: str, before: OfferValue | None, after: OfferValue | None, profiles: dict[str, Understood]
) -> Iterator[Words]:
    if before is None or after is None:
        yield ("type", event, kind, "", "", "")
        return
    for aspect, old, new in _aspects(before.profile, after.profile, profiles):
        yield ("type", "changed", kind, aspect, old, new)


def _device(
    event: Event, before: DeviceValue | None, after: DeviceValue | None, profiles: dict[str, Understood]
) -> Iterator[Words]:
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


def _aspects(before: str, after: str, profiles: dict[str, Understood]) -> Iterator[tuple[str, str, str]]:
    """What differs in two profiles; the driver build, which has a row of its own, aside.

    What is concluded of them is told where it does not follow from what they state themselves.
    """
    old, new = (dict(_flat("", msgspec.to_builtins(profiles[digest].profile))) for digest in (before, after))
    fields = [field for field in sorted(old.keys() | new.keys()) if old.get(field) != new.get(field)]
    for field in fields:
        if field.partition(".")[0] not in ("driver", "type"):
            yield _ASPECTS.get(field, field.replace("_", " ")), _text(old.get(field)), _text(new.get(field))
    if not _ASPECTS.keys() & set(fields):
        yield from _concluded(profiles[before].before, profiles[after].after)


def _concluded(before: Support, after: Support) -> Iterator[tuple[str, str, str]]:
    for aspect, said in (("saves", _saves), ("loads", _loads), ("match fields", _matched)):
        old, new = said(before), said(after)
        if old != new:
            yield aspect, old, new


def _saves(support: Support) -> str:
    return f"{support.format} {support.saves}" if isinstance(support, StreamSupport) else _none(support)


def _loads(support: Support) -> str:
    return f"{support.format} {support.loads}" if isinstance(support, StreamSupport) else _none(support)


def _matched(support: Support) -> str:
    fields = [each.field for each in support.match] if isinstance(support, StreamSupport) else []
    return ", ".join(fields) or "none"


def _none(support: Support) -> str:
    return "no migration" if isinstance(support, NotMigratable) else "not known"


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
