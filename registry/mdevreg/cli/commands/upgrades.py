"""``mdevreg upgrades``."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

import click

from mdevreg.cli.options import Questions, shared_options
from mdevreg.cli.rule_draft import scope_of
from mdevreg.cli.session import Session
from mdevreg.cli.upgrade_words import UPGRADE_COLUMNS, UPGRADE_SHOWN, first_line, shown_row, upgrade_row
from mdevreg.cli.view import Line, Sheet, View, document_of
from mdevreg.cli.words import where_read
from mdevreg.moments import clock_of
from mdevreg.times import past_time
from mdevreg.upgrades import MAX_UPGRADES, UpgradesAsked

_COMMANDS = "mdevreg.cli.commands"
DEFAULT_LIMIT = 20


class Upgrades(Questions):
    """``mdevreg upgrades``."""

    examples = (
        ("mdevreg upgrades", f"The last {DEFAULT_LIMIT}, oldest first."),
        ("mdevreg upgrades --driver nvidia --since -7d -o csv", "Of a driver, within a week, for a spreadsheet."),
        ("mdevreg upgrades --where site=a --as-of -1d", "Of a site, up to yesterday."),
        ('mdevreg upgrades stragglers --driver "nvidia 580.95.05"', "Which hosts are not there yet."),
    )
    lazy: ClassVar[dict[str, str]] = {"stragglers": f"{_COMMANDS}.upgrades_stragglers"}


@click.group("upgrades", cls=Upgrades, invoke_without_command=True, params=shared_options())
@click.option("--host", help="Only of this host.")
@click.option("--driver", metavar="NAME", help="Only of this driver.")
@click.option("--since", metavar="TIME", help="Only those whose last parent went then or later: -7d.")
@click.option("--until", metavar="TIME", help="Only those before then.")
@click.option("--where", multiple=True, metavar="KEY=PATTERN", help="Only there; several of one key: one must fit.")
@click.option(
    "--limit", type=click.IntRange(1, MAX_UPGRADES), default=DEFAULT_LIMIT, show_default=True, help="The last so many."
)
@click.option("--cursor", metavar="TEXT", help="Older ones: `next` of the answer before, in JSON.")
@click.pass_context
def command(
    ctx: click.Context,
    *,
    host: str | None,
    driver: str | None,
    since: str | None,
    until: str | None,
    where: tuple[str, ...],
    limit: int,
    cursor: str | None,
) -> View | None:
    """List driver upgrades, and what each of them did.

    That parents of a host ran one build of a driver, and next run another: for how long the host offered nothing of
    what they had offered, how many devices were on them, and what became of what is saved and loaded. Roll-backs are
    marked, and hosts that flap: three times back and forth within a day. A new host or parent is no upgrade.

    Keys of --where: host, site, parent, type, driver, kernel_release, version, srcversion, build_id (of either build).
    """
    if ctx.invoked_subcommand is not None:
        return None
    session: Session = ctx.obj
    asked = UpgradesAsked(
        host=host,
        driver=driver,
        since=_time(since, session),
        until=_time(until, session),
        where=scope_of(where, "--where"),
        limit=limit,
        cursor=cursor,
        moment=session.moment,
    )
    return _view(session, asked)


def _view(session: Session, asked: UpgradesAsked) -> View:
    moment = asked.moment
    with session.door() as door:
        found = door.upgrades(asked)
    older = () if found.next is None else (Line("there are older ones: raise --limit, or say --until or --cursor"),)
    document = document_of(found, answered_at=clock_of(moment, session.now), as_of=moment.as_of)
    return View(
        document,
        Sheet(UPGRADE_COLUMNS, [upgrade_row(each) for each in found.upgrades]),
        head=(Line(first_line(found.upgrades)),),
        table=Sheet(UPGRADE_SHOWN, [shown_row(each) for each in found.upgrades]),
        foot=(*older, where_read(found.position, moment.as_of, found.snapshot)),
    )


def _time(text: str | None, session: Session) -> datetime | None:
    return None if text is None else past_time(text, session.now)
