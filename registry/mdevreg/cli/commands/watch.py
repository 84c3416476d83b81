"""``mdevreg watch [FILTER …]``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import datetime
from itertools import islice

import click

from mdevreg.cli.event_words import rendered
from mdevreg.cli.options import Present
from mdevreg.cli.session import Session
from mdevreg.cli.view import Streamed
from mdevreg.event_filter import filter_in
from mdevreg.events import Event
from mdevreg.moments import known_at_of
from mdevreg.query.waiting import events


@click.command(
    "watch",
    cls=Present,
    examples=(
        ("mdevreg watch", "What happens in the fleet, as it happens. Ctrl-C ends it."),
        ("mdevreg watch 'driver.*' 'device.*' 'host=hv-a-*'", "Drivers that change, devices that strand, there."),
        ("mdevreg watch pair.became_incompatible -o json", "One CloudEvent a line, for a program."),
        ("mdevreg watch --since -1h --count 20", "The first twenty since an hour ago."),
        ("mdevreg watch --since seq:4711", "Those that follow from later log positions."),
    ),
)
@click.argument("words", nargs=-1, metavar="[TYPE|KEY=PATTERN]...")
@click.option("--since", metavar="TIME|seq:N", help="From a time on, or after a log position [from now on].")
@click.option("--count", type=click.IntRange(min=1), metavar="N", help="End after so many.")
@click.pass_obj
def command(session: Session, *, words: tuple[str, ...], since: str | None, count: int | None) -> Streamed:
    """Show events as they happen, in log order.

    Types are patterns (driver.*, pair.became_*); keys are those of rules' scopes: host, site, type, device, parent,
    driver, version, … Without any, all events are shown.

    It goes on by itself when broker or registry were away, without gaps or doubles. Ctrl-C ends it, with exit code 0.
    """
    text = " ".join(words)
    filter_in(text)  # before anything is opened
    after = None if since is None else known_at_of(since, session.now)
    return Streamed(rendered(islice(_events(session, text, after), count), session.format))


def _events(session: Session, words: str, since: int | datetime | None) -> Iterator[Event]:
    with session.door() as door, events(door, words, since=since) as told:
        if told.missed:
            print("mdevreg: earlier events are not kept any more", file=sys.stderr)
        yield from told
