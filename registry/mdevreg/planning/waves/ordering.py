"""Wave after wave, as many hosts at once as the limits allow. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import NamedTuple

from mdevreg.planning.waves.emptying import Move, empty
from mdevreg.planning.waves.matching import match
from mdevreg.planning.waves.nodes import Node
from mdevreg.planning.waves.yard import Yard

#: Told after each wave: hosts upgraded so far, of how many.
Progress = Callable[[int, int], None]


class Wave(NamedTuple):
    """Hosts that go away together, and the migrations before that."""

    hosts: tuple[Node, ...]
    moves: tuple[Move, ...]


class Order(NamedTuple):
    """Waves, and the hosts that could not be emptied after them."""

    waves: list[Wave]
    left: list[Node]


def order(yard: Yard, progress: Progress = lambda _done, _of: None) -> Order:
    """An order of all old hosts, as far as one is found; the yard is as it would be then."""
    waiting = sorted((node for node in yard.nodes.values() if node.stage == "old"), key=lambda node: _turn(yard, node))
    waves: list[Wave] = []
    every = len(waiting)
    while waiting:
        wave = _wave(yard, waiting, empty) or _wave(yard, waiting[:], match, at_most=1)
        if wave is None:
            break
        waves.append(wave)
        gone = set(wave.hosts)
        waiting = [node for node in waiting if node not in gone]
        progress(every - len(waiting), every)
    return Order(waves, waiting)


def _turn(yard: Yard, node: Node) -> tuple[int, int, int]:
    """What is farthest from where it may stay comes first, then who has the fewest devices."""
    return (-yard.hops.of_host(node), len(node.leaving), node.number)


def _wave(
    yard: Yard, waiting: Iterable[Node], emptied: Callable[[Yard, Node], list[Move] | None], at_most: int | None = None
) -> Wave | None:
    """The next wave, carried out; ``None``: no host can be emptied."""
    limits, hosts, moves = yard.limits, list[Node](), list[Move]()
    sites: Counter[str | None] = Counter()
    filled: set[Node] = set()
    hopeless: set[object] = set()
    for node in waiting:
        if len(hosts) == (at_most or limits.at_once):
            break
        signature = _signature(node)
        if node in filled or signature in hopeless or sites[node.site] == limits.per_site:
            continue
        found = emptied(yard, node)
        if found is None:
            hopeless.add(signature)
            continue
        hosts.append(node)
        moves += found
        sites[node.site] += 1
        filled.update(yard.nodes[move.target] for move in found)
    for node in hosts:
        yard.welcome(node)
    return Wave(tuple(hosts), tuple(moves)) if hosts else None


def _signature(node: Node) -> object:
    """Hosts with the same devices and rooms are in the same case, near enough for one wave."""
    devices = frozenset(Counter((device.kind, device.exempt) for device in node.leaving).items())
    rooms = tuple((tuple(room.kinds.items()), tuple(room.free.items()), room.claim) for room in node.rooms)
    return (devices, rooms, node.sound)
