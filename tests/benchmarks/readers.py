"""How long a reader waits while a writer applies changes: one thread asks, another one changes what is asked."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import cycle
from typing import Any

from fleets import Fleet
from floor import Floor
from ours import Ours, key_of
from questions import Changes, Questions
from rounds import FLOOR, OURS, Cell

#: How long one distribution is measured, and how many changes a second the paced writer makes.
FOR_S, PACE = 0.4, 1_000
WRITERS = {"no writer": None, f"{PACE:,} changes/s": 1 / PACE, "a writer without rest": 0.0}
LINES = {writer: tuple(f"pair at random, {writer}: {part}" for part in ("p50", "p99", "longest")) for writer in WRITERS}

Write = Callable[[], None]


def reader_cells(fleet: Fleet, floor: Floor, ours: Ours, asked: Questions) -> Iterator[Cell]:
    """The floor's writer updates dictionaries, ours applies messages one by one."""
    bare = [(pair.host, pair.kind, pair.target) for pair in asked.pairs[:20_000]]
    keys = [key_of(pair) for pair in asked.pairs[:20_000]]
    for writer, pause_s in WRITERS.items():
        yield Cell(LINES[writer], FLOOR, partial(_delays, _asking(floor), bare, _updates(fleet, floor), pause_s))
        yield Cell(LINES[writer], OURS, partial(_delays, ours.pair, keys, _applies(fleet, ours), pause_s))


def _asking(floor: Floor) -> Callable[[tuple[str, str, str]], bool]:
    verdicts, offers = floor.verdicts, floor.offers

    def pair(asked: tuple[str, str, str]) -> bool:
        host, kind, target = asked
        return verdicts[offers[host][kind]][offers[target][kind]]

    return pair


def _updates(fleet: Fleet, floor: Floor) -> Write:
    made = cycle([(host.hostname, *floor.entries(host)) for host in Changes(fleet).everyday(500)])
    return lambda: floor.update(*next(made))


def _applies(fleet: Fleet, ours: Ours) -> Write:
    """A message is taken in again and again: a host is not older than itself."""
    made = cycle([[message] for message in ours.messages(Changes(fleet).everyday(500))])
    return lambda: ours.apply(next(made))


def _delays(
    ask: Callable[[Any], object], keys: Sequence[Any], write: Write, pause_s: float | None
) -> tuple[float, float, float]:
    """Median, 99th percentile and longest of single questions, in seconds."""
    stop = threading.Event()
    writer = threading.Thread(target=_write_until, args=(stop, write, pause_s))
    writer.start()
    try:
        taken = _asked_for(FOR_S, ask, keys)
    finally:
        stop.set()
        writer.join()
    taken.sort()
    return taken[len(taken) // 2], taken[len(taken) * 99 // 100], taken[-1]


def _write_until(stop: threading.Event, write: Write, pause_s: float | None) -> None:
    if pause_s is None:
        return
    while not stop.is_set():
        write()
        if pause_s:
            time.sleep(pause_s)


def _asked_for(seconds: float, ask: Callable[[Any], object], keys: Sequence[Any]) -> list[float]:
    taken: list[float] = []
    clock, told = time.perf_counter, taken.append
    end = clock() + seconds
    for key in cycle(keys):
        before = clock()
        ask(key)
        after = clock()
        told(after - before)
        if after > end:
            return taken
    return taken
