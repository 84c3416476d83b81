"""``mdevreg can-migrate DEVICE --to HOST``."""

from __future__ import annotations

import click

from mdevreg.cli.options import Question
from mdevreg.cli.rows import ANSWER_COLUMNS, answer_row
from mdevreg.cli.session import Session
from mdevreg.cli.view import Line, Sheet, View, document_of
from mdevreg.cli.words import ANSWER, EXIT_CODE, capacity, reliance, source_name, target_name, where_read
from mdevreg.query.questions import Answer, can_migrate
from mdevreg.verdict import Outcome

_SENTENCE = {
    Outcome.COMPATIBLE: "yes: {source} can migrate to {target}",
    Outcome.INCOMPATIBLE: "no: {source} can't migrate to {target}",
    Outcome.UNKNOWN: "unknown: it can't be said whether {source} can migrate to {target}",
}


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
    """
    moment = session.moment
    with session.door() as door:
        answer = can_migrate(door, device, to, now=session.now, moment=moment, rules=session.rules)
    outcome = answer.verdict.outcome
    sentence = _SENTENCE[outcome].format(source=source_name(answer.source), target=target_name(answer))
    if outcome is Outcome.COMPATIBLE and answer.verdict.available_instances == 0:
        sentence += f", but no instance is free there {'then' if answer.as_of else 'now'}"
    return View(
        document=document_of(answer, answer=ANSWER[outcome]),
        sheet=Sheet(ANSWER_COLUMNS, [answer_row(answer)]),
        head=(Line(sentence, outcome),),
        foot=(*_reasons(answer), *_beside(answer)),
        exit_code=EXIT_CODE[outcome],
    )


def _reasons(answer: Answer) -> list[Line]:
    reasons = answer.verdict.reasons
    longest = max((len(reason.code) for reason in reasons), default=0)
    return [Line(f"  {reason.code:<{longest}}  {reason.text}", reason.says) for reason in reasons]


def _beside(answer: Answer) -> list[Line]:
    back = answer.way_back
    return [
        Line(capacity(answer)),
        Line(f"way back: {ANSWER[back]}", back),
        Line(reliance(answer)),
        where_read(answer.position, answer.as_of),
    ]
