"""Plans page by page: a broker takes messages of a megabyte, a plan of 100,000 migrations has twenty. Pure.

A page begins and ends at any migration: a wave that does not fit goes on in the next page under the same number, with
its hosts again.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable

import msgspec
from msgspec import structs

from mdevreg.errors import UsageError
from mdevreg.planning.waves.plan import UpgradeWaves, WavePlan

#: Waves and migrations of one page: some 500 kB of JSON.
DEFAULT_ROWS, MAX_ROWS = 2_500, 25_000
#: Plans that are kept to be read on.
KEPT = 4


class Plans:
    """Plans that were told in part. Not locked: what is lost at worst is a plan that is asked for anew."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, UpgradeWaves] = OrderedDict()

    def begin(self, whole: UpgradeWaves, rows: int) -> UpgradeWaves:
        """The first page of a plan."""
        name = hashlib.sha256(msgspec.json.encode(whole)).hexdigest()[:32]
        page = _page(whole, name, 0, rows)
        if page.next is not None:
            self._kept[name] = whole
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return page

    def go_on(self, cursor: str, rows: int) -> UpgradeWaves:
        """A further page. Raises ``UsageError`` (BAD_CURSOR, PLAN_GONE)."""
        name, _, place = cursor.partition("-")
        if not place.isdecimal() or len(place) > len("1000000000"):
            raise UsageError(f"{cursor[:80]!r} is no cursor of a plan; ask without one to begin", code="BAD_CURSOR")
        whole = self._kept.get(name)
        if whole is None:
            text = f"the plan {name[:40]!r} is not kept any more, or another registry made it; ask for it anew"
            raise UsageError(text, code="PLAN_GONE")
        return _page(whole, name, int(place), rows)


def joined(pages: Iterable[UpgradeWaves]) -> UpgradeWaves:
    """All pages of a plan as one. Requires at least the first."""
    every = list(pages)
    waves: dict[int, WavePlan] = {}
    for wave in (wave for page in every for wave in page.waves):
        known = waves.get(wave.number)
        waves[wave.number] = wave if known is None else _longer(known, wave)
    return structs.replace(every[0], waves=tuple(waves.values()), next=None)


def _longer(known: WavePlan, wave: WavePlan) -> WavePlan:
    return structs.replace(known, migrations=(*known.migrations, *wave.migrations))


def _page(whole: UpgradeWaves, name: str, first: int, rows: int) -> UpgradeWaves:
    """The rows from one on: each wave is one, with its hosts, and one more for each of its migrations."""
    found: list[WavePlan] = []
    place, end = 0, first + rows
    for wave in whole.waves:
        after = place + 1 + len(wave.migrations)
        begin, stop = max(first, place), min(end, after)
        if begin < stop:
            there = wave.migrations[max(0, begin - place - 1) : stop - place - 1]
            found.append(structs.replace(wave, migrations=there))
        place = after
    return structs.replace(whole, waves=tuple(found), next=f"{name}-{end}" if end < place else None)
