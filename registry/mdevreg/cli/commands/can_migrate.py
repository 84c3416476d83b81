"""``mdevreg can-migrate DEVICE --to HOST``."""

from __future__ import annotations

import click

from mdevreg.cli.answered import answer_view
from mdevreg.cli.options import Question
from mdevreg.cli.session import Session
from mdevreg.cli.view import Line, View
from mdevreg.cli.words import reliance, where_read
from mdevreg.query.questions import can_migrate


@click.command(
    "can-migrate",
    cls=Question,
    examples=(
        ("mdevreg can-migrate 83b8f4f2-509f-382f-3c1e-e6bfe0fa1001 --to beta", "Would beta load this mdev's stream?"),
        ("mdevreg can-migrate alpha/mtty/mtty-1 --to beta/mtty", "Would it, before any device exists?"),
        ("mdevreg can-migrate alpha/0000:3b:00.4 --to beta && echo go", "A VF; the exit code answers."),
    ),
)
@click.argument("device")
@click.option("--to", required=True, metavar="HOST[/PARENT[/TYPE]]", help="Where the stream would be loaded.")
@click.pass_obj
def command(session: Session, device: str, to: str) -> View:
    """Tell whether DEVICE can migrate to a host, and why (not).

    It can if its migration stream would load there.

    DEVICE is an mdev's uuid, HOST/VF (a PCI address), or HOST/PARENT/TYPE for a device that could be created.
    `mdevreg explain CODE` tells what a reason means and what to do.
    """
    moment = session.moment
    with session.door() as door:
        answer = can_migrate(door, device, to, now=session.now, moment=moment, rules=session.rules)
    return answer_view(answer, Line(reliance(answer)), where_read(answer.position, answer.as_of))
