"""Profiles: everything observed of a type that a verdict depends on, interned by digest. Pure.

A fleet of 100,000 hosts has a few dozen profiles, so they are stored once and judged once.
"""

from __future__ import annotations

from mdevreg.records import Device, DriverBuild, Line, MdevType, Name, Parent, Strict


class Profile(Strict, frozen=True):
    """What was observed of one type on one driver build; ``type`` is None where it was never readable."""

    type: Name | None = None
    device_api: Line | None = None
    driver: DriverBuild | None = None
    migration_stream_version: Line | None = None
    migration_stream_version_min: Line | None = None


def profile_of_type(parent: Parent, kind: MdevType) -> Profile:
    """The profile of a type that a parent offers: of a device that could be created."""
    return Profile(
        type=kind.id,
        device_api=kind.device_api,
        driver=_driver_of(parent, kind),
        migration_stream_version=kind.migration_stream_version,
        migration_stream_version_min=kind.migration_stream_version_min,
    )


def profile_of_device(parent: Parent, device: Device) -> Profile:
    """The profile of a device that exists. Attributes in its own folder win over those of its type."""
    kind = next((kind for kind in parent.types if kind.id == device.type), None)
    stated = device if device.migration_stream_version is not None or kind is None else kind
    return Profile(
        type=device.type,
        device_api=kind.device_api if kind else None,
        # A VF is driven by its own variant driver; an mdev's stream is its parent driver's.
        driver=device.driver if device.kind == "vf" else parent.driver or device.driver,
        migration_stream_version=stated.migration_stream_version,
        migration_stream_version_min=stated.migration_stream_version_min,
    )


def _driver_of(parent: Parent, kind: MdevType) -> DriverBuild | None:
    """A type of VFs is driven by their own driver, if they agree on one; any other by the parent's."""
    builds = [device.driver for device in parent.devices if device.kind == "vf" and device.type == kind.id]
    return builds[0] if builds and builds.count(builds[0]) == len(builds) and builds[0] else parent.driver
