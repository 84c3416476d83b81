"""Kinds against kinds, as views."""

from __future__ import annotations

from collections import Counter

from mdevreg.cli.overall import counted_by_outcome
from mdevreg.cli.view import Cell, Line, Sheet, View, document_of
from mdevreg.cli.words import ANSWER, build_name, counted, where_read
from mdevreg.fleet import KindSummary, Matrix, Ruling
from mdevreg.query.mapping import AcceptedKinds
from mdevreg.support import loads_of, saves_of
from mdevreg.verdict import Outcome

_TABLE = ("answer", "type", "from_driver", "saves", "from_hosts", "to_driver", "loads", "to_hosts", "way_back", "why")
_COLUMNS = (*_TABLE[:-1], "to_available", "negotiated", "from_profile", "to_profile", "reasons", "position")
_ACCEPTED = ("answer", "type", "from_driver", "saves", "from_hosts", "free", "way_back", "why")


def matrix_view(found: Matrix) -> View:
    """One row a pair, by type."""
    pairs = [(found.sources[cell.source], found.targets[cell.target], cell.ruling) for cell in found.cells]
    counts = Counter(ruling.outcome for _, _, ruling in pairs)
    told = counted_by_outcome({each.value: counts[each] for each in Outcome}) or "none"
    kinds = f"{counted(len(found.sources), 'kind')} of sources, {counted(len(found.targets), 'kind')} of targets"
    return View(
        document=document_of(found),
        sheet=Sheet(_COLUMNS, [_full(*pair, found.position) for pair in pairs]),
        table=Sheet(_TABLE, [_row(*pair) for pair in pairs]),
        head=(Line(f"{kinds}; pairs of one type: {told}"),),
        foot=(where_read(found.position, None),),
    )


def accepted_view(found: AcceptedKinds) -> View:
    """One row a kind, by type."""
    rows: list[tuple[Cell, ...]] = [
        (
            ANSWER[each.ruling.outcome],
            each.source.type,
            build_name(each.source.driver),
            saves_of(each.source.support),
            each.source.hosts,
            each.available_instances,
            ANSWER[each.ruling.way_back],
            " ".join(each.ruling.codes),
        )
        for each in found.accepted
    ]
    counts = Counter(each.ruling.outcome for each in found.accepted)
    told = counted_by_outcome({each.value: counts[each] for each in Outcome}) or "it offers nothing"
    sheet = Sheet(_ACCEPTED, rows)
    head = Line(f"{found.hostname}: of {counted(len(rows), 'kind')} of the types that it offers: {told}")
    return View(document_of(found), sheet, table=sheet, head=(head,), foot=(where_read(found.position, None),))


def _row(source: KindSummary, target: KindSummary, ruling: Ruling) -> tuple[Cell, ...]:
    return (
        ANSWER[ruling.outcome],
        source.type,
        build_name(source.driver),
        saves_of(source.support),
        source.hosts,
        build_name(target.driver),
        loads_of(target.support),
        target.hosts,
        ANSWER[ruling.way_back],
        " ".join(ruling.codes),
    )


def _full(source: KindSummary, target: KindSummary, ruling: Ruling, position: int) -> tuple[Cell, ...]:
    *most, why = _row(source, target, ruling)
    return (*most, target.available, ruling.negotiated, source.profile, target.profile, why, position)
