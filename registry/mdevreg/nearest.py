"""The known names that look most like one that is not known. Pure."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from difflib import SequenceMatcher

#: Only so much of a name is looked at; no name of ours is longer.
MAX_CHARS = 255
#: So many names with the most letter pairs in common are compared with care.
MAX_COMPARED = 200
#: How alike two names must be, from 0 (nothing in common) to 1 (equal).
LEAST_ALIKE = 0.6
_BEGINNING = 3  # so many letters say enough when the known name begins with them


def nearest(name: str, known: Iterable[str], limit: int = 3) -> tuple[str, ...]:
    """Up to ``limit`` of the ``known`` names, the most alike first; letter case is ignored.

    A name that begins with what was asked for counts as alike: people shorten uuids and host names. The work
    is bounded: each known name is looked at once and cheaply, ``MAX_COMPARED`` of them with care.
    """
    wanted = name[:MAX_CHARS].casefold()
    pairs = {wanted[at : at + 2] for at in range(len(wanted) - 1)} or {wanted}
    promising = heapq.nlargest(MAX_COMPARED, ((_common(pairs, each), each) for each in set(known)))
    matcher = SequenceMatcher(autojunk=False)
    matcher.set_seq2(wanted)
    rated = [(_alike(matcher, wanted, each), each) for _, each in promising]
    close = sorted((-rate, each) for rate, each in rated if rate >= LEAST_ALIKE)
    return tuple(each for _, each in close[:limit])


def _common(pairs: set[str], known: str) -> float:
    """How many of the letter pairs it has, less a little for every letter more: the shorter of two equals wins."""
    folded = known[:MAX_CHARS].casefold()
    return sum(pair in folded for pair in pairs) - len(folded) / (MAX_CHARS + 1)


def _alike(matcher: SequenceMatcher[str], wanted: str, known: str) -> float:
    folded = known[:MAX_CHARS].casefold()
    if len(wanted) >= _BEGINNING and folded.startswith(wanted):
        return 1.0
    matcher.set_seq1(folded)
    return matcher.ratio()
