"""Runs: the periods in which a driver build was behind a parent, as timelines have them. Pure.

Times are µs since 1970-01-01 UTC, half-open; ``mdevreg.timeline.OPEN`` where a run holds until further notice.
"""

from __future__ import annotations

import msgspec

from mdevreg.records import DriverBuild
from mdevreg.timeline import OPEN


class Run(msgspec.Struct, frozen=True):
    """A build behind a parent in ``[begin_us, end_us)``.

    ``told`` and ``ended``: log positions of the records that told its beginning and its end; ``OPEN``: none did.
    """

    host: str
    path: str
    build: DriverBuild
    begin_us: int
    end_us: int = OPEN
    told: int = 0
    ended: int = OPEN
