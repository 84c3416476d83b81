"""``mdevreg regret --from TIME [--to TIME]``."""

from __future__ import annotations

from datetime import datetime

import click

from mdevreg.cli.decision_words import REGRET_COLUMNS, regret_lines, regret_row
from mdevreg.cli.options import Present
from mdevreg.cli.session import Session
from mdevreg.cli.view import Line, Sheet, View, document_of
from mdevreg.cli.words import EXIT_CODE, where_read
from mdevreg.query.door import Door
from mdevreg.query.regretting import Regret, Regrets, regret
from mdevreg.times import past_time
from mdevreg.verdict import Outcome


@click.command(
    "regret",
    cls=Present,
    examples=(
        ("mdevreg regret --from -7d", "Which yes of the last week would be none, by what is known now?"),
        ("mdevreg regret --from 2026-11-01T00:00:00Z --to 2026-11-08T00:00:00Z -o csv", "Of one week, to be filed."),
    ),
)
@click.option("--from", "since", metavar="TIME", required=True, help="Decisions of then and later.")
@click.option("--to", "until", metavar="TIME", help="Decisions before then [now].")
@click.pass_obj
def command(session: Session, since: str, until: str | None) -> View:
    """Tell which recorded yes turned out wrong, and by what.

    Each is judged again for its own time, on what is known now: records that came late, rules, corrections of the
    catalog; and how the migration ended, if that was reported. What was told stays in `mdevreg decisions`.

    Exit codes: 0 nothing to regret, 1 something, 3 only what can't be said any more.
    """
    begin = past_time(since, session.now)
    end = None if until is None else past_time(until, session.now)
    with session.door() as door:
        found = _whole(door, begin, end, session.now)
    says = _overall(found.regrets)
    lines = [line for each in found.regrets for line in regret_lines(each)]
    first = f"{len(found.regrets)} of {found.approved} recorded yes would not be one, by what is known now"
    return View(
        document=document_of(found, since=begin, until=end),
        sheet=Sheet(REGRET_COLUMNS, [regret_row(each) for each in found.regrets]),
        head=(Line(first), *lines),
        foot=(where_read(found.position, None),),
        exit_code=EXIT_CODE[says],
    )


def _whole(door: Door, begin: datetime, end: datetime | None, now: datetime) -> Regrets:
    """The regrets of the whole period, page by page."""
    page = regret(door, since=begin, until=end, now=now)
    approved, regrets = page.approved, page.regrets
    while page.next is not None:
        page = regret(door, since=begin, until=end, now=now, before=page.next)
        approved, regrets = approved + page.approved, (*page.regrets, *regrets)
    return Regrets(page.position, approved, regrets, now)


def _overall(regrets: tuple[Regret, ...]) -> Outcome:
    """No: something turned out wrong; unknown: something is in doubt; yes: nothing is."""
    wrong = (each.outcome is Outcome.INCOMPATIBLE or _refused(each) for each in regrets)
    if any(wrong):
        return Outcome.INCOMPATIBLE
    return Outcome.UNKNOWN if regrets else Outcome.COMPATIBLE


def _refused(regret: Regret) -> bool:
    return regret.reported is not None and regret.reported.result == "refused"
