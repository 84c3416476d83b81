"""The phrases about stream support: what is saved and loaded, and where that was learned. Pure."""

from __future__ import annotations

from typing import Literal

from mdevreg.cli.view import Line
from mdevreg.facts import Side
from mdevreg.query.questions import Answer
from mdevreg.streams import Exact
from mdevreg.support import NoSupport, NotMigratable, StreamSupport, Support, loads_of, saves_of


def is_stream(source: Side) -> bool:
    """Whether the source is a saved stream, which is on no host."""
    return source.evidence.host == ""


def stream_name(support: Support) -> str:
    """``the saved mtty stream 1.0``."""
    if not isinstance(support, StreamSupport):
        return "the saved stream"
    version = f" {support.saves.version}" if isinstance(support.saves, Exact) else ""
    return f"the saved {support.format} stream{version}"


def learned(support: Support | None) -> str:
    """Where stream support was learned: ``sysfs migration_stream_version``, ``catalog hisi-v2 (source)``."""
    match support:
        case StreamSupport() | NotMigratable():
            confidence = support.learned.confidence
            return f"{support.learned}" + (f" ({confidence})" if confidence else "")
        case NoSupport():
            return support.why.replace("_", " ")
    return ""


def supports(answer: Answer) -> tuple[Line, ...]:
    """What the source saves and the target loads, and where each was learned."""
    source = source_line(answer.source)
    if answer.target_support is None:
        return (source,)
    return (source, Line(f"target: {_stated('loads', answer.target_support)}"))


def source_line(source: Side) -> Line:
    """What the source saves, and where that was learned."""
    if is_stream(source):
        return Line(f"source: the stream's own word: {saves_of(source.support)}")
    return Line(f"source: {_stated('saves', source.support)}")


def _stated(verb: Literal["saves", "loads"], support: Support) -> str:
    versions = saves_of(support) if verb == "saves" else loads_of(support)
    if versions is None:
        return f"what it {verb} is not known ({learned(support)})"
    said = versions if isinstance(support, NotMigratable) else f"{verb} {versions}"
    return f"{said}, learned from {learned(support)}"


def mismatch(answer: Answer) -> str:
    """When a mismatch that nobody foresaw would show."""
    shown = {"pre_copy": "before the guest is paused", "downtime": "in downtime", None: "not known"}
    return f"a mismatch would show: {shown[answer.verdict.detection]}"
