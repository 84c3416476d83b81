"""Statements: what somebody says of a driver's streams, as text, before it is understood. Pure.

The same words in a catalog file, in an operator's file and in the answer of an exec plug-in. ``mdevreg.support``
turns them into stream support; what it can't understand leaves the support unknown, with the reason.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from mdevreg.shapes import Line, Name, Strict
from mdevreg.versions import Scheme

#: Most versions or tags that one statement lists, and most match fields.
MAX_LISTED = 64

_Listed = Annotated[tuple[Line, ...], Meta(max_length=MAX_LISTED)]


class VersionSet(Strict, frozen=True):
    """Versions as a table: exactly one of its keys is given; ``optional`` goes with ``tags``."""

    exact: Line | None = None
    range: tuple[Line, Line] | None = None  # [minimum, maximum], both included
    up_to: Line | None = None  # every version up to this one, no lower bound
    one_of: _Listed = ()
    tags: _Listed = ()  # saves: written always, the target must know them. loads: known
    optional: _Listed = ()  # saves: flagged as optional, a target that does not know them skips them
    opaque: bool = False  # nothing in the stream tells its version


#: Versions as they are stated: "1.0" = that one, ["1.0", "2.1"] = one of these, or a table.
Versions = Line | _Listed | VersionSet


class MatchRule(Strict, frozen=True):
    """One more thing that must fit. ``rule``: *superset* = the target has every bit (or word) of the source.

    ``differing``: what follows where it does not fit; *unknown* where vendors' documents contradict each other.
    ``from``: where the value is found in a profile (``pci.revision``, ``attributes.board_id``, ``nvml.board``);
    without it, in the ``fields`` that somebody stated.
    """

    field: Name
    rule: Literal["equal", "superset", "advisory"]
    differing: Literal["no", "unknown"] = "no"
    from_: Line | None = msgspec.field(name="from", default=None)
    about: Line | None = None


class Statement(Strict, frozen=True):
    """What is said of one driver's streams. Everything may be left out but what it is meant to say.

    ``decided_by``: *device* = the driver passes the content on and the device's firmware judges it.
    ``earliest_check``: when a mismatch shows; *pre_copy* = it may be before the guest is paused.
    ``fields``: values of match fields.
    """

    migratable: bool = True
    format: Name | None = None
    scheme: Scheme = "integer"
    saves: Versions | None = None
    loads: Versions | None = None
    decided_by: Literal["driver", "device"] = "driver"
    earliest_check: Literal["pre_copy", "downtime"] | None = None
    match: Annotated[tuple[MatchRule, ...], Meta(max_length=MAX_LISTED)] = ()
    fields: Annotated[dict[Name, Line], Meta(max_length=MAX_LISTED)] = {}
