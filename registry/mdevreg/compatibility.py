"""``judge``: can this migration stream be loaded there, and why (not)? Pure; the only rule there is.

Every door hands facts to this function (design section 5). The order of questions: user compatibility,
stream format, versions, evidence; capacity beside them. All reasons are collected.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import msgspec

from mdevreg.facts import Evidence, Side
from mdevreg.profiles import Profile
from mdevreg.streams import Range, StreamSupport, fit
from mdevreg.support import NoSupport, support_of
from mdevreg.verdict import Reason, Verdict, verdict_of

#: After this silence a host's facts are stale: three missed heartbeats of the default 10 s, twice over.
DEFAULT_STALE_AFTER_S = 60.0


class Rules(msgspec.Struct, frozen=True):
    """What an operator decides about verdicts. ``stale_after_s``: silence after which facts are *unknown*."""

    stale_after_s: float = DEFAULT_STALE_AFTER_S


DEFAULT_RULES = Rules()


def judge(source: Side, target: Side, rules: Rules, now: datetime) -> Verdict:
    """The verdict for one source and one target, in that direction. ``now`` is aware."""
    stream, negotiated = stream_reasons(source, target)
    reasons = (
        *user_reasons(source.profile, target.profile),
        *stream,
        *evidence_reasons((source.evidence, target.evidence), rules, now),
        *_capacity(target),
    )
    return verdict_of(reasons, negotiated=negotiated, free=target.available_instances)


def judge_absent(
    source: Side, target: Evidence, where: str, offered: tuple[str, ...], rules: Rules, now: datetime
) -> Verdict:
    """The verdict for a place that offers nothing of the source's type.

    ``where``: the host, or HOST/PARENT, in words; ``offered``: the types it has.
    """
    kind = source.profile.type
    if kind is None:
        first = Reason.of("TYPE_UNKNOWN", f"the type of {_named(source)} is not known")
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


def stream_reasons(source: Side, target: Side) -> tuple[tuple[Reason, ...], str | None]:
    """Would the stream load? The reasons, and the negotiated version where it would."""
    saves, loads = support_of(source.profile), support_of(target.profile)
    if isinstance(saves, NoSupport) or isinstance(loads, NoSupport):
        sides = (("SOURCE", source, saves), ("TARGET", target, loads))
        return tuple(_unknown(side, of, why) for side, of, why in sides if isinstance(why, NoSupport)), None
    if saves.format != loads.format:
        text = f"the source saves {saves.format} streams, the target loads {loads.format} streams"
        return (Reason.of("STREAM_FORMAT_DIFFERS", text),), None
    reason = _versions(saves, loads)
    return (reason,), saves.saves.raw if reason.code == "STREAM_VERSION_LOADS" else None


def _versions(source: StreamSupport, target: StreamSupport) -> Reason:
    saves, loads = source.saves, target.loads
    stream = f"{source.format} stream version {saves}"
    match fit(saves, loads):
        case "loads":
            return Reason.of("STREAM_VERSION_LOADS", f"{stream} is in the target's range {loads}")
        case "too_new":
            return Reason.of("STREAM_VERSION_TOO_NEW", f"{stream} is newer than the target's range {loads}")
        case "too_old":
            return Reason.of("STREAM_VERSION_TOO_OLD", f"{stream} is older than the target's range {loads}")
        case "not_equal":
            text = f"{stream} is not {loads}; the target states no minimum, so it loads its own version only"
            return Reason.of("STREAM_VERSION_NOT_EQUAL", text)
        case "schemes_differ":
            top = loads.maximum if isinstance(loads, Range) else loads.version
            text = f"{stream} ({saves.scheme}) can't be compared with {loads} ({top.scheme})"
            return Reason.of("STREAM_SCHEMES_DIFFER", text)


def _unknown(side: str, of: Side, why: NoSupport) -> Reason:
    driver = of.profile.driver.name if of.profile.driver else "no driver"
    sentence = {
        "nothing_stated": f"{driver} states no migration_stream_version",
        "no_driver": "no driver is bound, so the stated version belongs to no stream format",
        "unreadable": f"{driver} states a version that is not understood: {why.text!r}",
        "minimum_above_version": f"{driver} states a minimum above its version: {why.text}",
    }[why.why]
    return Reason.of(f"{side}_SUPPORT_UNKNOWN", f"{side.lower()}: {sentence} ({_named(of)} on {of.evidence.hostname})")


def evidence_reasons(hosts: tuple[Evidence, ...], rules: Rules, now: datetime) -> tuple[Reason, ...]:
    """Doubts about the facts themselves; none if they are fresh and undisputed."""
    distinct = {host.host: host for host in hosts}
    return tuple(reason for host in distinct.values() for reason in _doubts(host, rules, now))


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


def _capacity(target: Side) -> Iterator[Reason]:
    where, when = f"{target.evidence.hostname}/{target.parent}", "then" if target.evidence.historical else "now"
    if target.available_instances is None:
        yield Reason.of("CAPACITY_UNKNOWN", f"the free instances of {where} are not known")
    elif target.available_instances == 0:
        yield Reason.of("NO_FREE_INSTANCE", f"{where} has no free instance {when}")


def _named(side: Side) -> str:
    return side.device or f"{side.parent}/{side.profile.type}"
