"""What the HTTP face stands in front of. Needs nothing that the extra [http] brings."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor

import msgspec
import sqlalchemy as sa

from mdevreg.query.door import Door
from mdevreg_server.answers import NearbyDoor
from mdevreg_server.deciding import Decisions
from mdevreg_server.event_tally import EventTally
from mdevreg_server.http.health import AskStream
from mdevreg_server.tally import Tally


def _unknown() -> float | None:
    """No fleet is in memory."""
    return None


class Behind(msgspec.Struct, frozen=True, kw_only=True):
    """The registry's parts that answer.

    ``near``: a door to a fleet in memory, which is asked first, and inline; ``replica_age_s``: how old that fleet is,
    ``None`` while none answers. ``attached``: whether ingest is at work. ``engine``: for reading. ``now_us``: the
    registry's clock, µs UTC. ``events``: how telling them goes.
    """

    door: Door
    pool: Executor
    engine: sa.Engine
    decisions: Decisions
    tally: Tally
    stream: AskStream
    attached: Callable[[], bool]
    now_us: Callable[[], int]
    near: NearbyDoor | None = None
    replica_age_s: Callable[[], float | None] = _unknown
    events: EventTally = msgspec.field(default_factory=EventTally)
