"""The lines of the table of questions, and how often each is asked in a round."""

from __future__ import annotations

from rounds import FLOOR, OURS, Unit

KV = "NATS KV"
HOT, RANDOM = "pair, the same again", "pair, at random"
EXPLAIN = "pair with every reason"
COUNT, FIRST, NAMES = "count of targets", "first 100 targets", "all targets, names"
#: The floor of a change is the bare update of dictionaries; below, what more one may count to it.
EVERYDAY, UPGRADE = "apply a host: free instances", "apply a host: driver upgrade"
MOVED, DECODED = "; floor moves it between its lists", "; floor decodes the message"
LOT = "apply a host, in lots of 500: free instances"
MEMORY, READY = "memory", "ready from an empty process"
AGAIN, AGAIN_MEMORY = "ready from its cache on disk", "memory, from its cache on disk"
INDEX = "memory of the index alone"
UNITS: dict[str, Unit] = {MEMORY: "MiB", AGAIN_MEMORY: "MiB", INDEX: "MiB"}

#: Questions about a pair, about many hosts, and changes, per round: some milliseconds' worth.
PAIRS = {FLOOR: 40_000, OURS: 20_000, KV: 4_000, "SQLite": 1_000, "PostgreSQL": 300}
LISTS = {FLOOR: 200, OURS: 100, KV: 2, "SQLite": 5, "PostgreSQL": 5}
CHANGES = {FLOOR: 500, OURS: 200, KV: 50, "SQLite": 100, "PostgreSQL": 100}

#: The order of the table.
ORDER = (
    HOT,
    RANDOM,
    EXPLAIN,
    COUNT,
    FIRST,
    NAMES,
    *(line + more for line in (EVERYDAY, UPGRADE) for more in ("", MOVED, DECODED)),
    LOT,
    READY,
    AGAIN,
    MEMORY,
    AGAIN_MEMORY,
    INDEX,
)
