"""The map of the fleet, as a view."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from mdevreg.cli.view import Cell, Line, Sheet, View, document_of
from mdevreg.cli.words import EXIT_CODE, build_name, counted, where_read
from mdevreg.planning.common_range import CommonRange
from mdevreg.planning.islands import Island, Islands
from mdevreg.support import loads_of, saves_of
from mdevreg.verdict import Outcome

_COLUMNS = ("island", "type", "driver", "saves", "loads", "hosts", "devices", "moves_inside", "to", "from", "note")
_TABLE = ("island", "type", "driver", "saves", "loads", "hosts", "devices", "to", "from", "note")
#: Routes that are listed.
SHOWN = 10


def islands_view(found: Islands) -> View:
    """One row a kind, island by island."""
    rows = [row for island in found.islands for row in _rows(island)]
    parted = any(count > 1 for count in Counter(island.type for island in found.islands).values())
    outcome = Outcome.INCOMPATIBLE if parted else Outcome.COMPATIBLE
    types = len({island.type for island in found.islands})
    said = "no: the fleet is parted" if parted else "yes: each type is one island"
    islands, hosts = counted(len(found.islands), "island"), counted(found.hosts, "host")
    head = f"{said}: {islands} of {counted(types, 'type')} on {hosts} ({found.where})"
    return View(
        document=document_of(found),
        sheet=Sheet(_COLUMNS, rows),
        table=Sheet(_COLUMNS, rows).only(_TABLE),
        head=(Line(head, outcome),),
        foot=tuple(_foot(found)),
        exit_code=EXIT_CODE[outcome],
    )


def _rows(island: Island) -> Iterator[tuple[Cell, ...]]:
    note = "trap" if island.trap else "source" if island.source else None
    for at, kind in enumerate(island.kinds):
        yield (
            island.number,
            kind.type,
            build_name(kind.driver),
            saves_of(kind.support),
            loads_of(kind.support),
            kind.hosts,
            None if at else island.devices,  # of the island: told once
            island.inside,
            " ".join(map(str, island.to)),
            " ".join(map(str, island.from_)),
            note,
        )


def _foot(found: Islands) -> Iterator[Line]:
    for cut in found.cuts:
        yield Line(f"only {cut.host} joins {cut.pairs} pairs of kinds of {cut.type}: its loss parts them")
    for route in found.routes[:SHOWN]:
        over = " → ".join(build_name(kind.driver) or "?" for kind in route.over)
        way = f"{build_name(route.source.driver)} → {over} → {build_name(route.target.driver)}"
        yield Line(f"{route.type} over others: {way} (on {', '.join(route.hosts)})")
    if len(found.routes) > SHOWN:
        yield Line(f"not listed: {len(found.routes) - SHOWN} ways over others; -o json has them")
    for each in found.ranges:
        yield Line(_range(each))
    if found.doubtful:
        yield Line(f"of {found.doubtful} pairs of kinds it is not known; they count as none", Outcome.UNKNOWN)
    yield where_read(found.position, found.as_of, found.snapshot)


def _range(each: CommonRange) -> str:
    span = f"[{each.lowest or '…'}, {each.highest or '…'}]"
    told = f"{each.type}: all {counted(each.hosts, 'host')} load {each.format} {span}"
    if each.empty:
        told = f"{each.type}: no {each.format} version is loaded by all {counted(each.hosts, 'host')}"
    if not each.saved and not each.empty:
        told += ", not all that is saved today"
    for hosts, bound in ((each.narrowed_below, "below"), (each.narrowed_above, "above")):
        if hosts:
            told += f"; narrowed {bound} by hosts like {', '.join(hosts[:3])}"
    return told + (f"; not known of {counted(each.untold, 'host')}" if each.untold else "")
