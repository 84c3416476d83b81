"""Rulings: verdicts without names and sentences, so that one serves every pair of hosts that it is true of. Pure.

A ruling is what ``judge`` says of two sides, reduced to what depends on their profiles, on the rules and on how good
the facts are. Capacity is told beside it, per offer. The sentences come with ``explain``, which asks ``judge`` again
with the hosts' own names.
"""

from __future__ import annotations

import msgspec

from mdevreg.verdict import Detection, Outcome, Verdict


class Ruling(msgspec.Struct, frozen=True):
    """A verdict in codes. ``codes``: the reasons' codes, each once, in order; capacity aside.

    ``way_back``: could the device come back, by its type, its stream and the rules.
    """

    outcome: Outcome
    user: Outcome
    migration: Outcome
    codes: tuple[str, ...]
    way_back: Outcome
    negotiated: str | None = None
    detection: Detection | None = None


class Brief(msgspec.Struct, frozen=True, gc=False):
    """The short answer to one question: a ruling, and what is to be known beside it.

    ``available_instances``: free ones of the best offer, ``None``: not known. ``facts_age_s``: seconds since the older
    of the two hosts was last heard, ``None`` if never, or in answers about the past. ``reliable_for_s``: re-ask after
    that many seconds; ``None``: the facts are no reason to rely on it at all.
    """

    ruling: Ruling
    available_instances: int | None
    facts_age_s: float | None
    reliable_for_s: float | None
    position: int

    @property
    def outcome(self) -> Outcome:
        """``compatible``, ``incompatible`` or ``unknown``."""
        return self.ruling.outcome


def ruling_of(verdict: Verdict, way_back: Outcome) -> Ruling:
    """The ruling in a verdict."""
    codes = (reason.code for reason in verdict.reasons if reason.about != "capacity")
    return Ruling(
        outcome=verdict.outcome,
        user=verdict.user,
        migration=verdict.migration,
        codes=tuple(dict.fromkeys(codes)),
        way_back=way_back,
        negotiated=verdict.negotiated,
        detection=verdict.detection,
    )
