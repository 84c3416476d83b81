"""Which devices could leave the hosts that are upgraded, and not come back. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from mdevreg.fleet.table import RulingTable
from mdevreg.planning.forecast import NoReturn
from mdevreg.planning.spots import Spots, Waiting
from mdevreg.planning.stranding import Stages
from mdevreg.rulings import Ruling
from mdevreg.verdict import RANK, Outcome


def no_return(spots: Spots, stages: Stages, table: RulingTable) -> tuple[NoReturn, ...]:
    """Devices that some host would take, and that no such host could give back. By type, most devices first."""
    found: dict[tuple[str, object], NoReturn] = {}
    for waiting, devices in spots.devices.items():
        back = list(_ways_back(waiting, stages, table)) if waiting.upgraded else []
        best = min(back, key=lambda each: RANK[each.outcome], default=None)
        if best is None or best.outcome is Outcome.COMPATIBLE:
            continue
        key, kind = (waiting.before.type, waiting.before), waiting.before
        count = devices + (found[key].devices if key in found else 0)
        unknown = best.outcome is Outcome.UNKNOWN
        found[key] = NoReturn(kind.type, kind.profile.driver, count, unknown, best.codes)
    return tuple(sorted(found.values(), key=lambda each: (each.type, -each.devices, repr(each.driver))))


def _ways_back(waiting: Waiting, stages: Stages, table: RulingTable) -> Iterator[Ruling]:
    """From each place that would take them: a device there is one of that place's kind."""
    for spot, _, ruling in stages.rulings(waiting, "during"):
        if ruling.outcome is Outcome.COMPATIBLE:
            for home in waiting.own:
                yield table.ruling(spot.before, home.after, spot.doubts, home.doubts)
