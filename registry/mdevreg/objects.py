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

from collections.abc import Iterable
from typing import Any

import msgspec

from mdevreg.profiles import Profile, profile_of_device, profile_of_type, same_surroundings, states_nothing_of_its_own
from mdevreg.records import Device, DriverBuild, HostFacts, MdevType, Parent, digest_of

#: (kind, *key)
Key = tuple[str, ...]
Value = tuple[Any, ...]

#: One changed object: its key and its new value, ``None`` = gone.
Effect = tuple[Key, Value | None]

KINDS = ("host", "parent", "offer", "device", "driver")
#: Which value of a kind is the position of the record that holds the whole document.
DOCUMENT_AT = {"host": 3, "parent": 1}

_encoder = msgspec.json.Encoder()
_canonical = msgspec.json.Encoder(order="deterministic")


class Profiles:
    """Interns profiles: a digest for each, computed once. Not shared between threads."""

    def __init__(self) -> None:
        self._digests: dict[bytes, str] = {}
        self._bodies: dict[str, bytes] = {}

    def digest(self, profile: Profile) -> str:
        """The profile's digest: SHA-256 of its canonical JSON, hex."""
        body = _canonical.encode(profile)  # a profile holds mappings, which have no hash
        digest = self._digests.get(body)
        if digest is None:
            digest = self._digests[body] = digest_of(body)
            self._bodies[digest] = body
        return digest

    def __contains__(self, digest: str) -> bool:
        return digest in self._bodies

    def body(self, digest: str) -> bytes:
        """Canonical JSON of an interned profile. Requires that ``digest`` came from this object."""
        return self._bodies[digest]


def host_objects(facts: HostFacts, position: int) -> dict[Key, Value]:
    """The host's own row."""
    return {("host",): (facts.hostname, facts.site, facts.kernel_release, position)}


def parent_objects(parent: Parent, position: int, profiles: Profiles) -> dict[Key, Value]:
    """The rows of one parent: itself, its offers, its devices, its driver builds."""
    path = parent.path
    found: dict[Key, Value] = {("parent", path): _parent_value(parent, position)}
    for kind in parent.types:
        found["offer", path, kind.id] = (profiles.digest(profile_of_type(parent, kind)),)
    offers = found if all(device.kind == "mdev" for device in parent.devices) else {}
    for device in parent.devices:
        found["device", path, device.name] = _device_value(parent, device, offers, profiles)
    for build in _builds(parent):
        found["driver", path, build.name] = driver_value(build)
    return found


def parent_effects(
    before: Parent, now: Parent, objects: dict[Key, Value], position: int, profiles: Profiles
) -> list[Effect] | None:
    """What differs between two states of one parent; ``objects``, those of ``before``, become those of ``now``.

    The short road of the everyday change, an mdev that comes or goes: nothing that stays is made anew. ``None``,
    and ``objects`` untouched, where more than that differs: then ``parent_objects`` tells.
    """
    if not same_surroundings(before, now) or not _same_offers(before.types, now.types):
        return None
    gone = {device.name: device for device in before.devices}
    new = [device for device in now.devices if gone.pop(device.name, None) != device]
    if any(device.kind == "vf" for device in (*now.devices, *gone.values())):
        return None  # the profile of their type is theirs
    path = now.path
    effects: list[Effect] = [(("parent", path), _parent_value(now, position))]
    effects += [(("device", path, name), None) for name in gone]
    effects += [(("device", path, device.name), _device_value(now, device, objects, profiles)) for device in new]
    if not _same_builds(now, new, gone.values(), objects):
        effects += _driver_effects(now, objects)
    for key, value in effects:
        if value is None:
            del objects[key]
        else:
            objects[key] = value
    return effects


def _same_builds(now: Parent, new: Iterable[Device], gone: Iterable[Device], objects: dict[Key, Value]) -> bool:
    """Whether surely no driver build comes, changes or goes with these devices."""
    for device in new:
        build = device.driver
        if build is not None and objects.get(("driver", now.path, build.name)) != driver_value(build):
            return False
    return all(device.driver is None or any(device.driver == other.driver for other in now.devices) for device in gone)


def _driver_effects(now: Parent, objects: dict[Key, Value]) -> list[Effect]:
    builds: dict[Key, Value] = {("driver", now.path, build.name): driver_value(build) for build in _builds(now)}
    effects: list[Effect] = [(key, None) for key in objects if key[0] == "driver" and key not in builds]
    return effects + [(key, value) for key, value in builds.items() if objects.get(key) != value]


def _same_offers(before: tuple[MdevType, ...], now: tuple[MdevType, ...]) -> bool:
    """Whether two lists of types differ at most in what no profile depends on."""
    return len(before) == len(now) and all(
        old.id == new.id
        and old.device_api == new.device_api
        and old.migration_stream_version == new.migration_stream_version
        and old.migration_stream_version_min == new.migration_stream_version_min
        and old.migration_version == new.migration_version
        for old, new in zip(before, now, strict=True)
    )


def driver_value(build: DriverBuild) -> Value:
    """A driver build's columns, in the order of the table."""
    return (build.module, build.kernel_release, build.version, build.srcversion, build.build_id)


def _parent_value(parent: Parent, position: int) -> Value:
    free = {kind.id: kind.available_instances for kind in parent.types}
    return (parent.name, position, _encoder.encode(free).decode())


def _device_value(parent: Parent, device: Device, offers: dict[Key, Value], profiles: Profiles) -> Value:
    """An mdev that states nothing of its own has the profile of its type; most do, and it is at hand in ``offers``."""
    plain = states_nothing_of_its_own(parent, device)
    offer = offers.get(("offer", parent.path, device.type or "")) if plain else None
    profile = offer[0] if offer else profiles.digest(profile_of_device(parent, device))
    return (device.kind, device.type, profile, device.iommu_group)


def _builds(parent: Parent) -> list[DriverBuild]:
    """The parent's driver, and those of its VFs. An mdev's own driver is named by its parent's module."""
    builds = {device.driver.name: device.driver for device in parent.devices if device.driver is not None}
    if parent.driver is not None:
        builds[parent.driver.name] = parent.driver
    return list(builds.values())
