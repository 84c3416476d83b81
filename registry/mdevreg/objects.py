"""The objects whose history is kept, taken from a record's document. Pure.

Keys and values are plain tuples, in the column order of the interval tables (``mdevreg_server.tables``):

========  ==============  ========================================================
kind      key             value
========  ==============  ========================================================
host      ()              hostname, site, kernel_release, position of the record
parent    (path)          name, position of the record, free instances by type (JSON)
offer     (path, type)    profile digest
device    (path, name)    kind, type, profile digest, iommu_group
driver    (path, name)    module, kernel_release, version, srcversion, build_id
========  ==============  ========================================================

Capacity lives in the parent's row, not in the offers': one created mdev moves the free instances of every
type of its parent, and would otherwise rewrite all its offers.
"""

from __future__ import annotations

from typing import Any

import msgspec

from mdevreg.profiles import Profile, profile_of_device, profile_of_type
from mdevreg.records import Device, DriverBuild, HostFacts, Parent, digest_of

#: (kind, *key)
Key = tuple[str, ...]
Value = tuple[Any, ...]

KINDS = ("host", "parent", "offer", "device", "driver")


class Profiles:
    """Interns profiles: a digest for each, computed once. Not shared between threads."""

    def __init__(self) -> None:
        self._digests: dict[Profile, str] = {}
        self._bodies: dict[str, bytes] = {}

    def digest(self, profile: Profile) -> str:
        """The profile's digest: SHA-256 of its canonical JSON, hex."""
        digest = self._digests.get(profile)
        if digest is None:
            body = msgspec.json.encode(profile)
            digest = self._digests[profile] = digest_of(body)
            self._bodies[digest] = body
        return digest

    def body(self, digest: str) -> bytes:
        """Canonical JSON of an interned profile. Requires that ``digest`` came from this object."""
        return self._bodies[digest]


def host_objects(facts: HostFacts, position: int) -> dict[Key, Value]:
    """The host's own row."""
    return {("host",): (facts.hostname, facts.site, facts.kernel_release, position)}


def parent_objects(parent: Parent, position: int, profiles: Profiles) -> dict[Key, Value]:
    """The rows of one parent: itself, its offers, its devices, its driver builds."""
    path = parent.path
    free = {kind.id: kind.available_instances for kind in parent.types}
    found: dict[Key, Value] = {("parent", path): (parent.name, position, msgspec.json.encode(free).decode())}
    offered: dict[str, str] = {}
    for kind in parent.types:
        profile = profile_of_type(parent, kind)
        digest = profiles.digest(profile)
        found["offer", path, kind.id] = (digest,)
        if profile.driver == parent.driver:  # not where VFs of the same type have a driver of their own
            offered[kind.id] = digest
    for device in parent.devices:
        digest = _profile_of(parent, device, offered, profiles)
        found["device", path, device.name] = (device.kind, device.type, digest, device.iommu_group)
    for build in _builds(parent):
        found["driver", path, build.name] = driver_value(build)
    return found


def driver_value(build: DriverBuild) -> Value:
    """A driver build's columns, in the order of the table."""
    return (build.module, build.kernel_release, build.version, build.srcversion, build.build_id)


def _profile_of(parent: Parent, device: Device, offered: dict[str, str], profiles: Profiles) -> str:
    """A device that states nothing of its own has the profile of its type; most do, and it is at hand."""
    plain = device.kind == "mdev" and device.migration_stream_version is None and parent.driver is not None
    known = offered.get(device.type or "") if plain else None
    return known or profiles.digest(profile_of_device(parent, device))


def _builds(parent: Parent) -> list[DriverBuild]:
    """The parent's driver, and those of its VFs. An mdev's own driver is named by its parent's module."""
    builds = {device.driver.name: device.driver for device in parent.devices if device.driver is not None}
    if parent.driver is not None:
        builds[parent.driver.name] = parent.driver
    return list(builds.values())
