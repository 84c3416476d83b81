"""What differs between two moments, row by row, as a door hands it out. Pure."""

from __future__ import annotations

from typing import Any

import msgspec

from mdevreg.catalog import Entry
from mdevreg.facts import NOW, Moment
from mdevreg.knowledge import Origin
from mdevreg.profiles import Profile
from mdevreg.records import DriverBuild
from mdevreg.rules import Rule
from mdevreg.support import Support

#: Hosts of one page, unless said otherwise, and at most.
DEFAULT_HOSTS, MAX_HOSTS = 500, 10_000


class HostValue(msgspec.Struct, frozen=True, tag_field="object", tag="host"):
    """What a host was."""

    hostname: str
    site: str | None
    kernel_release: str | None


class ParentValue(msgspec.Struct, frozen=True, tag_field="object", tag="parent"):
    """What a parent was. ``free``: instances by type; empty unless capacity was asked for."""

    name: str
    free: dict[str, int | None] = {}


class OfferValue(msgspec.Struct, frozen=True, tag_field="object", tag="offer"):
    """What a parent offered a type with: the digest of its profile."""

    profile: str


class DeviceValue(msgspec.Struct, frozen=True, tag_field="object", tag="device"):
    """What a device was."""

    kind: str
    type: str | None
    profile: str
    iommu_group: int | None = None


class DriverValue(msgspec.Struct, frozen=True, tag_field="object", tag="driver"):
    """The build of a driver."""

    build: DriverBuild


Value = HostValue | ParentValue | OfferValue | DeviceValue | DriverValue


class Differing(msgspec.Struct, frozen=True, omit_defaults=True):
    """One object that is not the same at both moments; ``None``: it was not there.

    ``path`` and ``parent``: the parent's path and name; ``name``: the type, the device or the driver.
    """

    host: str
    object: str  # "host", "parent", "offer", "device", "driver"
    path: str = ""
    parent: str = ""
    name: str = ""
    before: Value | None = None
    after: Value | None = None


class HostName(msgspec.Struct, frozen=True):
    """How a host is called at the later moment, or was at the earlier one."""

    hostname: str
    site: str | None = None


class Understood(msgspec.Struct, frozen=True):
    """A profile, and what it saves and loads as the registry understood it at each moment."""

    profile: Profile
    before: Support
    after: Support


class EntryDiffering(msgspec.Struct, frozen=True, omit_defaults=True):
    """A catalog entry that is not believed alike at both moments."""

    origin: Origin
    id: str
    before: Entry | None = None
    after: Entry | None = None


class Decided(msgspec.Struct, frozen=True, omit_defaults=True):
    """What had been decided by each moment: all rules, and the catalog entries that differ."""

    rules_before: tuple[Rule, ...] = ()
    rules_after: tuple[Rule, ...] = ()
    entries: tuple[EntryDiffering, ...] = ()


class DifferencePage(msgspec.Struct, frozen=True):
    """What differs on some hosts, in the order of their ids. ``hosts``, ``profiles``: whatever the rows refer to.

    ``decided`` is on the first page, where no host or site was named. ``next``: the cursor of the page after this
    one, ``None`` on the last.
    """

    position: int
    rows: tuple[Differing, ...]
    hosts: dict[str, HostName]
    profiles: dict[str, Understood]
    decided: Decided | None = None
    next: str | None = None


class DifferenceAsked(msgspec.Struct, frozen=True):
    """What is compared. ``host``, ``site``: only there, at either moment; ``capacity``: free instances count too.

    ``limit``: at most so many hosts in a page; ``cursor``: ``next`` of the page before.
    """

    begin: Moment
    end: Moment = NOW
    host: str | None = None
    site: str | None = None
    capacity: bool = False
    limit: int = DEFAULT_HOSTS
    cursor: str | None = None


def fields_of(asked: DifferenceAsked) -> dict[str, Any]:
    """What is asked, as the fields of a request; the later moment is the request's own."""
    return {
        "from_as_of": asked.begin.as_of,
        "from_known_at": asked.begin.known_at,
        "host": asked.host,
        "site": asked.site,
        "capacity": asked.capacity or None,
        "limit": asked.limit,
        "cursor": asked.cursor,
    }
