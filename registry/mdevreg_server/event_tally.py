"""How telling events goes, counted since the start."""

from __future__ import annotations

from collections import Counter

import msgspec


class EventTally(msgspec.Struct):
    """``published``: events by type. ``position``: up to where the log is told; ``None``: not here, or not yet.

    ``deliveries``: attempts to deliver to webhooks, by how they ended.
    """

    published: Counter[str] = msgspec.field(default_factory=Counter)
    position: int | None = None
    deliveries: Counter[str] = msgspec.field(default_factory=Counter)
