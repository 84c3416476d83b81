"""``mdevreg plan waves``."""

from __future__ import annotations

import sys
import time

import click

from mdevreg.cli.goal_options import goal_options, hosts_of
from mdevreg.cli.options import Question
from mdevreg.cli.session import Session
from mdevreg.cli.view import View
from mdevreg.cli.waves_view import waves_view
from mdevreg.planning.asked import WavesAsked
from mdevreg.planning.goals import goal_in
from mdevreg.planning.waves.limits import MANY, Limits
from mdevreg.query.planning import plan_waves

#: How often progress is told.
EVERY_S = 0.5


@click.command(
    "waves",
    cls=Question,
    examples=(
        (
            'mdevreg plan waves --hosts site=a --driver "nvidia 570.124.03" --at-once 4',
            "An order with four hosts away at a time.",
        ),
        (
            "mdevreg plan waves --profile-from hv-b-06 --per-site 1 --spare 2 --keep-return-path -o json",
            "The whole fleet, cautiously, as a plan for a program.",
        ),
    ),
)
@goal_options
@click.option("--at-once", type=click.IntRange(1, MANY), default=1, show_default=True, help="Hosts away at a time.")
@click.option("--per-site", type=click.IntRange(1, MANY), help="Of them at one site.")
@click.option("--spare", type=click.IntRange(0, MANY), default=0, help="Free instances of each type that stay.")
@click.option("--keep-return-path", is_flag=True, help="Devices go only where they could come back from.")
@click.option("--reload", is_flag=True, help="Only the driver is loaded anew: what is under others stays.")
@click.pass_obj
def command(
    session: Session,
    *,
    where: tuple[str, ...],
    driver: str | None,
    profile_from: str | None,
    stream: str | None,
    at_once: int,
    per_site: int | None,
    spare: int,
    keep_return_path: bool,
    reload: bool,
) -> View:
    """Order an upgrade in waves, with the migrations of each, so that no device is ever without a place to go.

    Before a wave its hosts are emptied; while they are away every device that had a place to go has one with a free
    instance. The plan is replayed step by step against the verdict before it is told. Where there is no order, the
    smallest reason is shown, and what would do.

    Exit code: 0 an order of all hosts, 1 there is none, 3 none was found, or it depends on what is not known.
    """
    goal = goal_in(driver=driver, profile_from=profile_from, stream=stream)
    limits = Limits(at_once=at_once, per_site=per_site, spare=spare, return_path=keep_return_path, reload=reload)
    asked = WavesAsked(goal, hosts_of(where), limits, session.moment)
    with session.door() as door:
        progress = _Progress(shown=session.width is not None and sys.stderr is not None)
        found = plan_waves(door, asked, now=session.now, progress=progress)
        progress.end()
    return waves_view(found)


class _Progress:
    """Tells on a terminal how far it is; a registry that plans for us tells nothing until it is done."""

    def __init__(self, *, shown: bool) -> None:
        self._shown, self._told_at, self._any = shown, time.monotonic(), False

    def __call__(self, done: int, of: int) -> None:
        if self._shown and time.monotonic() - self._told_at > EVERY_S:
            self._told_at, self._any = time.monotonic(), True
            sys.stderr.write(f"\rplanned {done} of {of} hosts")
            sys.stderr.flush()

    def end(self) -> None:
        """Clear the line."""
        if self._any:
            sys.stderr.write("\r\x1b[K")
