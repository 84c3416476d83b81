"""The table of rulings: each pair of kinds judged once, by ``judge``, while what is believed stays the same. Pure.

Doubts are about facts, not about kinds: how good those of both hosts are is part of the key, as codes.
"""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from mdevreg.compatibility import Rules, judge, judge_absent
from mdevreg.facts import Side
from mdevreg.fleet.kinds import Kind
from mdevreg.knowledge import Knowledge
from mdevreg.rules import Rule, in_force
from mdevreg.rulings import Ruling, ruling_of
from mdevreg.support import Support
from mdevreg.times import micros
from mdevreg.verdict import Outcome, on_its_merits

#: What may be doubtful of a host's facts, as bits.
CONFLICT, OUT_OF_SYNC, LEFT, SILENT = 1, 2, 4, 8
#: Any doubt: which one it is makes no difference to an outcome.
DOUBTFUL = SILENT

#: The time of all judging: how old facts are is told by doubts.
WHEN = datetime(2000, 1, 1, tzinfo=UTC)
#: Plans that are remembered before all are made anew.
MAX_PLANS = 4_096


class RulingTable:
    """Rulings under one set of rules in force. Filled by whoever asks first; safe to share between threads.

    ``rules``: those in force, under which all facts are as of ``WHEN``.
    """

    def __init__(self, knowledge: Knowledge, now: datetime) -> None:
        self.knowledge = knowledge
        every = tuple(knowledge.rules.values())
        self.rules = Rules(in_force=in_force(every, now))
        self.from_us, self.until_us = _standing(every, now)
        self.sound: dict[Kind, dict[Kind, Ruling]] = {}  # source → target → ruling, where nothing is doubtful
        self._doubted: dict[tuple[Kind, Kind, int, int], Ruling] = {}
        self.nothing: dict[Kind, Ruling] = {}  # source → ruling, for hosts with good facts and nothing of its type
        self._absent: dict[tuple[Kind, bool, int, int], Ruling] = {}
        self.plans: dict[object, object] = {}

    def ruling(self, source: Kind, target: Kind, source_doubts: int = 0, target_doubts: int = 0) -> Ruling:
        """The ruling for a pair of kinds, with these doubts about their hosts."""
        if not source_doubts and not target_doubts:
            row = self.sound.setdefault(source, {})
            found = row.get(target)
            if found is None:
                found = row[target] = self._judged(source, target, 0, 0)
            return found
        key = (source, target, source_doubts, target_doubts)
        found = self._doubted.get(key)
        if found is None:
            found = self._doubted[key] = self._judged(source, target, source_doubts, target_doubts)
        return found

    def absent(self, source: Kind, *, reported: bool, source_doubts: int = 0, target_doubts: int = 0) -> Ruling:
        """The ruling for a host that offers nothing of the source's type. ``reported``: whether it told anything."""
        key = (source, reported, source_doubts, target_doubts)
        found = self._absent.get(key)
        if found is None:
            here, there = self.side(source, source_doubts), self.side(source, target_doubts)
            target = there.evidence if reported else msgspec.structs.replace(there.evidence, changed_at=None)
            verdict = judge_absent(here, target, "", (), self.rules, WHEN)
            found = self._absent[key] = ruling_of(verdict, Outcome.UNKNOWN)
            if reported and not source_doubts and not target_doubts:
                self.nothing[source] = found
        return found

    def remember(self, key: object, plan: object) -> None:
        """Keep what was worked out of rulings."""
        if len(self.plans) >= MAX_PLANS:
            self.plans = {}
        self.plans[key] = plan

    def _judged(self, source: Kind, target: Kind, source_doubts: int, target_doubts: int) -> Ruling:
        here, there = self.side(source, source_doubts), self.side(target, target_doubts)
        tried = self.knowledge.tried_between(source.digest, (target.digest,))
        rules = msgspec.structs.replace(self.rules, outcomes=tried) if tried else self.rules
        verdict = judge(here, there, rules, WHEN)
        back = judge(there, here, rules, WHEN)
        return ruling_of(verdict, on_its_merits(back))

    def side(self, kind: Kind, doubts: int = 0) -> Side:
        """One of the kind, on a host of its own whose facts are as doubtful as said."""
        evidence = msgspec.structs.replace(
            kind.sample.evidence,
            changed_at=WHEN,
            last_seen=None if doubts & SILENT else WHEN,
            leaving=bool(doubts & LEFT),
            in_sync=not doubts & OUT_OF_SYNC,
            conflict=bool(doubts & CONFLICT),
        )
        return msgspec.structs.replace(kind.sample, evidence=evidence, support=self.support(kind))

    def support(self, kind: Kind) -> Support:
        """What a kind saves and loads."""
        return self.knowledge.support(kind.digest, kind.profile)


def _standing(rules: tuple[Rule, ...], now: datetime) -> tuple[int, int]:
    """Between which times the same rules are in force as now, µs UTC."""
    turns = [time for rule in rules for time in (rule.valid_from, rule.valid_until) if time is not None]
    us = sorted(micros(time) for time in turns)
    at = micros(now)
    return (
        max((turn for turn in us if turn <= at), default=-(2**63)),
        min((turn for turn in us if turn > at), default=2**63),
    )
