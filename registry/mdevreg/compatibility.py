"""``judge``: can this migration stream be loaded there, and why (not)? Pure; the only rule there is.

Every door hands facts to this function (design section 5). The order of questions: user compatibility,
stream format, versions, match fields, operators' rules, evidence; capacity beside them. All reasons are collected.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Literal

import msgspec

from mdevreg.facts import Evidence, Side
from mdevreg.outcomes import OutcomeReport
from mdevreg.profiles import Profile
from mdevreg.rules import Rule
from mdevreg.scopes import concerning
from mdevreg.stream_reasons import Stream, named, stream_between
from mdevreg.streams import StreamSet, Tags, contains, meet
from mdevreg.support import NotMigratable, StreamSupport
from mdevreg.verdict import Detection, Outcome, Reason, Verdict, verdict_of

#: After this silence a host's facts are stale: three missed heartbeats of the default 10 s, twice over.
DEFAULT_STALE_AFTER_S = 60.0


class Rules(msgspec.Struct, frozen=True):
    """What operators decide about verdicts, and what was found out by trying.

    ``stale_after_s``: silence after which facts are *unknown*. ``in_force``: the rules that hold then. ``outcomes``:
    the newest of each two profiles.
    """

    stale_after_s: float = DEFAULT_STALE_AFTER_S
    in_force: tuple[Rule, ...] = ()
    outcomes: tuple[OutcomeReport, ...] = ()


DEFAULT_RULES = Rules()


def judge(source: Side, target: Side, rules: Rules, now: datetime) -> Verdict:
    """The verdict for one source and one target, in that direction. ``now`` is aware."""
    stream = stream_between(source, target, rules.in_force)
    merits = (*user_reasons(source.profile, target.profile), *stream.reasons)
    reasons = (
        *merits,
        *_tried(source, target, merits, rules.outcomes),
        *rule_reasons(source, target, stream, rules.in_force),
        *evidence_reasons((source.evidence, target.evidence), rules, now),
        *_contradictions((source, target)),
        *capacity_reasons(target),
    )
    free, when = target.available_instances, _detection(source, target)
    return verdict_of(reasons, negotiated=stream.negotiated, free=free, detection=when)


def judge_absent(
    source: Side, target: Evidence, where: str, offered: tuple[str, ...], rules: Rules, now: datetime
) -> Verdict:
    """The verdict for a place that offers nothing of the source's type.

    ``where``: the host, or HOST/PARENT, in words; ``offered``: the types it has.
    """
    kind = source.profile.type
    if kind is None:
        first = Reason.of("TYPE_UNKNOWN", f"the type of {named(source)} is not known")
    elif target.changed_at is None:
        first = Reason.of("HOST_NEVER_REPORTED", f"{target.hostname} has never reported anything")
    else:
        has = ", ".join(offered[:5]) + (", …" if len(offered) > 5 else "") if offered else "no type at all"  # noqa: PLR2004
        first = Reason.of("TYPE_NOT_OFFERED", f"{where} does not offer {kind}; it offers {has}")
    evidence = evidence_reasons((source.evidence, target), rules, now)
    return verdict_of((first, *evidence), negotiated=None, free=None)


def user_reasons(source: Profile, target: Profile) -> tuple[Reason, ...]:
    """Would the guest see the same device? Same ``device_api`` and same type."""
    reasons = (*_api(source.device_api, target.device_api), *_type(source.type, target.type))
    if reasons:
        return reasons
    return (Reason.of("USER_COMPATIBLE", f"both are {target.type} over {target.device_api}"),)


def _api(source: str | None, target: str | None) -> Iterator[Reason]:
    if source is None or target is None:
        side = "source" if source is None else "target"
        yield Reason.of("DEVICE_API_UNKNOWN", f"the {side} states no device_api")
    elif source != target:
        yield Reason.of("DEVICE_API_DIFFERS", f"the source's device_api is {source}, the target's is {target}")


def _type(source: str | None, target: str | None) -> Iterator[Reason]:
    if source is None or target is None:
        yield Reason.of("TYPE_UNKNOWN", f"the type of the {'source' if source is None else 'target'} is not known")
    elif source != target:
        yield Reason.of("TYPE_DIFFERS", f"the source is {source}, the target is {target}")


def rule_reasons(source: Side, target: Side, stream: Stream, rules: tuple[Rule, ...]) -> Iterator[Reason]:
    """Denials and permissions. A rule that names a format is about streams of that format.

    A deny of versions is about streams that are, or may be, of them; one whose versions don't compare with the
    stream's leaves it unknown: a rule must not be void by a slip of its scheme.
    """
    support = source.support
    form = support.format if isinstance(support, StreamSupport) else None
    for rule in concerning(rules, source, target):
        if rule.effect == "match" or rule.format not in (None, form):
            continue
        if rule.effect == "allow":
            yield Reason.of("RULE_ALLOWS", str(rule), rule.id)
            continue
        bad = rule.narrowed_to()
        fit = _denied(support.saves, bad, stream) if bad is not None and isinstance(support, StreamSupport) else "yes"
        if fit == "yes":
            yield Reason.of("RULE_DENIES", str(rule), rule.id)
        elif fit == "incomparable":
            text = f"its versions {bad} are not of the scheme that the stream's are, so that it can't be told: {rule}"
            yield Reason.of("RULE_NOT_COMPARABLE", text, rule.id)


def _denied(saves: StreamSet, bad: StreamSet, stream: Stream) -> Literal["yes", "no", "incomparable"]:
    """Whether the stream would be one of the bad ones: the negotiated version is, or any that is saved."""
    if isinstance(saves, Tags) and isinstance(bad, Tags):
        return "yes" if {*saves.required, *saves.optional} & {*bad.required, *bad.optional} else "no"
    fit = meet(saves, bad).fit
    if fit in ("schemes_differ", "opaque"):
        return "incomparable"
    may_be = fit == "loads" if stream.without_pins is None else contains(bad, stream.without_pins)
    return "yes" if may_be else "no"


def _tried(
    source: Side, target: Side, merits: tuple[Reason, ...], outcomes: tuple[OutcomeReport, ...]
) -> Iterator[Reason]:
    """What came of the last real migration between the same two profiles, as far as it is no news.

    A refusal makes a yes unknown, never a no: one host's trouble is not the build's. A load contradicts a no and
    decides nothing: content differs from guest to guest.
    """
    for outcome in outcomes:
        if not source.digest or (outcome.source, outcome.target) != (source.digest, target.digest):
            continue
        if outcome.result == "refused":
            yield Reason.of(
                "OUTCOME_REFUSED", f"a target of the same profile refused such a stream: {outcome}", outcome.id
            )
        elif Outcome.all_of(reason.says for reason in merits if reason.says) is not Outcome.COMPATIBLE:
            yield Reason.of(
                "OUTCOME_LOADED", f"a target of the same profile loaded such a stream: {outcome}", outcome.id
            )


def evidence_reasons(hosts: tuple[Evidence, ...], rules: Rules, now: datetime) -> tuple[Reason, ...]:
    """Doubts about the facts themselves; none if they are fresh and undisputed."""
    found = (reason for host in dict.fromkeys(hosts) for reason in _doubts(host, rules, now))
    return tuple(dict.fromkeys(found))  # two accounts of one host may say the same


def _doubts(host: Evidence, rules: Rules, now: datetime) -> Iterator[Reason]:
    if host.conflict:
        yield Reason.of("IDENTITY_CONFLICT", f"two live agents claim to be {host.hostname} ({host.host})")
    if host.historical:
        return
    if not host.in_sync:
        yield Reason.of("HOST_OUT_OF_SYNC", f"records of {host.hostname} are missing; a complete snapshot is awaited")
    if host.leaving:
        yield Reason.of("HOST_LEFT", f"the agent on {host.hostname} said goodbye")
    elif host.last_seen is None:
        yield Reason.of("HOST_STALE", f"the agent on {host.hostname} was never heard")
    elif (now - host.last_seen).total_seconds() > rules.stale_after_s:
        seen = f"was last heard {host.last_seen:%Y-%m-%d %H:%M:%SZ}"
        yield Reason.of("HOST_STALE", f"{host.hostname} {seen}, more than {rules.stale_after_s:g} s ago")


def _contradictions(sides: tuple[Side, Side]) -> Iterator[Reason]:
    """What weaker sources say otherwise; told, since it may be the stronger one that is wrong."""
    for name, side in zip(("source", "target"), sides, strict=True):
        support = side.support
        if isinstance(support, StreamSupport | NotMigratable):
            for text in support.contradictions:
                yield Reason.of("SOURCES_CONTRADICT", f"{name}: {support.learned} decides, but {text}", name)


def _detection(source: Side, target: Side) -> Detection | None:
    """When a mismatch would show: early only if both ends can tell before the guest is paused."""
    checks = [side.support.earliest_check for side in (source, target) if isinstance(side.support, StreamSupport)]
    if "downtime" in checks:
        return "downtime"
    return "pre_copy" if checks == ["pre_copy", "pre_copy"] else None


def capacity_reasons(target: Side) -> Iterator[Reason]:
    """Free instances, told beside the verdict."""
    where, when = f"{target.evidence.hostname}/{target.parent}", "then" if target.evidence.historical else "now"
    if target.available_instances is None:
        yield Reason.of("CAPACITY_UNKNOWN", f"the free instances of {where} are not known")
    elif target.available_instances == 0:
        yield Reason.of("NO_FREE_INSTANCE", f"{where} has no free instance {when}")
