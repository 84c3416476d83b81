"""What to find out, where it depends on what is not known how devices stand afterwards. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from mdevreg.fleet.kinds import Kind
from mdevreg.fleet.table import RulingTable
from mdevreg.planning.covering import fewest
from mdevreg.planning.spots import Spot
from mdevreg.planning.stranding import Standing
from mdevreg.rulings import Ruling
from mdevreg.verdict import Outcome


class Question(NamedTuple):
    """One thing that could be tried. ``source``: ``None`` where hosts of the target must be heard again."""

    source: Kind | None
    target: Kind


class Settled(NamedTuple):
    """A question, what is said of it now, where it is asked, and the devices that a yes would give a way out."""

    question: Question
    source: Kind
    ruling: Ruling
    spots: frozenset[Spot]
    devices: int


def trials(doubtful: Sequence[Standing], table: RulingTable) -> list[Settled]:
    """The fewest questions that together concern all of them, those about most devices first."""
    asked: dict[Question, dict[int, Spot]] = {}
    for number, standing in enumerate(doubtful):
        for spot in standing.doubtful:
            asked.setdefault(_question(standing.waiting.after, spot.after, table), {})[number] = spot
    questions = list(asked)
    chosen = fewest([frozenset(asked[question]) for question in questions], len(doubtful))
    found = [_settled(questions[at], asked[questions[at]], doubtful, table) for at in chosen]
    return sorted(found, key=lambda each: (-each.devices, each.question.target.order))


def _question(source: Kind, target: Kind, table: RulingTable) -> Question:
    """Whether it is the migration that is not known, or only how good the facts are."""
    heard = table.ruling(source, target)
    return Question(None if heard.outcome is Outcome.COMPATIBLE else source, target)


def _settled(question: Question, spots: dict[int, Spot], doubtful: Sequence[Standing], table: RulingTable) -> Settled:
    concerned = [doubtful[number] for number in spots]
    first, spot = concerned[0], spots[next(iter(spots))]
    source = first.waiting.after
    ruling = table.ruling(source, question.target, first.waiting.doubts, spot.doubts)
    devices = sum(standing.devices for standing in concerned)
    return Settled(question, source, ruling, frozenset(spots.values()), devices)
