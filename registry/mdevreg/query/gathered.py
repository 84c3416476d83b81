"""Many pairs in one question over a door that is not near: what several pairs ask about is asked for once.

A scheduler asks about one device and many hosts. Each pair by itself costs a database several statements; the
candidates of a device have the facts of most, and cost something for every host of the fleet.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime

import msgspec

from mdevreg.answering import answer_of, brief_of
from mdevreg.compatibility import DEFAULT_RULES, Rules
from mdevreg.errors import UsageError
from mdevreg.facts import NOW, Candidates, Moment, Pair, Side
from mdevreg.query.batch import MAX_PAIRS, Asked, BriefAnswer, BriefAnswers, NearDoor, can_migrate_many
from mdevreg.query.door import Door

#: Pairs of one device from which on its candidates are asked for: these cost a SQL database about 7 ms each, the
#: candidates 20 to 50 µs per host.
WORTH_IT = 200


def can_migrate_each(
    door: Door,
    pairs: Sequence[Asked],
    *,
    now: datetime,
    moment: Moment = NOW,
    rules: Rules = DEFAULT_RULES,
    worth_it: int = WORTH_IT,
) -> BriefAnswers:
    """The answers of ``can_migrate_many``, with fewer questions to the door. Raises as it does."""
    if isinstance(door, NearDoor) or len(pairs) > MAX_PAIRS:
        return can_migrate_many(door, pairs, now=now, moment=moment, rules=rules)
    often = {device for device, count in Counter(pair.device for pair in pairs).items() if count >= worth_it}
    if not often:
        return can_migrate_many(door, pairs, now=now, moment=moment, rules=rules)
    known = _Known(door, often, moment)
    found = [known.pair(asked) for asked in pairs]
    left = [asked for asked, pair in zip(pairs, found, strict=True) if pair is None]
    rest = can_migrate_many(door, left, now=now, moment=moment, rules=rules)
    answers = tuple(_in_order(pairs, found, iter(rest.answers), now=now, moment=moment, rules=rules))
    position = max((each.answer.position for each in answers if each.answer is not None), default=rest.position)
    return BriefAnswers.of(answers, position, moment, now)


def _in_order(
    pairs: Sequence[Asked],
    found: Sequence[Pair | None],
    rest: Iterator[BriefAnswer],
    *,
    now: datetime,
    moment: Moment,
    rules: Rules,
) -> Iterator[BriefAnswer]:
    for asked, pair in zip(pairs, found, strict=True):
        if pair is None:
            yield next(rest)
        else:
            answer = answer_of(pair, asked.to.partition("/")[2], now=now, moment=moment, rules=rules)
            yield BriefAnswer(asked.device, asked.to, answer=brief_of(answer))


class _Fleet(msgspec.Struct, frozen=True):
    """A device's candidates, and their offers by host."""

    found: Candidates
    offers: dict[str, list[Side]]


class _Known:
    """The facts of pairs, as far as the candidates of their devices have them."""

    def __init__(self, door: Door, devices: set[str], moment: Moment) -> None:
        self._hosts = _names(door, moment)
        self._fleets = {device: fleet for device in devices if (fleet := _fleet(door, device, moment)) is not None}

    def pair(self, asked: Asked) -> Pair | None:
        """What ``door.pair`` would say, less the offers that decide nothing; ``None``: the door has to be asked."""
        fleet = self._fleets.get(asked.device)
        name, _, place = asked.to.partition("/")
        ids = self._hosts.get(name, set())
        if fleet is None or len(ids) != 1:
            return None
        parent, _, kind = place.partition("/")
        offers = [side for side in fleet.offers.get(min(ids), ()) if parent in ("", side.parent)]
        if not offers or kind not in ("", fleet.found.source.profile.type):
            return None
        found = fleet.found
        return Pair(found.position, found.source, offers[0].evidence, tuple(offers), found.rules, found.outcomes)


def _names(door: Door, moment: Moment) -> dict[str, set[str]]:
    """Host ids by every name that they go by."""
    names: defaultdict[str, set[str]] = defaultdict(set)
    for host in door.hosts(moment).hosts:
        names[host.evidence.host].add(host.evidence.host)
        names[host.evidence.hostname].add(host.evidence.host)
    return names


def _fleet(door: Door, device: str, moment: Moment) -> _Fleet | None:
    try:
        found = door.candidates(device, moment)
    except UsageError:  # each of its pairs is told so by itself
        return None
    offers: defaultdict[str, list[Side]] = defaultdict(list)
    for side in found.offers:
        offers[side.evidence.host].append(side)
    return _Fleet(found, offers)
