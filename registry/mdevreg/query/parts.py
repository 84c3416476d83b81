"""Many pairs in several requests, each within what one message holds, and their answers as one again. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

import msgspec

from mdevreg.errors import UsageError
from mdevreg.query.batch import Asked, BriefAnswer, BriefAnswers, Problem, problem_of
from mdevreg.query.names import possible

#: About what one answer takes at most, beside the names in it.
ANSWER_BYTES = 700
#: Room for headers and for what is around the answers.
ROOM_BYTES = 4_096
#: Most pairs in one request: each is answered within the door's time.
MOST_PAIRS = 1_000
#: No name is longer (``mdevreg.shapes.Path``).
LONGEST_NAME = 1_024

AskPart = Callable[[Sequence[Asked]], BriefAnswers]


def in_parts(pairs: Sequence[Asked], max_bytes: int, ask: AskPart, *, now: datetime) -> BriefAnswers:
    """Ask for all pairs, part by part; what could be nobody's name is answered here.

    ``max_bytes``: of one message. The answers have the newest position of all parts, and the time of the first.
    """
    problems = {index: problem for index, pair in enumerate(pairs) if (problem := _problem_with(pair)) is not None}
    asked = [pair for index, pair in enumerate(pairs) if index not in problems]
    found = list(_asked(asked, max_bytes, ask))
    answered = iter([answer for part in found for answer in part.answers])
    answers = (
        BriefAnswer(pair.device, pair.to, problem=problems[index]) if index in problems else next(answered)
        for index, pair in enumerate(pairs)
    )
    first = found[0] if found else BriefAnswers((), 0, now)
    newest = max(found, key=lambda part: part.position, default=first)
    return BriefAnswers(tuple(answers), newest.position, first.answered_at, first.as_of, newest.snapshot)


def parts_of(pairs: Sequence[Asked], max_bytes: int) -> Iterator[Sequence[Asked]]:
    """The pairs in parts, of which neither the request nor what is to be expected as its answer is too long."""
    first, room = 0, max_bytes - ROOM_BYTES
    for index, pair in enumerate(pairs):
        size = ANSWER_BYTES + len(msgspec.json.encode(pair))
        if index > first and (size > room or index - first == MOST_PAIRS):
            yield pairs[first:index]
            first, room = index, max_bytes - ROOM_BYTES
        room -= size
    if first < len(pairs):
        yield pairs[first:]


def _asked(pairs: Sequence[Asked], max_bytes: int, ask: AskPart) -> Iterator[BriefAnswers]:
    waiting = deque(parts_of(pairs, max_bytes))
    while waiting:
        part = waiting.popleft()
        try:
            yield ask(part)
        except UsageError as error:
            if error.code != "ANSWER_TOO_LARGE" or len(part) == 1:
                raise
            waiting.extendleft((part[len(part) // 2 :], part[: len(part) // 2]))


def _problem_with(pair: Asked) -> Problem | None:
    """Why a request can't have this pair in it."""
    for name in (pair.device, pair.to):
        try:
            possible(name)
        except UsageError as error:
            return problem_of(error)
        if not 1 <= len(name) <= LONGEST_NAME:
            return problem_of(UsageError(f"{name[:80]!r} has {len(name)} characters; names have 1 to {LONGEST_NAME}"))
    return None
