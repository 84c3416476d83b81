"""``mdevreg drivers``."""

from __future__ import annotations

import click

from mdevreg.cli.driver_words import shares_sheet, shares_table, trend_lines, trend_sheet, trend_table
from mdevreg.cli.options import Question
from mdevreg.cli.rule_draft import scope_of
from mdevreg.cli.session import Session
from mdevreg.cli.view import Line, View, document_of
from mdevreg.cli.when import span_s
from mdevreg.cli.words import where_read
from mdevreg.distribution import GROUPS, By, DistributionAsked
from mdevreg.moments import clock_of
from mdevreg.rules import Scope
from mdevreg.trends import TrendAsked


@click.command(
    "drivers",
    cls=Question,
    examples=(
        ("mdevreg drivers", "Which driver builds run, on how many hosts, and what they save and load."),
        ("mdevreg drivers --by site --where driver=nvidia", "How far did each site come?"),
        ("mdevreg drivers --as-of -1d", "Which ran yesterday?"),
        ("mdevreg drivers --over 90d", "How did that change? About a dozen times are shown."),
        ("mdevreg drivers --over 90d --step 1d -o csv", "Day by day, for a spreadsheet."),
    ),
)
@click.option("--by", type=click.Choice(GROUPS), help="Count by groups.")
@click.option("--where", multiple=True, metavar="KEY=PATTERN", help="Only there; several of one key: one must fit.")
@click.option("--over", metavar="PERIOD", help="How it changed in the last 90d, 12h, ...")
@click.option("--step", metavar="PERIOD", help="With --over: how far times are apart.")
@click.pass_obj
def command(session: Session, *, by: By | None, where: tuple[str, ...], over: str | None, step: str | None) -> View:
    """Count driver builds, and what they save and load.

    By hosts and parents; with --over, at several times by hosts.

    Keys of --where: host, site, parent, type, device_api, driver, kernel_release, version, srcversion, build_id; with
    --over neither parent, type nor device_api. A model is NVML's name of a card, else the PCI ids of its VFs.
    """
    scope = scope_of(where, "--where")
    if over is None:
        if step is not None:
            raise click.UsageError("--step goes with --over PERIOD")
        return _now(session, DistributionAsked(by, scope, session.moment))
    if by is not None:
        raise click.UsageError("--by counts one moment; it has no meaning with --over")
    return _over(session, over, step, scope)


def _now(session: Session, asked: DistributionAsked) -> View:
    with session.door() as door:
        found = door.distribution(asked)
    sheet, moment = shares_sheet(found), asked.moment
    document = document_of(found, answered_at=clock_of(moment, session.now), as_of=moment.as_of)
    empty = () if found.drivers else (Line("no driver build is known"),)
    foot = (*empty, where_read(found.position, moment.as_of, found.snapshot))
    return View(document, sheet, table=shares_table(found), foot=foot)


def _over(session: Session, over: str, step: str | None, scope: Scope) -> View:
    moment, now = session.moment, session.now
    asked = TrendAsked(span_s(over, now), None if step is None else span_s(step, now), scope, moment)
    with session.door() as door:
        found = door.trend(asked)
    document = document_of(found, answered_at=clock_of(moment, now), as_of=moment.as_of)
    return View(
        document,
        trend_sheet(found),
        head=tuple(trend_lines(found)),
        table=trend_table(found),
        foot=(where_read(found.position, moment.as_of, found.snapshot),),
    )
