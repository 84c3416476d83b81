"""Verdicts that were handed out over a network, counted by outcome and by reason code."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Literal, TypeVar

from mdevreg.query.batch import BriefAnswers
from mdevreg.query.pages import TargetPage
from mdevreg.query.questions import Answer, Targets
from mdevreg.rulings import Ruling, ruling_of

T = TypeVar("T")
Face = Literal["http", "nats"]


class Tally:
    """Counts since the start. Usable from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._outcomes: Counter[tuple[str, str]] = Counter()  # (face, outcome)
        self._codes: Counter[tuple[str, str]] = Counter()  # (face, reason code)

    def told(self, face: Face, reply: object) -> None:
        """A reply was handed out; what is no verdict counts for nothing."""
        with self._lock:
            for ruling in _rulings(reply):
                self._outcomes[face, ruling.outcome] += 1
                for code in ruling.codes:
                    self._codes[face, code] += 1

    def counted(self, face: Face, work: Callable[[], T]) -> T:
        """Do the work of a question, and count its reply."""
        reply = work()
        self.told(face, reply)
        return reply

    def outcomes(self) -> dict[tuple[str, str], int]:
        """Verdicts by face and outcome."""
        with self._lock:
            return dict(self._outcomes)

    def codes(self) -> dict[tuple[str, str], int]:
        """Verdicts that had a reason, by face and reason code; capacity aside."""
        with self._lock:
            return dict(self._codes)


def _rulings(reply: object) -> Iterator[Ruling]:
    match reply:
        case Answer():
            yield ruling_of(reply.verdict, reply.way_back)
        case Targets():
            yield from (ruling_of(answer.verdict, answer.way_back) for answer in reply.answers)
        case BriefAnswers():
            yield from (each.answer.ruling for each in reply.answers if each.answer is not None)
        case TargetPage():
            yield from (row.ruling for row in reply.rows)
