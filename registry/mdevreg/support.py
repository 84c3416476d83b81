"""From observations to stream support: the registry interprets, agents do not. Pure.

The strongest source that states versions decides (``mdevreg.claims``), and its match rules with it; values of match
fields come from whoever states them, in the same order. What weaker sources say otherwise is kept beside it. Where
nothing is stated, nothing is concluded.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from mdevreg.catalog import Catalog
from mdevreg.claims import Claim, Learned, claims_of, driver_name
from mdevreg.places import observed_at
from mdevreg.profiles import Profile
from mdevreg.statements import MatchRule
from mdevreg.streams import Exact, StreamSet


class MatchField(msgspec.Struct, frozen=True):
    """A match rule and this side's value; ``None``: not known. ``told_by``: who states the value."""

    field: str
    rule: Literal["equal", "superset", "advisory"]
    differing: Literal["no", "unknown"] = "no"
    value: str | None = None
    told_by: str = ""


class StreamSupport(msgspec.Struct, frozen=True, tag_field="kind", tag="streams"):
    """What a driver build saves and loads, in one stream format, and where that was learned."""

    format: str
    saves: StreamSet
    loads: StreamSet
    learned: Learned
    match: tuple[MatchField, ...] = ()
    fields: dict[str, str] = {}  # what anybody states of it, asked for by its own rules or not
    decided_by: Literal["driver", "device"] = "driver"
    earliest_check: Literal["pre_copy", "downtime"] | None = None
    contradictions: tuple[str, ...] = ()


class NotMigratable(msgspec.Struct, frozen=True, tag_field="kind", tag="not_migratable"):
    """The driver has no migration at all."""

    driver: str
    learned: Learned
    contradictions: tuple[str, ...] = ()


class NoSupport(msgspec.Struct, frozen=True, tag_field="kind", tag="unknown"):
    """Why no stream support could be concluded: a sentence about the driver."""

    why: Literal["nothing_stated", "no_driver", "unreadable", "ambiguous"]
    text: str = ""


Support = StreamSupport | NotMigratable | NoSupport


def saves_of(support: Support | None) -> str | None:
    """What is saved, with its format: ``mtty 1.0``; ``None`` if that is not known."""
    return _versions(support, "saves")


def loads_of(support: Support | None) -> str | None:
    """What is loaded, with its format: ``mtty [1.0, 2.0]``; ``None`` if that is not known."""
    return _versions(support, "loads")


def support_of(profile: Profile, catalog: Catalog) -> Support:
    """What this profile saves and loads, or why that is not known."""
    if profile.driver is None:
        return NoSupport("no_driver", "no driver is bound")
    claims = claims_of(profile, catalog)
    deciding = [claim for claim in claims if claim.decides]
    if not deciding:
        return NoSupport("nothing_stated", _nothing(profile))
    first = deciding[0]
    for rival in deciding[1:]:
        if _equally_strong(first, rival) and not first.says_exactly(rival):
            return _ambiguous(first, rival)
    # Of each source what it says most exactly; its broader entries say no more.
    strongest = {claim.learned.source: claim for claim in reversed(deciding[1:])}
    others = tuple(str(claim) for claim in reversed(strongest.values()) if _contradicts(claim, first))
    return _concluded(profile, first, claims, others)


def _concluded(profile: Profile, first: Claim, claims: list[Claim], others: tuple[str, ...]) -> Support:
    said, understood = first.statement, first.understood()
    if isinstance(understood, str):
        return NoSupport("unreadable", f"{first.learned} of {driver_name(profile)} is not understood: {understood}")
    if understood is None:
        return NotMigratable(driver_name(profile), first.learned, others)
    beside = _beside(first.learned.source, claims)
    if len(beside) > 1:
        return _ambiguous(beside[0], beside[1])
    rules = said.match or (beside[0].statement.match if beside else ())
    return StreamSupport(
        format=said.format or driver_name(profile),
        saves=understood[0],
        loads=understood[1],
        learned=first.learned,
        match=tuple(_field(rule, profile, claims) for rule in rules),
        fields=_stated(claims),
        decided_by=said.decided_by,
        earliest_check=said.earliest_check,
        contradictions=others,
    )


def _contradicts(claim: Claim, first: Claim) -> bool:
    """Two attributes of one driver are two words for its streams, and no contradiction."""
    both_sysfs = claim.learned.source == first.learned.source == "sysfs"
    return not both_sysfs and not claim.says_the_same(first)


def _ambiguous(one: Claim, other: Claim) -> NoSupport:
    text = f"{one.learned} and {other.learned} speak of this build equally exactly and contradict each other"
    return NoSupport("ambiguous", f"{text}: {one}; {other}")


def _equally_strong(one: Claim, other: Claim) -> bool:
    """Two entries of one source that name the build equally exactly, or two plug-ins."""
    return one.learned.source == other.learned.source != "sysfs" and (
        one.rank == other.rank and one.learned.named != other.learned.named
    )


def _beside(source: str, claims: list[Claim]) -> list[Claim]:
    """The entries whose match rules go with versions learned there: the most exact, more than one if they differ."""
    found = [claim for claim in claims if claim.entry is not None and claim.entry.beside == source]
    best = [claim for claim in found if claim == found[0] or _equally_strong(found[0], claim)]
    return [claim for at, claim in enumerate(best) if at == 0 or claim.statement.match != best[0].statement.match]


def _field(rule: MatchRule, profile: Profile, claims: list[Claim]) -> MatchField:
    telling = _telling(rule.field, claims)
    if telling is not None:
        return MatchField(rule.field, rule.rule, rule.differing, telling[0], telling[1])
    observed = None if rule.from_ is None else observed_at(profile, rule.from_)
    return MatchField(rule.field, rule.rule, rule.differing, observed, "" if observed is None else rule.from_ or "")


def _telling(field: str, claims: list[Claim]) -> tuple[str | None, str] | None:
    """The value that the strongest claim states, and who; no value where equally strong ones differ."""
    stating = [claim for claim in claims if field in claim.fields]
    if not stating:
        return None
    first = stating[0]
    for rival in stating[1:]:
        if _equally_strong(first, rival) and rival.fields[field] != first.fields[field]:
            return None, " and ".join(sorted((str(first.learned), str(rival.learned)))) + " contradict each other"
    return first.fields[field], str(first.learned)


def _stated(claims: list[Claim]) -> dict[str, str]:
    """The values of match fields, each from the strongest source that states it."""
    names = dict.fromkeys(name for claim in claims for name in claim.fields)
    told = {name: _telling(name, claims) for name in names}
    return {name: found[0] for name, found in told.items() if found is not None and found[0] is not None}


def _nothing(profile: Profile) -> str:
    driver = profile.driver
    if driver is None:
        return ""
    keys = (("kernel", driver.kernel_release), ("version", driver.version), ("srcversion", driver.srcversion))
    build = ", ".join(f"{name} {value}" for name, value in keys if value) or "of no known identity"
    return f"{driver.name} states no migration_stream_version, and no catalog entry names its build ({build})"


def _versions(support: Support | None, name: Literal["saves", "loads"]) -> str | None:
    match support:
        case StreamSupport():
            versions = getattr(support, name)
            return f"{support.format} {versions.version if isinstance(versions, Exact) else versions}"
        case NotMigratable():
            return "no migration"
    return None
