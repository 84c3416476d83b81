"""``mdevreg decisions show ID``."""

from __future__ import annotations

from typing import Any

import click
import msgspec
from msgspec import structs

from mdevreg.cli.answered import answer_view
from mdevreg.cli.decision_words import asked
from mdevreg.cli.options import Present
from mdevreg.cli.session import Session
from mdevreg.cli.view import Line, View
from mdevreg.cli.words import reliance, where_read


@click.command(
    "show",
    cls=Present,
    examples=(
        ("mdevreg decisions show d1204", "Who asked, when, what was answered, and every reason."),
        ("mdevreg decisions show d1204 -o json", "As it is in the log."),
    ),
)
@click.argument("decision", metavar="ID")
@click.pass_obj
def command(session: Session, decision: str) -> View:
    """Show a recorded answer with all its evidence, as it was told."""
    with session.door() as door:
        found = door.decision(decision)
    answer = found.told
    view = answer_view(answer, Line(reliance(answer)), where_read(answer.position, answer.as_of, answer.snapshot))
    document: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(found))
    head = (Line(asked(found)), *view.head)
    return structs.replace(view, document={"decision": document}, head=head, exit_code=0)
