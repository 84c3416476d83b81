"""The stream versions that all hosts of a fleet load, and who narrows them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import msgspec

from mdevreg.fleet.kinds import Kind
from mdevreg.fleet.table import RulingTable
from mdevreg.streams import contains, ends
from mdevreg.support import StreamSupport
from mdevreg.versions import StreamVersion


class CommonRange(msgspec.Struct, frozen=True):
    """Of one type and stream format: the versions that every host loads.

    ``lowest``, ``highest``: of those, ``None``: there is no such bound; both with ``empty``: there are none.
    ``narrowed_below``, ``narrowed_above``: who narrows it; ``saved``: whether all that is saved today is in it.
    """

    type: str
    format: str
    hosts: int
    lowest: str | None
    highest: str | None
    empty: bool
    saved: bool
    narrowed_below: tuple[str, ...] = ()
    narrowed_above: tuple[str, ...] = ()
    untold: int = 0  # hosts of which it is not known, or that know no versions


def common_range(
    places: Mapping[Kind, int], table: RulingTable, named: Callable[[Iterable[Kind]], tuple[str, ...]]
) -> tuple[CommonRange, ...]:
    """The range of each type and format. ``places``: kinds with their hosts; ``named``: an example host of each."""
    found: dict[tuple[str, str], dict[Kind, StreamSupport]] = {}
    untold: dict[str, int] = {}
    for kind, hosts in places.items():
        support = table.support(kind)
        if isinstance(support, StreamSupport) and ends(support.loads) != (None, None):
            found.setdefault((kind.type, support.format), {})[kind] = support
        else:
            untold[kind.type] = untold.get(kind.type, 0) + hosts
    return tuple(
        _common(name, form, kinds, places, untold.get(name, 0), named) for (name, form), kinds in sorted(found.items())
    )


def _common(
    name: str,
    form: str,
    kinds: dict[Kind, StreamSupport],
    places: Mapping[Kind, int],
    untold: int,
    named: Callable[[Iterable[Kind]], tuple[str, ...]],
) -> CommonRange:
    lows = {kind: low for kind, support in kinds.items() if (low := ends(support.loads)[0]) is not None}
    highs = {kind: high for kind, support in kinds.items() if (high := ends(support.loads)[1]) is not None}
    lowest = max(lows.values(), key=lambda each: each.sort_key, default=None)
    highest = min(highs.values(), key=lambda each: each.sort_key, default=None)
    comparable = len({(each.scheme, each.family) for each in (*lows.values(), *highs.values())}) == 1
    empty = not comparable or (lowest is not None and highest is not None and lowest.sort_key > highest.sort_key)
    return CommonRange(
        type=name,
        format=form,
        hosts=sum(places[kind] for kind in kinds),
        lowest=None if lowest is None else lowest.raw,
        highest=None if highest is None else highest.raw,
        empty=empty,
        saved=not empty and all(_all_load(kinds, version) for version in _saved(kinds)),
        narrowed_below=_only(lows, lowest, named),
        narrowed_above=_only(highs, highest, named),
        untold=untold,
    )


def _only(
    ends: dict[Kind, StreamVersion], end: StreamVersion | None, named: Callable[[Iterable[Kind]], tuple[str, ...]]
) -> tuple[str, ...]:
    """Whose bound it is, if not everybody's."""
    kinds = [kind for kind, version in ends.items() if end is not None and version.sort_key == end.sort_key]
    return named(kinds) if len(kinds) < len(ends) else ()


def _all_load(kinds: dict[Kind, StreamSupport], version: StreamVersion) -> bool:
    return all(contains(support.loads, version) for support in kinds.values())


def _saved(kinds: dict[Kind, StreamSupport]) -> list[StreamVersion]:
    """The highest version that each saves."""
    tops = (ends(support.saves)[1] for support in kinds.values())
    return [top for top in tops if top is not None]
