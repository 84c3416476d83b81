"""Waves of one host each, put together as far as the limits allow. Pure."""

from __future__ import annotations

from mdevreg.planning.waves.ordering import Wave
from mdevreg.planning.waves.yard import Yard


def packed(waves: list[Wave], yard: Yard) -> list[Wave]:
    """The same order in fewer waves. ``yard``: as it was before the first."""
    return waves if yard.limits.at_once == 1 else _Packing(yard).packed(waves)


class _Packing:
    """Puts a wave to the one before it, if it could have been in that."""

    def __init__(self, yard: Yard) -> None:
        self._yard = yard

    def packed(self, waves: list[Wave]) -> list[Wave]:
        """The waves, fewer of them."""
        found: list[Wave] = []
        for wave in waves:
            last = found[-1] if found else None
            if last is not None and self._joins(last, wave):
                found[-1] = Wave((*last.hosts, *wave.hosts), (*last.moves, *wave.moves))
            else:
                self._land(last)
                self._go(wave)
                found.append(wave)
        return found

    def _land(self, wave: Wave | None) -> None:
        for node in wave.hosts if wave is not None else ():
            self._yard.welcome(self._yard.nodes[node.name])

    def _joins(self, last: Wave, wave: Wave) -> bool:
        limits, names = self._yard.limits, {node.name for node in last.hosts}
        sites = [node.site for node in (*last.hosts, *wave.hosts)]
        if len(sites) > limits.at_once or max(map(sites.count, sites)) > (limits.per_site or limits.at_once):
            return False
        busy = {move.target for move in last.moves}
        if any(move.target in names for move in wave.moves) or any(node.name in busy for node in wave.hosts):
            return False
        mark = self._yard.mark()
        self._go(wave)
        if not self._yard.broken():
            return True
        self._yard.undo(mark)
        return False

    def _go(self, wave: Wave) -> None:
        for move in wave.moves:
            device = next(each for each in self._yard.nodes[move.source].devices if each.name == move.device)
            room = next(each for each in self._yard.nodes[move.target].rooms if each.parent == move.parent)
            self._yard.move(device, room)
        for node in wave.hosts:
            self._yard.send(self._yard.nodes[node.name])
