"""Who deviates from a baseline, and in what: computed from what profiles say. Pure.

All but the host's kernel and its parents' PCI ids follows from the profile, so that it is found once for each of them,
however many hosts have it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

import msgspec

from mdevreg.baselines import Baseline, BaselineClass, Configuration, Standing
from mdevreg.errors import UsageError
from mdevreg.facts import HostView
from mdevreg.profiles import Profile, profile_of_type
from mdevreg.records import DriverBuild, PciIds
from mdevreg.support import StreamSupport, Support, loads_of, saves_of
from mdevreg.wanted import WantedBuild

_NOBODY = PciIds()
#: What tells a build, the best first.
_TELLING = ("version", "srcversion", "build_id")


class Differs(msgspec.Struct, frozen=True):
    """One thing that is not as expected. ``found``: ``None``: not known."""

    what: str
    expected: str
    found: str | None


def class_of(baseline: Baseline, kind: str | None, pci: PciIds | None) -> BaselineClass | None:
    """The class that a type of a parent is in: of several that fit the one that says most, of those the first.

    ``pci``: ``None``: not known; then it is in no class that asks for ids.
    """
    fitting = [each for each in baseline.classes if _fits(each, kind, pci or _NOBODY)]
    return max(fitting, key=_exactness, default=None)


def asks_ids(baseline: Baseline, kind: str | None) -> bool:
    """Whether the class of a type depends on its parent's PCI ids."""
    return any(
        (each.vendor or each.device) and (each.type is None or fnmatchcase(kind or "", each.type))
        for each in baseline.classes
    )


def differs(wanted: BaselineClass, profile: Profile, support: Support) -> tuple[Differs, ...]:
    """In what a profile is not as its class expects it."""
    found = [
        *_driver(wanted.driver, profile.driver),
        *_one("saves", wanted.saves, saves_of(support)),
        *_one("loads", wanted.loads, loads_of(support)),
    ]
    known = fields_of(support)
    for name, value in wanted.fields.items():
        found += _one(f"fields.{name}", value, known.get(name))
    return tuple(found)


def kernel_differs(wanted: BaselineClass, kernel_release: str | None) -> tuple[Differs, ...]:
    """Whether a host's kernel is not the one that is expected."""
    return tuple(_one("kernel_release", wanted.kernel_release, kernel_release))


def standing_of(found: Iterable[Differs], doubts: Sequence[str]) -> Standing:
    """How a host stands: what is not known, and what is not to be relied on, does not make it deviate."""
    listed = list(found)
    if doubts:
        return "unknown"
    if any(each.found is not None for each in listed):
        return "deviates"
    return "unknown" if listed else "conforms"


def fields_of(support: Support) -> dict[str, str]:
    """The values of match fields that are known."""
    if not isinstance(support, StreamSupport):
        return {}
    return {each.field: each.value for each in support.match if each.value is not None} | dict(support.fields)


def configuration_of(profile: Profile, support: Support, kernel_release: str | None, hosts: int = 1) -> Configuration:
    """What a type of that profile looks like."""
    return Configuration(
        type=profile.type or "",
        hosts=hosts,
        driver=None if profile.driver is None else _exactly(profile.driver),
        kernel_release=kernel_release,
        saves=saves_of(support),
        loads=loads_of(support),
        fields=fields_of(support),
    )


def classes_like(view: HostView) -> tuple[BaselineClass, ...]:
    """A baseline that a host would conform to. Raises ``UsageError`` for one that differs from itself, or has nothing.

    Classes have the parents' PCI ids where these are known.
    """
    kernel = None if view.facts is None else view.facts.kernel_release
    found: dict[str, BaselineClass] = {}
    for parent in view.parents:
        for kind in parent.types:
            support = view.supports.get(f"{parent.name}/{kind.id}")
            if support is None or parent.path in view.pruned:
                continue
            told = configuration_of(profile_of_type(parent, kind), support, kernel).as_class
            ids = parent.pci or _NOBODY
            mine = msgspec.structs.replace(told, vendor=ids.vendor, device=ids.device)
            other = found.setdefault(mine.key, mine)
            if other != mine:
                text = f"{view.evidence.hostname} has {mine.key} in two configurations"
                raise UsageError(f"{text}; take a host that has one, or describe the baseline in a file")
    if not found:
        raise UsageError(f"{view.evidence.hostname} offers nothing that a baseline could be made of")
    return tuple(found[key] for key in sorted(found))


def classes_of_most(configurations: Iterable[Configuration]) -> tuple[BaselineClass, ...]:
    """A baseline of what most hosts have: of each type its most frequent configuration. Raises ``UsageError``."""
    found: dict[str, Configuration] = {}
    for each in configurations:
        best = found.setdefault(each.type, each)
        if each.hosts > best.hosts:
            found[each.type] = each
    if not found:
        raise UsageError("the hosts in that scope offer nothing that a baseline could be made of")
    return tuple(found[kind].as_class for kind in sorted(found))


def _fits(each: BaselineClass, kind: str | None, pci: PciIds) -> bool:
    if each.type is not None and not fnmatchcase(kind or "", each.type):
        return False
    ids = ((each.vendor, pci.vendor), (each.device, pci.device))
    return all(wanted is None or (found or "").lower() == wanted.lower() for wanted, found in ids)


def _exactness(each: BaselineClass) -> tuple[int, bool, bool]:
    ids = sum(value is not None for value in (each.vendor, each.device))
    return ids, each.type is not None, each.type is not None and not set(each.type) & set("*?[")


def _driver(wanted: WantedBuild | None, build: DriverBuild | None) -> list[Differs]:
    if wanted is None or wanted.is_met_by(build):
        return []
    if build is None:
        return [Differs("driver", str(wanted), None)]
    if wanted.name not in (build.name, build.module):
        return [Differs("driver", str(wanted), str(_exactly(build)))]
    said = {
        key: _one(f"driver.{key}", getattr(wanted, key), getattr(build, key)) for key in (*_TELLING, "kernel_release")
    }
    # Another version has another srcversion and build-id: that says no more.
    return [*next((said[key] for key in _TELLING if said[key]), []), *said["kernel_release"]]


def _one(what: str, wanted: str | None, found: str | None) -> list[Differs]:
    return [] if wanted is None or wanted == found else [Differs(what, wanted, found)]


def _exactly(build: DriverBuild) -> WantedBuild:
    """A build by what tells it, its kernel aside: that is the host's."""
    return WantedBuild(name=build.name, version=build.version, srcversion=build.srcversion, build_id=build.build_id)
