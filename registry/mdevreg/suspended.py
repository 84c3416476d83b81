"""A stream at hand, of a suspended VM or from a backup, as the source of a question. Pure.

Where it was saved does not matter any more, nor how fresh that host's facts are: what counts is what the stream says
of itself. It does not tell its device's type; who knows that may name it.
"""

from __future__ import annotations

from datetime import datetime

from mdevreg.claims import Learned
from mdevreg.compatibility import Rules, capacity_reasons, evidence_reasons, rule_reasons
from mdevreg.facts import Evidence, Side
from mdevreg.inspection import Inspected
from mdevreg.profiles import Profile
from mdevreg.stream_reasons import stream_between
from mdevreg.streams import Exact, Opaque, StreamSet, Tags
from mdevreg.support import StreamSupport
from mdevreg.verdict import Reason, Verdict, verdict_of
from mdevreg.versions import StreamVersion

#: The host of a stream that is on none.
NOWHERE = Evidence(host="", hostname="a saved stream", historical=True)


def stream_side(stream: Inspected, kind: str | None) -> Side:
    """The stream as a source; ``kind``: its device's type, if that is known."""
    versions = _versions(stream)
    support = StreamSupport(
        format=stream.format,
        saves=versions,
        loads=versions,
        learned=Learned("stream"),
        fields=stream.fields,
    )
    return Side(NOWHERE, parent="", profile=Profile(type=kind), support=support, device="the saved stream")


def judge_stream(source: Side, target: Side, rules: Rules, now: datetime) -> Verdict:
    """Can this stream (``stream_side``) be loaded by the target? Without a type the guest's view is not judged."""
    stream = stream_between(source, target, rules.in_force)
    reasons = (
        _type(source, target),
        *stream.reasons,
        *rule_reasons(source, target, stream, rules.in_force),
        *evidence_reasons((target.evidence,), rules, now),
        *capacity_reasons(target),
    )
    free, told = target.available_instances, source.profile.type is not None
    return verdict_of(reasons, negotiated=stream.negotiated, free=free, type_told=told)


def _type(source: Side, target: Side) -> Reason:
    kind, offered = source.profile.type, target.profile.type
    if kind is None:
        return Reason.of("TYPE_NOT_TOLD", "the stream does not tell its device's type; name it to have it compared")
    if kind != offered:
        return Reason.of("TYPE_DIFFERS", f"the stream's device was {kind}, the target is {offered}")
    return Reason.of("USER_COMPATIBLE", f"both are {kind}")


def _versions(stream: Inspected) -> StreamSet:
    if stream.version is not None:
        return Exact(StreamVersion.parse(stream.version, stream.scheme))
    tags = (*stream.tags, *stream.optional_tags)
    return Tags(stream.tags, stream.optional_tags) if tags else Opaque()
