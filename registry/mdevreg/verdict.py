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


#: Which question a reason belongs to. ``capacity`` is told beside the verdict and never decides it.
About = Literal["user", "migration", "evidence", "capacity"]

#: Every reason code: what it says, and what it belongs to.
CODES: dict[str, tuple[Outcome | None, About]] = {
    "USER_COMPATIBLE": (Outcome.COMPATIBLE, "user"),
    "DEVICE_API_DIFFERS": (Outcome.INCOMPATIBLE, "user"),
    "DEVICE_API_UNKNOWN": (Outcome.UNKNOWN, "user"),
    "TYPE_DIFFERS": (Outcome.INCOMPATIBLE, "user"),
    "TYPE_UNKNOWN": (Outcome.UNKNOWN, "user"),
    "TYPE_NOT_OFFERED": (Outcome.INCOMPATIBLE, "user"),
    "STREAM_VERSION_LOADS": (Outcome.COMPATIBLE, "migration"),
    "STREAM_FORMAT_DIFFERS": (Outcome.INCOMPATIBLE, "migration"),
    "STREAM_VERSION_TOO_NEW": (Outcome.INCOMPATIBLE, "migration"),
    "STREAM_VERSION_TOO_OLD": (Outcome.INCOMPATIBLE, "migration"),
    "STREAM_VERSION_NOT_EQUAL": (Outcome.INCOMPATIBLE, "migration"),
    "STREAM_SCHEMES_DIFFER": (Outcome.UNKNOWN, "migration"),
    "SOURCE_SUPPORT_UNKNOWN": (Outcome.UNKNOWN, "migration"),
    "TARGET_SUPPORT_UNKNOWN": (Outcome.UNKNOWN, "migration"),
    "HOST_STALE": (Outcome.UNKNOWN, "evidence"),
    "HOST_LEFT": (Outcome.UNKNOWN, "evidence"),
    "HOST_OUT_OF_SYNC": (Outcome.UNKNOWN, "evidence"),
    "HOST_NEVER_REPORTED": (Outcome.UNKNOWN, "evidence"),
    "IDENTITY_CONFLICT": (Outcome.UNKNOWN, "evidence"),
    "NO_FREE_INSTANCE": (None, "capacity"),
    "CAPACITY_UNKNOWN": (None, "capacity"),
}


class Reason(msgspec.Struct, frozen=True):
    """One reason: a stable code, what it says (``None``: told beside), and a sentence."""

    code: str
    says: Outcome | None
    about: About
    text: str

    @classmethod
    def of(cls, code: str, text: str) -> Reason:
        """The reason of that code, which must be one of ``CODES``."""
        says, about = CODES[code]
        return cls(code, says, about, text)


class Verdict(msgspec.Struct, frozen=True):
    """Can the source's stream be loaded by the target? All reasons, never only the first.

    ``user``: would the guest see the same device. ``migration``: would the stream load. ``outcome`` is both
    of them and the evidence together. ``available_instances`` is the target's capacity, ``None`` if unknown.
    """

    outcome: Outcome
    user: Outcome
    migration: Outcome
    reasons: tuple[Reason, ...]
    negotiated: str | None = None
    available_instances: int | None = None


def verdict_of(reasons: tuple[Reason, ...], *, negotiated: str | None, free: int | None) -> Verdict:
    """Weigh the reasons."""

    def weigh(*about: About) -> Outcome:
        return Outcome.all_of(reason.says for reason in reasons if reason.says and reason.about in about)

    user, migration = weigh("user"), weigh("migration")
    evidence = [reason.says for reason in reasons if reason.says and reason.about == "evidence"]
    return Verdict(
        outcome=Outcome.all_of([user, migration, *evidence]),
        user=user,
        migration=migration,
        reasons=reasons,
        negotiated=negotiated,
        available_instances=free,
    )
