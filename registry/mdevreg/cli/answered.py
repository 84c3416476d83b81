"""One answer as a view: the sentence, the reasons, and what to rely on."""

from __future__ import annotations

from mdevreg.cli.rows import ANSWER_COLUMNS, answer_row
from mdevreg.cli.support_words import mismatch, supports
from mdevreg.cli.view import Line, Sheet, View, document_of
from mdevreg.cli.words import ANSWER, EXIT_CODE, capacity, source_name, target_name
from mdevreg.query.questions import Answer
from mdevreg.verdict import Outcome

_SENTENCE = {
    Outcome.COMPATIBLE: "yes: {source} can migrate to {target}",
    Outcome.INCOMPATIBLE: "no: {source} can't migrate to {target}",
    Outcome.UNKNOWN: "unknown: it can't be said whether {source} can migrate to {target}",
}


def answer_view(answer: Answer, *reliance: Line) -> View:
    """The view of one answer. ``reliance``: the last lines, on how old the facts are and where they were read."""
    outcome = answer.verdict.outcome
    sentence = _SENTENCE[outcome].format(source=source_name(answer.source), target=target_name(answer))
    if outcome is Outcome.COMPATIBLE and answer.verdict.available_instances == 0:
        sentence += f", but no instance is free there {'then' if answer.target.historical else 'now'}"
    return View(
        document=document_of(answer, answer=ANSWER[outcome]),
        sheet=Sheet(ANSWER_COLUMNS, [answer_row(answer)]),
        head=(Line(sentence, outcome),),
        foot=(*_reasons(answer), *_beside(answer), *reliance),
        exit_code=EXIT_CODE[outcome],
    )


def _reasons(answer: Answer) -> list[Line]:
    reasons = answer.verdict.reasons
    longest = max((len(reason.code) for reason in reasons), default=0)
    return [Line(f"  {reason.code:<{longest}}  {reason.text}", reason.says) for reason in reasons]


def _beside(answer: Answer) -> list[Line]:
    back, negotiated = answer.way_back, answer.verdict.negotiated
    return [
        *supports(answer),
        *([Line(f"negotiated: {negotiated}")] if negotiated else []),
        Line(mismatch(answer)),
        Line(capacity(answer)),
        Line(f"way back: {ANSWER[back]}", back),
    ]
