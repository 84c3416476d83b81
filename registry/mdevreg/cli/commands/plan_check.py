"""``mdevreg plan check CAMPAIGN``."""

from __future__ import annotations

from collections.abc import Iterator

import click

from mdevreg.cli.options import Question
from mdevreg.cli.session import Session
from mdevreg.cli.view import Cell, Line, Sheet, View, document_of
from mdevreg.cli.words import EXIT_CODE, counted, where_read
from mdevreg.planning.waves.course import PlanCheck
from mdevreg.query.planning import check_plan
from mdevreg.verdict import Outcome

_COLUMNS = ("deviation", "endangers", "host", "device", "text")


@click.command(
    "check",
    cls=Question,
    examples=(("mdevreg plan check to-580", "Does what is left of the campaign's plan still hold?"),),
)
@click.argument("campaign")
@click.pass_obj
def command(session: Session, *, campaign: str) -> View:
    """Compare the fleet with the plan of CAMPAIGN.

    What is left of the plan is replayed from the fleet as it is: hosts that were upgraded early, devices that are
    elsewhere, or came, and migrations that would not work any more.

    Exit code: 0 what is left holds, 1 it endangers devices.
    """
    moment = session.moment
    with session.door() as door:
        found = check_plan(door, campaign, now=session.now, moment=moment)
    rows: list[tuple[Cell, ...]] = [
        (each.what, each.endangers, each.host, each.device, each.text) for each in found.deviations
    ]
    sheet = Sheet(_COLUMNS, rows)
    head, foot = tuple(_head(found)), (where_read(found.position, found.as_of, found.snapshot),)
    return View(document_of(found), sheet, head=head, table=sheet, foot=foot, exit_code=EXIT_CODE[found.outcome])


def _head(found: PlanCheck) -> Iterator[Line]:
    done = f"{counted(found.done, 'host')} upgraded, {found.left} left"
    following = "all waves are through" if found.wave is None else f"the next wave is {found.wave}"
    endangering = sum(each.endangers for each in found.deviations)
    if found.outcome is Outcome.COMPATIBLE:
        told = f"yes: what is left of the plan of {found.campaign} holds"
    else:
        told = f"no: what is left of the plan of {found.campaign} endangers devices"
    yield Line(f"{told}: {done}; {following}", found.outcome)
    if found.deviations:
        yield Line(f"{counted(len(found.deviations), 'deviation')}, {endangering} of which endanger devices")
