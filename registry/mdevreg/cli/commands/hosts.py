"""``mdevreg hosts``."""

from __future__ import annotations

import click

from mdevreg.cli.options import Question
from mdevreg.cli.session import Session
from mdevreg.cli.view import Cell, Line, Sheet, View, document_of
from mdevreg.cli.words import counted, doubts, standing, where_read
from mdevreg.facts import Hosts
from mdevreg.moments import clock_of

_NONE_YET = "no host has reported yet; start an agent on one: mdevreg-agent run"
_NONE_THEN = "no host had reported by then"
_COLUMNS = ("hostname", "host", "site", "kernel", "parents", "types", "devices", "last_seen", "state")
#: In csv always, in a table only where a clock is wrong.
_CLOCK = ("clock_skew_s",)


@click.command(
    "hosts",
    cls=Question,
    examples=(
        ("mdevreg hosts", "Every host, and whether its facts are fresh."),
        ("mdevreg hosts -o csv --as-of -7d", "The fleet of a week ago, for a spreadsheet."),
    ),
)
@click.pass_obj
def command(session: Session) -> View:
    """List every host of the fleet, and how fresh its facts are."""
    moment = session.moment
    with session.door() as door:
        found = door.hosts(moment)
    codes = [doubts(summary.evidence, session.rules, session.now) for summary in found.hosts]
    sheet = Sheet((*_COLUMNS, *_CLOCK), _rows(found, codes))
    wrong = any(summary.evidence.clock_skew_s is not None for summary in found.hosts)
    document = document_of(found, answered_at=clock_of(moment, session.now), as_of=moment.as_of)
    for host, code in zip(document["hosts"], codes, strict=True):
        host["doubts"] = code
    count = counted(len(found.hosts), "host")
    foot = (
        Line(count if found.hosts else _NONE_THEN if moment.as_of else _NONE_YET),
        where_read(found.position, moment.as_of, found.snapshot),
    )
    return View(document, sheet, table=sheet if wrong else sheet.only(_COLUMNS), foot=foot)


def _rows(found: Hosts, codes: list[tuple[str, ...]]) -> list[tuple[Cell, ...]]:
    return [
        (
            summary.evidence.hostname,
            summary.evidence.host,
            summary.evidence.site,
            summary.kernel_release,
            summary.parents,
            summary.types,
            summary.devices,
            summary.evidence.last_seen,
            standing(summary.evidence, code),
            summary.evidence.clock_skew_s,
        )
        for summary, code in zip(found.hosts, codes, strict=True)
    ]
