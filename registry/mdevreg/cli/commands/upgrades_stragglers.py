"""``mdevreg upgrades stragglers --driver BUILD``."""

from __future__ import annotations

import click
from msgspec import structs

from mdevreg.cli.options import Question
from mdevreg.cli.rule_draft import scope_of
from mdevreg.cli.session import Session
from mdevreg.cli.upgrade_words import STRAGGLER_COLUMNS, STRAGGLER_SHOWN, standing_of, straggler_rows
from mdevreg.cli.view import Line, Sheet, View, document_of
from mdevreg.cli.words import where_read
from mdevreg.moments import clock_of
from mdevreg.query.tracking import straggler_pages
from mdevreg.stragglers import MAX_STRAGGLERS, StragglersAsked
from mdevreg.wanted import wanted_in

BEHIND = 1


@click.command(
    "stragglers",
    cls=Question,
    examples=(
        ('mdevreg upgrades stragglers --driver "nvidia 580.95.05"', "Which hosts have nvidia, and not this version?"),
        ('mdevreg upgrades stragglers --driver "nvidia 580.95.05" --half', "Where does it only have to be loaded?"),
        ('mdevreg upgrades stragglers --driver "mlx5_vfio_pci srcversion=8E6F" --where site=a', "By another key."),
    ),
)
@click.option("--driver", "words", required=True, metavar="BUILD", help="NAME [VERSION] [KEY=VALUE …], in quotes.")
@click.option("--where", multiple=True, metavar="KEY=PATTERN", help="Only there; several of one key: one must fit.")
@click.option("--half", is_flag=True, help="Only hosts on which it is on disk, and not loaded.")
@click.pass_obj
def command(session: Session, *, words: str, where: tuple[str, ...], half: bool) -> View:
    """List hosts that have a driver, and not yet the build of it that is wanted.

    With what they run, since when, and how many devices are there; on how many of a host's parents the wanted build
    runs (UPGRADED), or is on disk and has to be loaded (HALF), and what else is on disk that does not run. Keys of a
    build: version, srcversion, build_id, kernel_release. Keys of --where: these, host, site, driver.

    Exit codes: 0 all hosts are there, 1 some are not.
    """
    moment = session.moment
    asked = StragglersAsked(wanted_in(words), scope_of(where, "--where"), half, MAX_STRAGGLERS, None, moment)
    with session.door() as door:
        pages = list(straggler_pages(door, asked))
    late = sorted((each for page in pages for each in page.stragglers), key=lambda each: (each.hostname, each.host))
    found = structs.replace(pages[0], stragglers=tuple(late), next=None)
    rows = [row for each in found.stragglers for row in straggler_rows(each)]
    document = document_of(found, answered_at=clock_of(moment, session.now), as_of=moment.as_of)
    sheet = Sheet(STRAGGLER_COLUMNS, rows)
    return View(
        document,
        sheet,
        head=(Line(standing_of(found)),),
        table=sheet.only(STRAGGLER_SHOWN),
        foot=(where_read(found.position, moment.as_of, found.snapshot),),
        exit_code=BEHIND if found.behind else 0,
    )
