"""Would the stream load? Format, versions, match fields, pins and match rules, with every reason. Pure."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from mdevreg.facts import Side
from mdevreg.matching import agreement, missing_of
from mdevreg.rules import Rule
from mdevreg.scopes import concerning, pins_on
from mdevreg.streams import Fit, Meeting, Opaque, StreamSet, Tags, meet
from mdevreg.support import MatchField, NoSupport, NotMigratable, StreamSupport
from mdevreg.verdict import Reason
from mdevreg.versions import StreamVersion


class Stream(msgspec.Struct, frozen=True):
    """The reasons, and the negotiated version where the stream would load."""

    reasons: tuple[Reason, ...]
    version: StreamVersion | None = None
    without_pins: StreamVersion | None = None  # a rule of ours makes no driver save another version

    @property
    def negotiated(self) -> str | None:
        """Its text."""
        return None if self.version is None else self.version.raw


def stream_between(source: Side, target: Side, rules: tuple[Rule, ...]) -> Stream:
    """Would the source's stream load at the target, denials and permissions aside?"""
    saves, loads = source.support, target.support
    if not (isinstance(saves, StreamSupport) and isinstance(loads, StreamSupport)):
        return Stream(tuple(_without_support(source, target)))
    if saves.format != loads.format:
        text = f"the source saves {saves.format} streams, the target loads {loads.format} streams"
        return Stream((Reason.of("STREAM_FORMAT_DIFFERS", text),))
    pins = _pins(source, target, saves.format, rules)
    meeting = meet(saves.saves, loads.loads)
    negotiated, pinned = _pinned(saves, loads, meeting, pins)
    trusted = [rule for rule in concerning(rules, source, target) if rule.effect == "match" and _about(rule, saves)]
    reasons = (
        *_versions(saves, loads, meeting if negotiated is None else Meeting("loads", negotiated)),
        *pinned,
        *_fields(saves, loads),
        *_content(saves, loads, trusted),
    )
    return Stream(reasons, negotiated, meeting.negotiated)


def _without_support(source: Side, target: Side) -> Iterator[Reason]:
    for name, side in (("SOURCE", source), ("TARGET", target)):
        match side.support:
            case NotMigratable() as found:
                text = f"{found.driver} has no migration ({found.learned}; {named(side)} on {side.evidence.hostname})"
                yield Reason.of(f"{name}_NOT_MIGRATABLE", f"{name.lower()}: {text}")
            case NoSupport() as found:
                text = f"{found.text} ({named(side)} on {side.evidence.hostname})"
                yield Reason.of(f"{name}_SUPPORT_UNKNOWN", f"{name.lower()}: {text}")


#: What each way of meeting says; ``opaque`` is told with the content.
_SAID: dict[Fit, tuple[str, str]] = {
    "too_new": ("STREAM_VERSION_TOO_NEW", "{stream} is newer than the target's range {theirs}"),
    "too_old": ("STREAM_VERSION_TOO_OLD", "{stream} is older than the target's range {theirs}"),
    "not_equal": ("STREAM_VERSION_NOT_EQUAL", "{stream} is not {theirs}; the target loads its own version only"),
    "not_listed": ("STREAM_VERSION_NOT_LISTED", "{stream} is not among those the target loads: {theirs}"),
    "schemes_differ": (
        "STREAM_SCHEMES_DIFFER",
        "{stream} ({scheme}) can't be compared with {theirs} ({other_scheme})",
    ),
    "unordered": (
        "STREAM_VERSIONS_UNORDERED",
        "{stream} is not {theirs}, and {scheme} versions don't tell whether the target loads it",
    ),
    "tag_unknown": ("STREAM_TAG_UNKNOWN", "{stream} has required tags that are unknown there: {tags}"),
}


def _versions(saves: StreamSupport, loads: StreamSupport, meeting: Meeting) -> Iterator[Reason]:
    ours, theirs = saves.saves, loads.loads
    stream = f"{saves.format} stream" + ("" if isinstance(ours, Tags) else f" version {_shown(ours)}")
    if meeting.fit == "loads":
        yield _loads(saves, theirs, meeting)
    elif meeting.fit in _SAID:
        code, text = _SAID[meeting.fit]
        schemes = {"scheme": _scheme(ours), "other_scheme": _scheme(theirs)}
        tags = ", ".join(meeting.unknown_tags)
        yield Reason.of(code, text.format(stream=stream, theirs=theirs, tags=tags, **schemes))


def _loads(saves: StreamSupport, theirs: StreamSet, meeting: Meeting) -> Reason:
    if meeting.negotiated is None:
        text = f"every required tag of the {saves.format} stream is known there: {saves.saves}"
        return Reason.of("STREAM_TAGS_KNOWN", text)
    text = f"{saves.format} stream version {meeting.negotiated} is in the target's range {theirs}"
    return Reason.of("STREAM_VERSION_LOADS", text)


def _shown(versions: StreamSet) -> str:
    """A single version as itself, a set as a set."""
    text = str(versions)
    return text[1:-1] if text.startswith("[") and "," not in text else text


