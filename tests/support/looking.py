"""A look at a built tree with the real reader, the wire's own check of what it saw, and the recorded mtty in it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from mdevreg import wire
from mdevreg.records import EMPTY_DIGEST, SCHEMA, Body, Cause, HostBody, Parent, ParentBody, Record
from mdevreg_agent.picture import Picture, documents_of
from mdevreg_agent.sysfs import read_picture

#: The mdev of the recorded step 06, its parent, and the parent's types.
UUID = "00000001-1111-4222-8333-444455556666"
PARENT = "/sys/devices/virtual/mtty/mtty"
MDEV = f"{PARENT}/{UUID}"
TYPES = f"{PARENT}/mdev_supported_types"


def look(root: Path, *, previous: Picture | None = None, wait: Callable[[], None] | None = None) -> Picture:
    """One look that passes the wire's decoder; without ``wait`` it must not have to wait."""
    picture = read_picture(root, agent_version="test", previous=previous, retries=3, wait=wait or _no_need_to_wait)
    _pass_the_wire(picture)
    return picture


def mtty(picture: Picture) -> Parent:
    """The parent mtty."""
    return next(parent for parent in picture.parents if parent.name == "mtty")


def mdevs(picture: Picture) -> list[tuple[str, str | None]]:
    """Name and type of mtty's mdevs."""
    return [(device.name, device.type) for device in mtty(picture).devices]


def faults(picture: Picture) -> list[tuple[str, str, str | None]]:
    """Path, error and text of mtty's faults."""
    return [(fault.path, fault.error, fault.text) for fault in mtty(picture).faults]


def _no_need_to_wait() -> None:
    raise AssertionError("waited, though every mdev has its type")


def _pass_the_wire(picture: Picture) -> None:
    documents = documents_of(picture)
    _decode(HostBody(facts=msgspec.Raw(documents.facts)))
    for parent, raw in zip(picture.parents, documents.parents.values(), strict=True):
        decoded = _decode(ParentBody(path=parent.path, parent=msgspec.Raw(raw)))
        assert decoded.parent == parent


def _decode(body: Body) -> wire.Decoded:
    cause = Cause(kind="startup")
    at = datetime(2026, 1, 1, tzinfo=UTC)
    record = Record(
        schema=SCHEMA, host="h", epoch="e", seq=1, digest=EMPTY_DIGEST, observed_at=at, cause=cause, body=body
    )
    return wire.decode(wire.encode(record))
