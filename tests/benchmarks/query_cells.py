"""What is measured of the floor, of ours and of SQL in this process."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import count

from fleets import Fleet, Host
from floor import Floor
from ours import Ours, key_of
from peers_sql import PostgreSQL, Sqlite
from query_lines import (
    CHANGES,
    COUNT,
    DECODED,
    EVERYDAY,
    EXPLAIN,
    FIRST,
    HOT,
    LISTS,
    LOT,
    MOVED,
    NAMES,
    PAIRS,
    RANDOM,
    READY,
    UPGRADE,
)
from questions import Changes, Pair, Questions
from rounds import FLOOR, OURS, Cell, each, idle_s, turn

from mdevreg.published import decode_head


def floor_cells(fleet: Fleet, floor: Floor, asked: Questions) -> Iterator[Cell]:
    """The bare look-ups and updates."""
    source, number = (asked.hot.host, asked.hot.kind), count()
    yield Cell((HOT,), FLOOR, partial(_bare_hot, floor, asked.hot))
    yield Cell((RANDOM,), FLOOR, lambda: _bare_random(floor, turn(asked.pairs, PAIRS[FLOOR], next(number))))
    yield Cell((COUNT,), FLOOR, partial(each, floor.count, [source] * 5_000))
    yield Cell((FIRST,), FLOOR, partial(each, floor.first, [source] * 5_000))
    yield Cell((NAMES,), FLOOR, partial(each, floor.names, [source] * LISTS[FLOOR]))
    yield from _bare_changes(fleet, floor)


def _bare_hot(floor: Floor, asked: Pair) -> float:
    """Two levels of dictionaries, by names, no call."""
    verdicts, offers, times = floor.verdicts, floor.offers, range(PAIRS[FLOOR])
    host, kind, target = asked.host, asked.kind, asked.target
    started = time.perf_counter()
    for _ in times:
        verdicts[offers[host][kind]][offers[target][kind]]
    return (time.perf_counter() - started - idle_s(times)) / len(times)


def _bare_random(floor: Floor, pairs: Sequence[Pair]) -> float:
    verdicts, offers = floor.verdicts, floor.offers
    keys = [(pair.host, pair.kind, pair.target) for pair in pairs]
    started = time.perf_counter()
    for host, kind, target in keys:
        verdicts[offers[host][kind]][offers[target][kind]]
    return (time.perf_counter() - started - idle_s(keys)) / len(keys)


def _bare_changes(fleet: Fleet, floor: Floor) -> Iterator[Cell]:
    """``bare`` forgets to move the hosts between its lists: it is kept apart."""
    bare, decoding, number = Floor(fleet), Floor(fleet), CHANGES[FLOOR]
    updates, moves, decodes = Changes(fleet), Changes(fleet), Changes(fleet)
    for line, change in ((EVERYDAY, Changes.everyday), (UPGRADE, Changes.upgrades)):
        yield Cell((line,), FLOOR, partial(_updated, change, updates, number, bare.update, bare))
        yield Cell((line + MOVED,), FLOOR, partial(_updated, change, moves, number, floor.move, floor))
        yield Cell((line + DECODED,), FLOOR, partial(_decoded, change, decodes, fleet, decoding))
    yield Cell((LOT,), FLOOR, partial(_updated, Changes.everyday, updates, number, bare.update, bare))


Change = Callable[[Changes, int], list[Host]]


def _updated(change: Change, changes: Changes, number: int, update: Callable[..., None], floor: Floor) -> float:
    made = [(host.hostname, *floor.entries(host)) for host in change(changes, number)]
    return each(lambda entries: update(*entries), made)


def _decoded(change: Change, changes: Changes, fleet: Fleet, floor: Floor) -> float:
    hosts = change(changes, CHANGES[FLOOR])
    made = [(fleet.state(host, 1)[1], host.hostname, *floor.entries(host)) for host in hosts]

    def apply(entries: tuple[bytes, str, dict[str, int], dict[str, int]]) -> None:
        decode_head(entries[0])
        floor.update(*entries[1:])

    return each(apply, made)


def our_cells(fleet: Fleet, ours: Ours, asked: Questions) -> Iterator[Cell]:
    """The index."""
    device, number, changes = asked.hot.mdev, count(), Changes(fleet)
    keys = [key_of(pair) for pair in asked.pairs]
    yield Cell((HOT,), OURS, partial(ours.pair_s, [key_of(asked.hot)] * PAIRS[OURS]))
    yield Cell((RANDOM,), OURS, lambda: ours.pair_s(turn(keys, PAIRS[OURS], next(number))))
    yield Cell((EXPLAIN,), OURS, lambda: each(ours.explain, turn(keys, 300, next(number))))
    yield Cell((COUNT,), OURS, partial(each, ours.count, [device] * 2_000))
    yield Cell((FIRST,), OURS, partial(each, ours.first, [device] * 2_000))
    yield Cell((NAMES,), OURS, partial(each, ours.names, [device] * LISTS[OURS]))
    for line, change in ((EVERYDAY, Changes.everyday), (UPGRADE, Changes.upgrades)):
        lines = (line, line + MOVED, line + DECODED)
        yield Cell(lines, OURS, partial(_applied, change, changes, ours))
    yield Cell((LOT,), OURS, partial(_applied_at_once, changes, ours))


def _applied(change: Change, changes: Changes, ours: Ours) -> float:
    return each(ours.apply, [[message] for message in ours.messages(change(changes, CHANGES[OURS]))])


def _applied_at_once(changes: Changes, ours: Ours, lot: int = 500) -> float:
    return each(ours.apply, [ours.messages(changes.everyday(lot))]) / lot


def sql_cells(fleet: Fleet, peer: Sqlite | PostgreSQL, asked: Questions) -> Iterator[Cell]:
    """One of the two databases."""
    source, number, who, changes = (asked.hot.host, asked.hot.kind), count(), peer.name, Changes(fleet)
    pairs = [(pair.host, pair.kind, pair.target) for pair in asked.pairs]
    hot = (asked.hot.host, asked.hot.kind, asked.hot.target)
    yield Cell((HOT,), who, partial(each, peer.pair, [hot] * PAIRS[who]))
    yield Cell((RANDOM,), who, lambda: each(peer.pair, turn(pairs, PAIRS[who], next(number))))
    yield Cell((COUNT,), who, partial(each, peer.count, [source] * LISTS[who]))
    yield Cell((FIRST,), who, partial(each, peer.first, [source] * PAIRS[who]))
    yield Cell((NAMES,), who, partial(each, peer.names, [source] * LISTS[who]))
    yield Cell((EVERYDAY,), who, lambda: each(peer.update, changes.everyday(CHANGES[who])))
    yield Cell((UPGRADE,), who, lambda: each(peer.update, changes.upgrades(CHANGES[who])))
    yield Cell((READY,), who, lambda: peer.load_s, 1)
