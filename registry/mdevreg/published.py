"""What the registry publishes to MDEVREG_FLEET: read from the start, the fleet as it is; read on, its changes.

==============================  ==========================================================================
subject below mdevreg.v1.fleet  message
==============================  ==========================================================================
``profile.<digest>``            ``Profile``, before the first host that has it
``host.<host>``                 ``HostState``: a host as it is now known, and its agent's receipt; after each commit
``amendment.<position>[-<n>]``  ``Amendment``: what is believed, from that log position on; large ones in parts
``presence.<bucket>``           ``Presence``: who was heard when, every few seconds
``digest.<partition>``          ``FleetDigest``: what was published so far, bucket by bucket, to compare with
==============================  ==========================================================================

A *bucket* is one of 256: the first byte of SHA-256 over the host's id, two hex digits. An empty message takes back
what its subject said before. Pure.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Annotated

import msgspec
from msgspec import Meta, Raw

from mdevreg.objects import Key, Value
from mdevreg.profiles import Profile
from mdevreg.records import DriverBuild
from mdevreg.shapes import Count, Digest, Line, Name, Path, Strict, Time, Token
from mdevreg.wire import decode_known

#: The schema of what is published, counted like that of records. 1.2: ``index``, ``missing``; the other messages.
#: 1.3: ``skew_us``.
FLEET_SCHEMA = "1.3"

BUCKETS = 256
_MASK64 = 2**64 - 1
#: An odd constant that spreads small numbers over 64 bits (2^64 / the golden ratio).
_SPREAD = 0x9E3779B97F4A7C15

#: A bucket or a digest of one, in hex.
Bucket = Annotated[str, Meta(pattern=r"^[0-9a-f]{2}$(?!\n)")]
BucketDigest = Annotated[str, Meta(pattern=r"^[0-9a-f]{16}$(?!\n)")]


class ParentIndex(Strict, frozen=True):
    """One parent, as verdicts need it; numbers are places in ``HostIndex.profiles`` and ``.builds``."""

    name: Name
    types: dict[Name, tuple[int, Count | None]] = {}  # type → profile, free instances (None: not known)
    devices: dict[Name, int] = {}  # uuid or PCI address → profile
    drivers: tuple[int, ...] = ()


class HostIndex(Strict, frozen=True):
    """A host without its documents: what a reader needs to answer for the whole fleet."""

    hostname: Line | None = None  # None: the host never told its facts
    site: Line | None = None
    kernel_release: Line | None = None
    profiles: tuple[Digest, ...] = ()
    builds: tuple[DriverBuild, ...] = ()
    parents: dict[Path, ParentIndex] = {}


class HostState(Strict, frozen=True):
    """What the registry publishes after a commit: the host as it now knows it, and the agent's receipt.

    ``seq``: everything up to it in ``epoch`` is settled (in the log, in quarantine, or declared skipped).
    ``missing``: how many numbers of the epoch never arrived; a complete snapshot took their place.
    """

    schema: Line
    host: Token
    epoch: Line  # empty: nothing known of this host
    seq: Count
    digest: Digest
    position: Count  # of the last record that changed this host
    observed_at: Time | None = None
    received_at: Time | None = None
    in_sync: bool = True
    conflict: bool = False
    missing: Count = 0
    index: HostIndex | None = None  # None: published by an older registry
    facts: Raw = Raw(b"null")  # HostFacts; null: none yet. (msgspec decodes no union with Raw)
    parents: dict[Path, Raw] = {}


class HostHead(msgspec.Struct, frozen=True):
    """The part of ``HostState`` that an index is made of; its documents are skipped over."""

    host: Token
    epoch: str
    digest: Digest
    position: int
    observed_at: Time | None = None
    received_at: Time | None = None
    in_sync: bool = True
    missing: int = 0
    index: HostIndex | None = None


class Presence(Strict, frozen=True):
    """Who was heard when, of one bucket of hosts. Those that were never heard are not in it."""

    schema: Line
    seen_us: dict[Token, int] = {}  # last heartbeat or record by the registry's clock, µs UTC
    leaving: tuple[Token, ...] = ()  # of them, those whose agents said goodbye
    conflicts: tuple[Token, ...] = ()  # those that two live agents claim to be
    skew_us: dict[Token, int] = {}  # those whose clocks are beyond the bound: their clock less the registry's


class FleetDigest(Strict, frozen=True):
    """What had been published when this was: by bucket, the sum of ``token_of`` its hosts, modulo 2^64, in hex.

    A bucket is to be compared by readers who know none of its hosts at a later position than ``position``.
    """

    schema: Line
    position: Count
    hosts: Count
    buckets: dict[Bucket, BucketDigest] = {}


def bucket_of(host: str) -> int:
    """The bucket of a host, 0 to 255."""
    return hashlib.sha256(host.encode()).digest()[0]


def token_of(digest: str, position: int) -> int:
    """What one host adds to its bucket's digest: it changes whenever the host's state does."""
    return (int(digest[:16], 16) ^ (position * _SPREAD)) & _MASK64


def summed(total: int, token: int, *, less: int = 0) -> int:
    """A bucket's digest with one host's token added, and its former one taken away."""
    return (total + token - less) & _MASK64


def index_of(objects: Mapping[str, Mapping[Key, Value]]) -> HostIndex:
    """The index of a host's objects, by parent path (``mdevreg.objects``; the host's own row under ``""``)."""
    profiles: dict[str, int] = {}
    builds: dict[Value, int] = {}
    found = objects.get("", {}).get(("host",))
    hostname, site, kernel_release = found[:3] if found else (None, None, None)
    parents = {path: _parent(objects[path], profiles, builds) for path in sorted(objects) if path}
    return HostIndex(
        hostname=hostname,
        site=site,
        kernel_release=kernel_release,
        profiles=tuple(profiles),
        builds=tuple(_build(*value) for value in builds),
        parents=parents,
    )


def _parent(objects: Mapping[Key, Value], profiles: dict[str, int], builds: dict[Value, int]) -> ParentIndex:
    name, free = "", {}
    types: dict[str, int] = {}
    devices: dict[str, int] = {}
    drivers: list[int] = []
    for key, value in objects.items():
        match key[0]:
            case "parent":
                name, free = value[0], _free.decode(value[2])
            case "offer":
                types[key[2]] = profiles.setdefault(value[0], len(profiles))
            case "device":
                devices[key[2]] = profiles.setdefault(value[2], len(profiles))
            case "driver":
                drivers.append(builds.setdefault((key[2], *value), len(builds)))
    offered = {kind: (number, free.get(kind)) for kind, number in sorted(types.items())}
    return ParentIndex(name=name, types=offered, devices=dict(sorted(devices.items())), drivers=tuple(drivers))


def _build(name: str, *identity: str | None) -> DriverBuild:
    module, kernel_release, version, srcversion, build_id = identity
    return DriverBuild(
        name=name,
        module=module,
        kernel_release=kernel_release,
        version=version,
        srcversion=srcversion,
        build_id=build_id,
    )


def decode_state(data: bytes) -> HostState:
    """Read a host whole. Raises ``DecodeError``."""
    return decode_known(_state, data)


def decode_head(data: bytes) -> HostHead:
    """Read a host without its documents. Raises ``DecodeError``."""
    return decode_known(_head, data)


def decode_presence(data: bytes) -> Presence:
    """Read who was heard. Raises ``DecodeError``."""
    return decode_known(_presence, data)


def decode_digest(data: bytes) -> FleetDigest:
    """Read what was published. Raises ``DecodeError``."""
    return decode_known(_digest, data)


def decode_profile(data: bytes) -> Profile:
    """Read a profile. Raises ``DecodeError``."""
    return decode_known(_profile, data)


_free = msgspec.json.Decoder(dict[str, int | None])
_state = msgspec.json.Decoder(HostState)
_head = msgspec.json.Decoder(HostHead)
_presence = msgspec.json.Decoder(Presence)
_digest = msgspec.json.Decoder(FleetDigest)
_profile = msgspec.json.Decoder(Profile)
