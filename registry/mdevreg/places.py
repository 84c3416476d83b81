"""Places in a profile where match rules find what was observed. Pure.

``pci.revision``, ``attributes.infiniband/board_id``, ``nvml.name``, ``driver.version``, ``profile.type``. One is
computed: ``nvml.manager_branch``, the branch of NVIDIA's vGPU manager (550.90.05 is of branch 550).
"""

from __future__ import annotations

from collections.abc import Callable

from mdevreg.profiles import Profile
from mdevreg.records import DriverBuild, Nvml, PciIds

_COMPUTED = frozenset({"manager_branch"})
_PLAIN = frozenset({"type", "device_api"})


def observed_at(profile: Profile, place: str) -> str | None:
    """What was observed at a place; ``None``: nothing, or there is no such place."""
    kind, _, name = place.partition(".")
    found = _READERS[kind](profile, name) if known_place(place) else None
    if isinstance(found, bool):
        return "on" if found else "off"
    return None if found is None else str(found).strip()


def known_place(place: str) -> bool:
    """Whether a match rule may name this place."""
    kind, _, name = place.partition(".")
    names = _NAMES.get(kind)
    return bool(name) and (kind == "attributes" or (names is not None and name in names))


def _nvml(profile: Profile, name: str) -> object:
    nvml = profile.nvml or Nvml()
    if name == "manager_branch":
        return nvml.driver_version.partition(".")[0] if nvml.driver_version else None
    return getattr(nvml, name, None)


_READERS: dict[str, Callable[[Profile, str], object]] = {
    "attributes": lambda profile, name: profile.attributes.get(name),
    "driver": lambda profile, name: getattr(profile.driver, name, None),
    "nvml": _nvml,
    "pci": lambda profile, name: getattr(profile.pci, name, None),
    "profile": lambda profile, name: getattr(profile, name, None),
}
_NAMES: dict[str, frozenset[str]] = {
    "driver": frozenset(DriverBuild.__struct_fields__),
    "nvml": frozenset(Nvml.__struct_fields__) | _COMPUTED,
    "pci": frozenset(PciIds.__struct_fields__),
    "profile": _PLAIN,
}
