"""The verdict and its reasons. A reason code is frozen once released; its sentence may change."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Literal

import msgspec


class Outcome(StrEnum):
    """Three-valued. Unknown is never success."""

    COMPATIBLE = "compatible"
    INCOMPATIBLE = "incompatible"
    UNKNOWN = "unknown"

    @classmethod
    def all_of(cls, outcomes: Iterable[Outcome]) -> Outcome:
        """Kleene's *and*: one no decides, then one unknown; nothing at all is unknown, not yes."""
        found = set(outcomes)
        if cls.INCOMPATIBLE in found:
            return cls.INCOMPATIBLE
        if cls.UNKNOWN in found or not found:
            return cls.UNKNOWN
        return cls.COMPATIBLE


#: The outcomes as answers are listed, the best first, and each one's place among them.
BEST_FIRST = (Outcome.COMPATIBLE, Outcome.UNKNOWN, Outcome.INCOMPATIBLE)
RANK = {outcome: rank for rank, outcome in enumerate(BEST_FIRST)}

#: Which question a reason belongs to. ``capacity`` is told beside the verdict and never decides it.
About = Literal["user", "migration", "rule", "evidence", "capacity"]
_NO, _YES, _UNKNOWN = Outcome.INCOMPATIBLE, Outcome.COMPATIBLE, Outcome.UNKNOWN

#: Every reason code: what it says (``None``: told beside), and what it belongs to. Explained in ``mdevreg.reasons``.
CODES: dict[str, tuple[Outcome | None, About]] = {
    "USER_COMPATIBLE": (_YES, "user"),
    "DEVICE_API_DIFFERS": (_NO, "user"),
    "DEVICE_API_UNKNOWN": (_UNKNOWN, "user"),
    "TYPE_DIFFERS": (_NO, "user"),
    "TYPE_UNKNOWN": (_UNKNOWN, "user"),
    "TYPE_NOT_OFFERED": (_NO, "user"),
    "TYPE_NOT_TOLD": (None, "user"),
    "STREAM_VERSION_LOADS": (_YES, "migration"),
    "STREAM_TAGS_KNOWN": (_YES, "migration"),
    "STREAM_FORMAT_DIFFERS": (_NO, "migration"),
    "STREAM_VERSION_TOO_NEW": (_NO, "migration"),
    "STREAM_VERSION_TOO_OLD": (_NO, "migration"),
    "STREAM_VERSION_NOT_EQUAL": (_NO, "migration"),
    "STREAM_VERSION_NOT_LISTED": (_NO, "migration"),
    "STREAM_TAG_UNKNOWN": (_NO, "migration"),
    "STREAM_SCHEMES_DIFFER": (_UNKNOWN, "migration"),
    "STREAM_VERSIONS_UNORDERED": (_UNKNOWN, "migration"),
    "STREAM_OPAQUE": (_UNKNOWN, "migration"),
    "STREAM_DECIDED_BY_DEVICE": (_UNKNOWN, "migration"),
    "SOURCE_NOT_MIGRATABLE": (_NO, "migration"),
    "TARGET_NOT_MIGRATABLE": (_NO, "migration"),
    "SOURCE_SUPPORT_UNKNOWN": (_UNKNOWN, "migration"),
    "TARGET_SUPPORT_UNKNOWN": (_UNKNOWN, "migration"),
    "MATCH_FIELDS_AGREE": (_YES, "migration"),
    "MATCH_FIELD_DIFFERS": (_NO, "migration"),
    "MATCH_FIELD_LACKS": (_NO, "migration"),
    "MATCH_FIELD_DOUBTFUL": (_UNKNOWN, "migration"),
    "MATCH_FIELD_UNKNOWN": (_UNKNOWN, "migration"),
    "MATCH_FIELD_ADVISORY": (None, "migration"),
    "OUTCOME_REFUSED": (_UNKNOWN, "migration"),
    "OUTCOME_LOADED": (None, "migration"),
    "RULE_DENIES": (_NO, "rule"),
    "RULE_ALLOWS": (_YES, "rule"),
    "RULE_PINS": (None, "rule"),
    "RULE_PIN_EXCLUDES": (_NO, "migration"),
    "RULE_MATCHES": (_YES, "migration"),
    "RULE_NOT_COMPARABLE": (_UNKNOWN, "evidence"),
    "SOURCES_CONTRADICT": (None, "evidence"),
    "HOST_STALE": (_UNKNOWN, "evidence"),
    "HOST_LEFT": (_UNKNOWN, "evidence"),
    "HOST_OUT_OF_SYNC": (_UNKNOWN, "evidence"),
    "HOST_NEVER_REPORTED": (_UNKNOWN, "evidence"),
    "IDENTITY_CONFLICT": (_UNKNOWN, "evidence"),
    "NO_FREE_INSTANCE": (None, "capacity"),
    "CAPACITY_UNKNOWN": (None, "capacity"),
}


class Reason(msgspec.Struct, frozen=True):
    """One reason: a stable code, what it says (``None``: told beside), and a sentence."""

    code: str
    says: Outcome | None
    about: About
    text: str
    name: str = ""  # the match field, or the id of the rule or outcome

    @classmethod
    def of(cls, code: str, text: str, name: str = "") -> Reason:
        """The reason of that code, which must be one of ``CODES``."""
        says, about = CODES[code]
        return cls(code, says, about, text, name)


#: When a mismatch would show: before the guest is paused, or after; ``None``: not known.
Detection = Literal["pre_copy", "downtime"]


class Verdict(msgspec.Struct, frozen=True):
    """Can the source's stream be loaded by the target? All reasons, never only the first.

    ``user``: would the guest see the same device. ``migration``: would the stream load; operators' denials and
    permissions aside. ``outcome``: a deny beats everything, an allow all but a deny; without them it is ``user``,
    ``migration`` and the evidence together. ``available_instances``: the target's capacity, ``None`` if unknown.
    """

    outcome: Outcome
    user: Outcome
    migration: Outcome
    reasons: tuple[Reason, ...]
    negotiated: str | None = None
    available_instances: int | None = None
    detection: Detection | None = None


def verdict_of(
    reasons: tuple[Reason, ...],
    *,
    negotiated: str | None,
    free: int | None,
    detection: Detection | None = None,
    type_told: bool = True,
) -> Verdict:
    """Weigh the reasons. ``type_told``: false for a stream without its device's type; ``user`` then decides nothing."""

    def weigh(*about: About) -> Outcome:
        return Outcome.all_of(reason.says for reason in reasons if reason.says and reason.about in about)

    user, migration = weigh("user"), weigh("migration")
    evidence = [reason.says for reason in reasons if reason.says and reason.about == "evidence"]
    return Verdict(
        outcome=_ruled(reasons) or Outcome.all_of([*([user] if type_told else []), migration, *evidence]),
        user=user,
        migration=migration,
        reasons=reasons,
        negotiated=negotiated,
        available_instances=free,
        detection=detection,
    )


def on_its_merits(verdict: Verdict) -> Outcome:
    """The outcome by types, streams and rules: how fresh the facts are is not in it."""
    return _ruled(verdict.reasons) or Outcome.all_of((verdict.user, verdict.migration))


def _ruled(reasons: tuple[Reason, ...]) -> Outcome | None:
    """What operators' rules decide by themselves."""
    codes = {reason.code for reason in reasons}
    if "RULE_DENIES" in codes:
        return Outcome.INCOMPATIBLE
    return Outcome.COMPATIBLE if "RULE_ALLOWS" in codes else None
