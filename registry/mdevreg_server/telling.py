"""Turns of timelines as changes in words: what a row refers to, and what of it is news."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from mdevreg.facts import Change
from mdevreg.profiles import Profile as ProfileOf
from mdevreg.timeline import OPEN
from mdevreg.times import moment_of
from mdevreg_server.asking import At
from mdevreg_server.tables import HostFact, Parent, Profile
from mdevreg_server.timelines import Turn

_profile = msgspec.json.Decoder(ProfileOf)
_free = msgspec.json.Decoder(dict[str, int | None])


class Words:
    """What rows refer to, in words, each looked up once: parents by path, profiles by digest, hosts by id."""

    def __init__(self, connection: sa.Connection, at: At) -> None:
        self._connection, self._at = connection, at
        self._parents: dict[tuple[str, str], str] = {}
        self._profiles: dict[str, str] = {}
        self._hosts: dict[str, str] = {}

    def parent(self, host: str, path: str) -> str:
        """The name of a parent."""
        if (host, path) not in self._parents:
            named = sa.select(Parent.name).where(Parent.host == host, Parent.path == path).limit(1)
            self._parents[host, path] = self._connection.scalar(named) or path
        return self._parents[host, path]

    def profile(self, digest: str) -> str:
        """What a profile states."""
        if digest not in self._profiles:
            body = self._connection.scalar(sa.select(Profile.body).where(Profile.digest == digest))
            self._profiles[digest] = _stated(_profile.decode(body)) if body else digest
        return self._profiles[digest]

    def host(self, host: str) -> str:
        """The newest hostname of a host, up to the moment."""
        if host not in self._hosts:
            then = (HostFact.system_from <= self._at.known_at, HostFact.system_to > self._at.known_at)
            mine = sa.select(HostFact.hostname).where(HostFact.host == host, *then)
            newest = mine.where(HostFact.valid_from_us <= self._at.as_of).order_by(HostFact.valid_from_us.desc())
            self._hosts[host] = self._connection.scalar(newest.limit(1)) or host
        return self._hosts[host]


def is_news(turn: Turn) -> bool:
    """Whether a reader would call it a change: a parent that is told again with the same capacity is none."""
    if turn.kind != "parent" or turn.before is None or turn.value is None:
        return True
    return _capacity(turn.before, turn.value) != ""


def change_of(turn: Turn, words: Words) -> Change:
    """The turn in words."""
    event = "gone" if turn.value is None else "appeared" if turn.before is None else "changed"
    return Change(
        valid_from=moment_of(turn.at),
        valid_to=None if turn.until == OPEN else moment_of(turn.until),
        position=turn.position,
        host=turn.identity[0],
        object=turn.kind,
        name=_name(turn, words),
        event=event,
        detail="" if turn.value is None else _detail(turn.kind, turn.before, turn.value, words),
        hostname=words.host(turn.identity[0]),
    )


def _name(turn: Turn, words: Words) -> str:
    host, *key = turn.identity
    if turn.kind == "host":
        return host
    parent = words.parent(host, key[0])
    if turn.kind == "parent":
        return parent
    return key[1] if turn.kind == "device" else f"{parent}/{key[1]}"


def _detail(kind: str, before: tuple[Any, ...] | None, value: tuple[Any, ...], words: Words) -> str:
    match kind:
        case "host":
            return f"{value[0]} kernel {value[2]}"
        case "parent":
            return _capacity(before, value)
        case "device":
            return f"{value[0]} of type {value[1]}"
        case "driver":
            return _build(value)
    return words.profile(value[0])


def _build(value: tuple[Any, ...]) -> str:
    known = zip(("module", "kernel", "version", "srcversion", "build-id"), value, strict=True)
    return " ".join(f"{what} {text}" for what, text in known if text is not None)


def _stated(profile: ProfileOf) -> str:
    build = profile.driver
    under = f" under {build.name} {build.version or build.srcversion or ''}".rstrip() if build else ""
    if profile.migration_stream_version is None:
        return f"{profile.device_api}{under}, no stream version stated"
    least = profile.migration_stream_version_min
    return f"{profile.device_api}{under}, stream {profile.migration_stream_version}" + (
        f" from {least}" if least else ""
    )


def _capacity(before: tuple[Any, ...] | None, value: tuple[Any, ...]) -> str:
    free = _free.decode(value[2])
    if before is None:
        return "free " + ", ".join(f"{kind} {_count(count)}" for kind, count in free.items()) if free else ""
    old = _free.decode(before[2])
    moved = [
        f"{kind} {_count(old.get(kind))} → {_count(count)}" for kind, count in free.items() if old.get(kind) != count
    ]
    return "free " + ", ".join(moved) if moved else ""


def _count(count: int | None) -> str:
    return "unknown" if count is None else str(count)
