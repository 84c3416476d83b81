"""Profiles: everything observed of a type that a verdict depends on, interned by digest. Pure.

A fleet of 100,000 hosts has a few dozen profiles, so they are stored once and judged once. What is evidence only
(NVML's blobs) is left in the record: it would make a profile of every card.
"""

from __future__ import annotations

from typing import TypeVar

from msgspec import structs

from mdevreg.records import Answer, Device, DriverBuild, MdevType, Nvml, Parent, PciIds
from mdevreg.shapes import Count, Line, Name, Strict
from mdevreg.statements import Statement

T = TypeVar("T")


class Profile(Strict, frozen=True):
    """What was observed of one type on one driver build; ``type`` is None where it was never readable.

    What record schema 1.1 added has its default in older records, so that their profiles stay what they were.
    """

    type: Name | None = None
    device_api: Line | None = None
    driver: DriverBuild | None = None
    migration_stream_version: Line | None = None
    migration_stream_version_min: Line | None = None
    migration_version: Line | None = None
    pci: PciIds | None = None  # of the VF itself
    attributes: dict[Name, Line] = {}  # of the parent
    nvml: Nvml | None = None  # without blobs
    guest_version: Count | None = None  # of a running vGPU
    answers: dict[Name, tuple[Statement, ...]] = {}  # by plug-in, the most special first


def profile_of_type(parent: Parent, kind: MdevType) -> Profile:
    """The profile of a type that a parent offers: of a device that could be created."""
    vfs = [device for device in parent.devices if device.kind == "vf" and device.type == kind.id]
    return Profile(
        type=kind.id,
        device_api=kind.device_api,
        driver=_shared([vf.driver for vf in vfs]) or parent.driver,
        migration_stream_version=kind.migration_stream_version,
        migration_stream_version_min=kind.migration_stream_version_min,
        migration_version=kind.migration_version,
        pci=_shared([vf.pci for vf in vfs]),
        attributes=dict(sorted(parent.attributes.items())),
        nvml=_judged(parent.nvml),
        answers=_answers(parent.answers, kind.id, None),
    )


def profile_of_device(parent: Parent, device: Device) -> Profile:
    """The profile of a device that exists. Attributes in its own folder win over those of its type."""
    kind = next((kind for kind in parent.types if kind.id == device.type), None)
    stated = device if device.migration_stream_version is not None or kind is None else kind
    opaque = device if device.migration_version is not None or kind is None else kind
    return Profile(
        type=device.type,
        device_api=kind.device_api if kind else None,
        # A VF is driven by its own variant driver; an mdev's stream is its parent driver's.
        driver=device.driver if device.kind == "vf" else parent.driver or device.driver,
        migration_stream_version=stated.migration_stream_version,
        migration_stream_version_min=stated.migration_stream_version_min,
        migration_version=opaque.migration_version,
        pci=device.pci,
        attributes=dict(sorted(parent.attributes.items())),
        nvml=_judged(parent.nvml),
        guest_version=device.vgpu.guest_version if device.vgpu else None,
        answers=_answers(parent.answers, device.type, device.name),
    )


def states_nothing_of_its_own(parent: Parent, device: Device) -> bool:
    """Whether a device surely has the profile of its type, if its type is listed."""
    return (
        device.kind == "mdev"
        and parent.driver is not None
        and device.migration_stream_version is None
        and device.migration_version is None
        and device.vgpu is None
        and not any(device.name in answer.devices for answer in parent.answers.values())
    )


def same_surroundings(before: Parent, now: Parent) -> bool:
    """Whether everything of a parent that enters the profiles of all its types is the same."""
    return (
        before.driver == now.driver
        and before.attributes == now.attributes
        and before.nvml == now.nvml
        and before.answers == now.answers
    )


def _shared(items: list[T | None]) -> T | None:
    """What all VFs of a type agree on: it is the type's."""
    return items[0] if items and all(item == items[0] for item in items) else None


def _judged(nvml: Nvml | None) -> Nvml | None:
    """NVML's answer without what is kept as evidence only."""
    return None if nvml is None else structs.replace(nvml, metadata=None, metadata_text=None, vgpu_types={})


def _answers(answers: dict[Name, Answer], kind: str | None, device: str | None) -> dict[Name, tuple[Statement, ...]]:
    found = {name: _special_first(answer, kind, device) for name, answer in sorted(answers.items())}
    return {name: statements for name, statements in found.items() if statements}


def _special_first(answer: Answer, kind: str | None, device: str | None) -> tuple[Statement, ...]:
    said = (answer.devices.get(device or ""), answer.types.get(kind or ""), answer.all)
    return tuple(statement for statement in said if statement is not None)