def _scheme(versions: StreamSet) -> str:
    for name in ("version", "maximum"):
        if hasattr(versions, name):
            return str(getattr(versions, name).scheme)
    listed: tuple[StreamVersion, ...] = getattr(versions, "versions", ())
    return listed[0].scheme if listed else "tags"


def _pins(source: Side, target: Side, form: str, rules: tuple[Rule, ...]) -> list[Rule]:
    found = {
        rule.id: rule for rule in (*pins_on(rules, source, "source", form), *pins_on(rules, target, "target", form))
    }
    return list(found.values())


def _pinned(
    saves: StreamSupport, loads: StreamSupport, free: Meeting, pins: list[Rule]
) -> tuple[StreamVersion | None, list[Reason]]:
    """The version negotiated within the pins, and what is to be told of them."""
    within = [narrowed for rule in pins if (narrowed := rule.narrowed_to()) is not None]
    if not within or free.fit != "loads":
        return free.negotiated, []
    # Tags have no version that a pin could be about: it excludes them rather than being void.
    found = meet(saves.saves, loads.loads, within).negotiated
    code = "RULE_PINS" if found is not None else "RULE_PIN_EXCLUDES"
    return found, [Reason.of(code, f"{rule} ({rule.narrowed_to()})", rule.id) for rule in pins]


#: What a rule asks of a value; an advisory one asks nothing.
_MUST = {"equal": "equal at both", "superset": "had whole by the target"}


def _fields(saves: StreamSupport, loads: StreamSupport) -> Iterator[Reason]:
    """The target's load side compares; where only the source's rules are known, those."""
    agreeing: list[str] = []
    for rule in loads.match or saves.match:
        reason = _field(rule, _value(saves, rule.field), _value(loads, rule.field))
        if reason is not None:
            yield reason
        elif rule.rule != "advisory":
            agreeing.append(rule.field)
    if agreeing:
        yield Reason.of("MATCH_FIELDS_AGREE", f"match fields agree: {', '.join(agreeing)}")


def _value(support: StreamSupport, field: str) -> str | None:
    """A value that this side's own rules ask for, or that somebody states of it."""
    asked = next((each.value for each in support.match if each.field == field), None)
    return support.fields.get(field) if asked is None else asked


def _field(rule: MatchField, source: str | None, target: str | None) -> Reason | None:
    found, name = agreement(rule.rule, source, target), rule.field
    differs = f"{name} is {source} at the source and {target} at the target"
    if rule.rule == "advisory":
        return (
            Reason.of("MATCH_FIELD_ADVISORY", f"{differs}; nothing compares it", name) if found == "differs" else None
        )
    match found:
        case "agrees":
            return None
        case "unknown":
            sides = " and ".join(side for side, value in (("source", source), ("target", target)) if not value)
            text = f"{name} of the {sides} is not known, and must be {_MUST[rule.rule]}"
            return Reason.of("MATCH_FIELD_UNKNOWN", text, name)
        case "incomparable":
            text = f"{differs}; a number and words can't be compared ({rule.rule})"
            return Reason.of("MATCH_FIELD_UNKNOWN", text, name)
    if rule.differing == "unknown":
        return Reason.of("MATCH_FIELD_DOUBTFUL", f"{differs}; whether that loads is disputed or not documented", name)
    if found == "lacks":
        text = f"{differs}; the target lacks {missing_of(source or '', target or '')}"
        return Reason.of("MATCH_FIELD_LACKS", text, name)
    return Reason.of("MATCH_FIELD_DIFFERS", f"{differs}; they must be equal", name)


def _content(saves: StreamSupport, loads: StreamSupport, trusted: list[Rule]) -> Iterator[Reason]:
    """Bytes that only the device understands are unknown, unless an operator says which fields vouch for them.

    One match rule that is met is enough; where none is, each tells what it misses.
    """
    opaque = isinstance(saves.saves, Opaque) or isinstance(loads.loads, Opaque)
    if not opaque and "device" not in (saves.decided_by, loads.decided_by):
        return
    missed = {rule: list(_missed(rule, saves, loads)) for rule in trusted}
    met = [rule for rule, reasons in missed.items() if not reasons]
    for rule in met:
        yield Reason.of("RULE_MATCHES", f"{', '.join(rule.fields)} agree, as asked by {rule}", rule.id)
    if met:
        return
    yield from (reason for reasons in missed.values() for reason in reasons)
    if opaque:
        yield Reason.of("STREAM_OPAQUE", f"a {saves.format} stream does not tell what it is; only the device judges it")
    else:
        text = f"the driver passes the content of {saves.format} streams on; only the device judges it"
        yield Reason.of("STREAM_DECIDED_BY_DEVICE", text)


def _missed(rule: Rule, saves: StreamSupport, loads: StreamSupport) -> Iterator[Reason]:
    """What keeps a match rule from vouching."""
    for name in rule.fields:
        reason = _field(MatchField(name, "equal"), _value(saves, name), _value(loads, name))
        if reason is not None:
            yield Reason.of(reason.code, f"{reason.text}; asked by {rule}", name)


def _about(rule: Rule, saves: StreamSupport) -> bool:
    return rule.format in (None, saves.format)


def named(side: Side) -> str:
    """A device, or PARENT/TYPE."""
    return side.device or f"{side.parent}/{side.profile.type}"
