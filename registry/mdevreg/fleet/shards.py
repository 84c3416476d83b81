"""A mapping of names that is never changed: an edit makes another one, which shares all that stayed. Pure.

A dictionary of 100,000 names would be copied whole for each change that a reader must not see. Here it is 1,024 small
ones, of which a change copies one. Reading costs one list index more than a dictionary.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

V = TypeVar("V")

#: How many small dictionaries; a power of two, so that a mask of the hash finds one.
PARTS = 1_024
MASK = PARTS - 1


class Shards(Generic[V]):
    """Names and values. ``parts[hash(name) & MASK]`` is the dictionary that a name is in, if it is known."""

    __slots__ = ("parts",)

    def __init__(self, parts: list[dict[str, V]] | None = None) -> None:
        nothing: dict[str, V] = {}
        self.parts = [nothing] * PARTS if parts is None else parts

    def get(self, name: str) -> V | None:
        """The value of a name, ``None`` if it is not known."""
        return self.parts[hash(name) & MASK].get(name)

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    def __iter__(self) -> Iterator[str]:
        for part in self.parts:
            yield from part

    def values(self) -> Iterator[V]:
        """Every value, in no order that means anything."""
        for part in self.parts:
            yield from part.values()

    def edited(self) -> ShardsEdit[V]:
        """Begin an edit."""
        return ShardsEdit(self)


class ShardsEdit(Generic[V]):
    """Changes to be; what they were made from is not touched."""

    __slots__ = ("_base", "_own", "_parts")

    def __init__(self, base: Shards[V]) -> None:
        self._base, self._parts = base, base.parts
        self._own: set[int] = set()

    def get(self, name: str) -> V | None:
        """The value as edited."""
        return self._parts[hash(name) & MASK].get(name)

    def set(self, name: str, value: V) -> None:
        """Give a name a value."""
        self._part(hash(name) & MASK)[name] = value

    def remove(self, name: str) -> None:
        """Forget a name, if it is known."""
        at = hash(name) & MASK
        if name in self._parts[at]:
            del self._part(at)[name]

    def done(self) -> Shards[V]:
        """The edited mapping; the same one where nothing was changed."""
        return Shards(self._parts) if self._own else self._base

    def _part(self, at: int) -> dict[str, V]:
        if at in self._own:
            return self._parts[at]
        if not self._own:
            self._parts = self._parts.copy()
        self._own.add(at)
        mine = self._parts[at] = self._parts[at].copy()
        return mine
