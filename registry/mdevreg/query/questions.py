"""The questions people ask, over any door: its facts, and what ``mdevreg.answering`` makes of them."""

from __future__ import annotations

from datetime import datetime

from mdevreg.answering import (
    Answer,
    Asking,
    Evaluation,
    Targets,
    answer_of,
    best_by_host,
    best_each,
    chosen,
    evaluate,
)
from mdevreg.compatibility import DEFAULT_RULES, Rules
from mdevreg.decisions import DecisionDraft, check
from mdevreg.facts import NOW, Moment
from mdevreg.inspection import Inspected
from mdevreg.query.door import Door
from mdevreg.suspended import stream_side
from mdevreg.verdict import Outcome

__all__ = ["Answer", "Evaluation", "Targets", "answer_of", "can_migrate", "evaluate", "targets", "targets_of_stream"]


def can_migrate(
    door: Door, device: str, to: str, *, now: datetime, moment: Moment = NOW, rules: Rules = DEFAULT_RULES
) -> Answer:
    """Can this device's migration stream be loaded on that host?

    ``device``: an mdev uuid, ``HOST/VF`` or ``HOST/PARENT/TYPE``. ``to``: ``HOST``, or ``HOST/PARENT[/TYPE]`` to
    ask about one offer. Of several offers on the host the best one answers. Raises ``NotFoundError``.
    """
    host, _, rest = to.partition("/")
    return answer_of(door.pair(device, host, moment), rest, now=now, moment=moment, rules=rules)


def answered(door: Door, draft: DecisionDraft, *, now: datetime) -> Answer:
    """The answer to a question that is to be recorded. Raises ``UsageError``, ``NotFoundError``."""
    asked = check(draft).question
    return can_migrate(door, asked.device, asked.to, now=now, moment=asked.moment, rules=asked.rules)


def targets(
    door: Door,
    device: str,
    *,
    now: datetime,
    moment: Moment = NOW,
    rules: Rules = DEFAULT_RULES,
    limit: int | None = None,
    outcome: Outcome | None = None,
) -> Targets:
    """Which hosts could take this device? The source's own host is left out.

    ``limit``: at most so many answers. ``outcome``: only those.
    """
    found = door.candidates(device, moment)
    asking = Asking.of(found.position, moment, rules, now, found.rules, found.outcomes)
    return chosen(found.source, best_by_host(found, asking), asking, limit, outcome)


def targets_of_stream(
    door: Door,
    stream: Inspected,
    *,
    now: datetime,
    kind: str | None = None,
    moment: Moment = NOW,
    rules: Rules = DEFAULT_RULES,
    limit: int | None = None,
    outcome: Outcome | None = None,
) -> Targets:
    """Which hosts could load a saved stream, of a suspended VM or from a backup?

    ``kind``: its device's type, if known.
    """
    found = door.loading(stream.format, moment)
    asking = Asking.of(found.position, moment, rules, now, found.rules)
    source = stream_side(stream, kind)
    offers = [offer for offer in found.offers if kind in (None, offer.profile.type)]
    best = best_each(asking.loaded(source, offer) for offer in offers)
    return chosen(source, best, asking, limit, outcome)
