"""What all stations of one agent work with. Made once, in ``life``; nothing here is global."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from mdevreg_agent.journal import Journal
from mdevreg_agent.link import Link
from mdevreg_agent.recorder import Recorder
from mdevreg_agent.worker import Worker


@dataclass(frozen=True, kw_only=True)
class Means:
    """The shared parts, and the sources of time and chance."""

    looker: Worker  # the thread of sysfs, NVML and plug-ins, which may take their time
    worker: Worker  # the thread of the recorder
    recorder: Recorder  # and its outbox; only inside ``worker``
    link: Link
    journal: Journal
    chance: random.Random
    clock: Callable[[], float]  # seconds, only ever forward
    now: Callable[[], datetime]  # aware UTC
