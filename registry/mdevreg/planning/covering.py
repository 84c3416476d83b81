"""The fewest sets that cover everything: an integer program, solved by HiGHS (scipy). Pure."""

from __future__ import annotations

from collections.abc import Sequence

from mdevreg.planning.solving import integers


def fewest(sets: Sequence[frozenset[int]], count: int) -> list[int]:
    """Places of the fewest sets that together hold 0 … ``count`` - 1; of several choices the earlier sets.

    Requires that all sets together do. Raises ``MissingExtraError`` ([plan]).
    """
    if not count:
        return []
    first = next((at for at, each in enumerate(sets) if len(each) == count), None)
    if first is not None:
        return [first]
    rows = [[(at, 1.0) for at, each in enumerate(sets) if number in each] for number in range(count)]
    costs = [1.0 + at * 1e-6 for at in range(len(sets))]
    found = integers(costs, rows, lower=[1.0] * count, upper=[float(len(sets))] * count, most=[1.0] * len(sets))
    assert found is not None, "all sets together cover everything"
    return [at for at, times in enumerate(found) if times]
