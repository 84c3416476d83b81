"""What plug-ins are asked, and what their bytes mean. Pure: nothing that a plug-in says can raise here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec
from msgspec import structs

from mdevreg import control, wire
from mdevreg.errors import DecodeError
from mdevreg.records import Answer, Fault, HostFacts, Parent
from mdevreg.shapes import Line, Name, Strict
from mdevreg_agent.attributes import MAX_FAULT_CHARS, parse_line
from mdevreg_agent.bounds import MAX_PARENT_BYTES
from mdevreg_agent.plugin_files import fault_of
from mdevreg_agent.plugin_runs import PLUGIN_SCHEMA, Ran

#: Most bytes of all answers of one parent; beyond it they would push its types and devices out of the record.
MAX_ANSWERS_BYTES = 256 * 1024


class QuestionHost(Strict, frozen=True):
    """What a plug-in is told of the host; files of the host are below ``root``."""

    root: Line
    kernel_release: Line | None = None
    os_release: dict[Name, Line] = {}


class Question(Strict, frozen=True):
    """The document on a plug-in's stdin: one parent as it would be published, without plug-ins' answers."""

    schema: Line
    parent: Parent
    host: QuestionHost


class Outcome(msgspec.Struct, frozen=True):
    """An answer (``None``: nothing to say), or why there is none."""

    answer: Answer | None = None
    fault: Fault | None = None


def question(parent: Parent, facts: HostFacts, root: str) -> bytes:
    """The document about ``parent``."""
    host = QuestionHost(root=root, kernel_release=facts.kernel_release, os_release=facts.os_release)
    return wire.encode(Question(schema=PLUGIN_SCHEMA, parent=structs.replace(parent, answers={}), host=host))


def understood(name: str, ran: Ran) -> Outcome:
    """What came of a run of the plug-in ``name``."""
    text = ran.output[: 4 * MAX_FAULT_CHARS].decode("utf-8", "backslashreplace").strip()
    if ran.wrong is not None:
        return Outcome(fault=fault_of(name, _line(ran.wrong), text))
    if not ran.output.strip():
        return Outcome()
    try:
        answer = msgspec.json.decode(ran.output, type=Answer)
        control.check(wire.encode(answer), None)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, DecodeError) as error:
        return Outcome(fault=fault_of(name, _line(f"no valid answer: {error}"), text))
    return Outcome(answer=None if answer == Answer() else answer)


def with_outcomes(parent: Parent, outcomes: Mapping[str, Outcome], faults: Iterable[Fault] = ()) -> Parent:
    """The parent with what the plug-ins said, by name, as far as it has room, and with their faults."""
    room = min(MAX_ANSWERS_BYTES, MAX_PARENT_BYTES - len(wire.encode(parent)))
    answers: dict[str, Answer] = {}
    told = [*faults]
    for name, outcome in sorted(outcomes.items()):
        if outcome.fault is not None:
            told.append(outcome.fault)
        if outcome.answer is None:
            continue
        size = len(wire.encode({name: outcome.answer}))
        if size > room:
            told.append(fault_of(name, f"its answer of {size} bytes is left out: no room in one record"))
        else:
            answers[name], room = outcome.answer, room - size
    if not answers and not told:
        return parent
    return structs.replace(parent, answers=answers, faults=(*parent.faults, *told))


def _line(text: str) -> str:
    """One printable line of a moderate length."""
    return parse_line(text[:MAX_FAULT_CHARS].encode("utf-8", "backslashreplace")).value or "?"
