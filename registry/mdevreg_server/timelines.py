"""The life of a host or device as a list of changes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import sqlalchemy as sa

from mdevreg.errors import NotFoundError, UsageError
from mdevreg.facts import Change
from mdevreg.profiles import Profile as ProfileOf
from mdevreg.timeline import OPEN
from mdevreg.times import moment_of
from mdevreg_server.asking import At
from mdevreg_server.evidence import find_host
from mdevreg_server.intervals import Shape, shapes
from mdevreg_server.stamps import timed
from mdevreg_server.tables import Device, Parent, Profile

#: host, then the key columns of the table
Identity = tuple[str, ...]

_profile = msgspec.json.Decoder(ProfileOf)
_free = msgspec.json.Decoder(dict[str, int | None])


class Span(msgspec.Struct, frozen=True):
    """One row of an object's timeline; the positions of the records that told its two ends."""

    value: tuple[Any, ...]
    valid_from: int
    valid_to: int
    told_at: int
    ended_at: int


def history_of(connection: sa.Connection, name: str, at: At, limit: int) -> tuple[str, tuple[Change, ...]]:
    """The host's id, and the last ``limit`` changes of a host or device up to a moment, oldest first.

    ``name``: a host, ``HOST/DEVICE``, or a device, on whatever hosts it was. Raises ``NotFoundError``.
    """
    if limit < 1:
        raise UsageError(f"limit is {limit}; at least 1 was expected")
    host, device = _who(connection, name, at)
    words = _Words(connection, host)
    changes: list[Change] = []
    for kind, shape in shapes().items():
        if device is None or kind == "device":
            wanted = _wanted(shape, host if device is None or "/" in name else None, device)
            for identity, spans in _spans(connection, shape, wanted, at).items():
                changes += _changes(kind, identity, words, spans, at)
    changes.sort(key=lambda change: (change.valid_from, change.position, change.object, change.name))
    return host, timed(connection, changes[-limit:])


def _who(connection: sa.Connection, name: str, at: At) -> tuple[str, str | None]:
    host, _, device = name.partition("/")
    if device:
        return find_host(connection, host, at).host, device
    newest = sa.select(Device.host).where(Device.name == name).order_by(Device.valid_from_us.desc()).limit(1)
    last = connection.scalar(newest)
    if last is not None:
        return last, name
    try:
        return find_host(connection, name, at).host, None
    except NotFoundError as error:
        raise NotFoundError("host or device", name, error.nearest) from error


class _Words:
    """What rows refer to, in words: parents by path, profiles by digest."""

    def __init__(self, connection: sa.Connection, host: str) -> None:
        rows = connection.execute(sa.select(Parent.path, Parent.name).where(Parent.host == host).distinct())
        self._parents: dict[str, str] = {row.path: row.name for row in rows}
        self._profiles: dict[str, str] = {}
        self._connection = connection

    def parent(self, path: str) -> str:
        """The name of a parent."""
        return self._parents.get(path, path)

    def profile(self, digest: str) -> str:
        """What a profile states."""
        if digest not in self._profiles:
            body = self._connection.scalar(sa.select(Profile.body).where(Profile.digest == digest))
            self._profiles[digest] = _stated(_profile.decode(body)) if body else digest
        return self._profiles[digest]


def _stated(profile: ProfileOf) -> str:
    build = profile.driver
    under = f" under {build.name} {build.version or build.srcversion or ''}".rstrip() if build else ""
    if profile.migration_stream_version is None:
        return f"{profile.device_api}{under}, no stream version stated"
    least = profile.migration_stream_version_min
    return f"{profile.device_api}{under}, stream {profile.migration_stream_version}" + (
        f" from {least}" if least else ""
    )


def _wanted(shape: Shape, host: str | None, device: str | None) -> list[sa.ColumnElement[bool]]:
    columns = shape.table.c
    wanted = [] if host is None else [columns.host == host]
    return wanted if device is None else [*wanted, columns.name == device]


def _spans(
    connection: sa.Connection, shape: Shape, wanted: list[sa.ColumnElement[bool]], at: At
) -> dict[Identity, list[Span]]:
    """The timelines as known at the moment."""
    columns = shape.table.c
    known = (columns.system_from <= at.known_at, columns.system_to > at.known_at)
    rows = connection.execute(sa.select(shape.table).where(*wanted, *known).order_by(columns.valid_from_us)).mappings()
    found: dict[Identity, list[Span]] = {}
    for row in rows:
        ended = row["ended_at"] <= at.known_at
        span = Span(
            value=tuple(row[name] for name in shape.values),
            valid_from=row["valid_from_us"],
            valid_to=row["valid_to_us"] if ended else OPEN,
            told_at=row["system_from"],
            ended_at=row["ended_at"],
        )
        found.setdefault(tuple(row[name] for name in shape.key), []).append(span)
    return found


def _changes(kind: str, identity: Identity, words: _Words, spans: list[Span], at: At) -> Iterator[Change]:
    before: Span | None = None
    for span in spans:
        if span.valid_from > at.as_of:
            return
        joined = before is not None and before.valid_to == span.valid_from
        detail = _detail(kind, before.value if before and joined else None, span.value, words)
        if detail is not None:
            event = "changed" if joined else "appeared"
            yield _change(kind, identity, words, (span.valid_from, span.valid_to, span.told_at), event, detail)
        following = next((later for later in spans if later.valid_from == span.valid_to), None)
        if span.valid_to <= at.as_of and span.valid_to != OPEN and following is None:
            yield _change(kind, identity, words, (span.valid_to, OPEN, span.ended_at), "gone", "")
        before = span


def _change(
    kind: str, identity: Identity, words: _Words, when: tuple[int, int, int], event: str, detail: str
) -> Change:
    valid_from, valid_to, position = when
    return Change(
        valid_from=moment_of(valid_from),
        valid_to=None if valid_to == OPEN else moment_of(valid_to),
        position=position,
        host=identity[0],
        object=kind,
        name=_name(kind, identity, words),
        event=event,
        detail=detail,
    )


def _name(kind: str, identity: Identity, words: _Words) -> str:
    if kind == "host":
        return identity[0]
    parent = words.parent(identity[1])
    if kind == "parent":
        return parent
    return identity[2] if kind == "device" else f"{parent}/{identity[2]}"


def _detail(kind: str, before: tuple[Any, ...] | None, value: tuple[Any, ...], words: _Words) -> str | None:
    """What changed, in a few words; ``None`` where nothing that a reader would call a change did."""
    match kind:
        case "host":
            return f"{value[0]} kernel {value[2]}"
        case "parent":
            return _capacity(before, value)
        case "device":
            return f"{value[0]} of type {value[1]}"
        case "driver":
            known = zip(("module", "kernel", "version", "srcversion", "build-id"), value, strict=True)
            return " ".join(f"{what} {text}" for what, text in known if text is not None)
    return words.profile(value[0])


def _capacity(before: tuple[Any, ...] | None, value: tuple[Any, ...]) -> str | None:
    free = _free.decode(value[2])
    if before is None:
        return "free " + ", ".join(f"{kind} {_count(count)}" for kind, count in free.items()) if free else ""
    old = _free.decode(before[2])
    moved = [
        f"{kind} {_count(old.get(kind))} → {_count(count)}" for kind, count in free.items() if old.get(kind) != count
    ]
    return "free " + ", ".join(moved) if moved else None


def _count(count: int | None) -> str:
    return "unknown" if count is None else str(count)
