"""From observations to stream support: the registry interprets, agents do not. Pure.

Known source so far: the attributes sketched by the kernel's maintainers, ``migration_stream_version`` and
``migration_stream_version_min``. Where nothing is stated, nothing is concluded.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from mdevreg.profiles import Profile
from mdevreg.streams import Exact, Range, StreamSupport, StreamVersion, fit


class NoSupport(msgspec.Struct, frozen=True):
    """Why no stream support could be concluded."""

    why: Literal["nothing_stated", "no_driver", "unreadable", "minimum_above_version"]
    text: str = ""


def support_of(profile: Profile) -> StreamSupport | NoSupport:
    """What this profile saves and loads, or why that is not known."""
    stated = profile.migration_stream_version
    if stated is None:
        return NoSupport("nothing_stated")
    if profile.driver is None:
        return NoSupport("no_driver")
    version = StreamVersion.parse(stated)
    if version is None:
        return NoSupport("unreadable", stated)
    loads = _loads(version, profile.migration_stream_version_min)
    if isinstance(loads, NoSupport):
        return loads
    # The module names the namespace: two drivers never share one, two builds of a driver always do.
    return StreamSupport(profile.driver.module or profile.driver.name, version, loads, "sysfs")


def _loads(version: StreamVersion, stated: str | None) -> Range | Exact | NoSupport:
    if stated is None:
        return Exact(version)
    minimum = StreamVersion.parse(stated)
    if minimum is None:
        return NoSupport("unreadable", stated)
    if fit(minimum, Exact(version)) == "schemes_differ":
        return NoSupport("unreadable", f"{stated} beside {version}")
    if minimum.key > version.key:
        return NoSupport("minimum_above_version", f"{stated} > {version}")
    return Range(minimum, version)
