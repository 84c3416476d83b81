"""What a host's state is made of, as values that may differ between two moments; for the door in memory."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from mdevreg.differing import DeviceValue, Differing, DriverValue, HostValue, OfferValue, ParentValue, Understood, Value
from mdevreg.knowledge import Knowledge
from mdevreg.objects import Profiles
from mdevreg.profiles import Profile, profile_of_device, profile_of_type
from mdevreg.records import HostFacts, Parent
from mdevreg.support import support_of

#: object, path, name of the parent, name
Place = tuple[str, str, str, str]

_interned = Profiles()
_bodies: dict[str, Profile] = {}


class Stateful(Protocol):
    """What is known of a host."""

    @property
    def facts(self) -> HostFacts | None: ...

    @property
    def parents(self) -> tuple[Parent, ...]: ...


def values_of(state: Stateful | None, *, capacity: bool) -> dict[Place, Value]:
    """Every object of a host."""
    found: dict[Place, Value] = {}
    if state is None or state.facts is None:
        return found
    found["host", "", "", ""] = HostValue(state.facts.hostname, state.facts.site, state.facts.kernel_release)
    for parent in state.parents:
        where = (parent.path, parent.name)
        free = {kind.id: kind.available_instances for kind in parent.types} if capacity else {}
        found["parent", *where, ""] = ParentValue(parent.name, free)
        for kind in parent.types:
            found["offer", *where, kind.id] = OfferValue(_digest(profile_of_type(parent, kind)))
        for device in parent.devices:
            digest = _digest(profile_of_device(parent, device))
            value = DeviceValue(device.kind, device.type, digest, device.iommu_group)
            found["device", *where, device.name] = value
            if device.driver is not None:
                found["driver", *where, device.driver.name] = DriverValue(device.driver)
        if parent.driver is not None:
            found["driver", *where, parent.driver.name] = DriverValue(parent.driver)
    return found


def profiles_in(rows: Iterable[Differing], begin: Knowledge, end: Knowledge) -> dict[str, Understood]:
    """The profiles that rows refer to, understood by what was believed at each moment."""
    values = [value for row in rows for value in (row.before, row.after)]
    digests = {value.profile for value in values if isinstance(value, OfferValue | DeviceValue)}
    return {
        digest: Understood(profile, support_of(profile, begin.catalog), support_of(profile, end.catalog))
        for digest, profile in _bodies.items()
        if digest in digests
    }


def _digest(profile: Profile) -> str:
    digest = _interned.digest(profile)
    _bodies[digest] = profile
    return digest
