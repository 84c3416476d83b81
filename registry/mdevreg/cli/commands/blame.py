"""``mdevreg blame DEVICE --to HOST``."""

from __future__ import annotations

import click
import msgspec

from mdevreg.blame import MAX_TURNS
from mdevreg.cli.blame_words import COLUMNS, first_line, row_of, turn_lines
from mdevreg.cli.options import Question
from mdevreg.cli.session import Session
from mdevreg.cli.view import Line, Sheet, View
from mdevreg.cli.words import ANSWER, EXIT_CODE, where_read
from mdevreg.verdict import Outcome


@click.command(
    "blame",
    cls=Question,
    examples=(
        ("mdevreg blame alpha/mtty/mtty-1 --to beta", "Since when is it so, and what made it so?"),
        ("mdevreg blame 83b8f4f2-509f-382f-3c1e-e6bfe0fa1001 --to beta --limit 5", "And the turns before that."),
        ("mdevreg blame alpha/mtty/mtty-1 --to beta -o json", "With the records that turned it, whole."),
    ),
)
@click.argument("device")
@click.option("--to", required=True, metavar="HOST[/PARENT[/TYPE]]", help="Where the stream would be loaded.")
@click.option("--limit", type=click.IntRange(1, MAX_TURNS), default=1, show_default=True, help="So many turns.")
@click.pass_obj
def command(session: Session, device: str, to: str, limit: int) -> View:
    """Tell since when an answer is what it is, and why.

    Shown is the entry of the log that turned it: a host's record, a rule, a change of the catalog, or a rule's own
    time. Answers are those on record; whether facts were stale is no part of it. The exit code is that of can-migrate.
    """
    moment = session.moment
    with session.door() as door:
        found = door.blame(device, to, moment, limit)
    outcome = found.said.outcome or Outcome.UNKNOWN
    sheet = Sheet(COLUMNS, [row_of(turn) for turn in found.turns])
    document = {"answer": ANSWER[outcome], **msgspec.json.decode(msgspec.json.encode(found))}
    lines = [Line(text, says) for turn in found.turns for text, says in turn_lines(turn)]
    if not found.complete:
        lines.append(
            Line(f"looked at {found.points} moments; the answer was the same in all that follow the last turn")
        )
    head = (Line(first_line(found), outcome),)
    foot = (*lines, where_read(found.position, found.as_of, found.snapshot))
    return View(document, sheet, head=head, foot=foot, exit_code=EXIT_CODE[outcome])
