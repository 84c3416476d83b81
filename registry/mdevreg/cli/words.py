"""The phrases of the answers. Pure; programs read codes and JSON, never these."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from mdevreg.cli.support_words import is_stream, stream_name
from mdevreg.cli.view import Cell, Line
from mdevreg.compatibility import Rules, evidence_reasons
from mdevreg.facts import Evidence, Retention, Side
from mdevreg.query.questions import Answer
from mdevreg.records import DriverBuild
from mdevreg.times import utc
from mdevreg.verdict import Outcome

ANSWER = {Outcome.COMPATIBLE: "yes", Outcome.INCOMPATIBLE: "no", Outcome.UNKNOWN: "unknown"}
#: design.md section 9
EXIT_CODE = {Outcome.COMPATIBLE: 0, Outcome.INCOMPATIBLE: 1, Outcome.UNKNOWN: 3}
_LONG_S = ((86_400, "d"), (3_600, "h"), (60, "min"))


def source_name(source: Side) -> str:
    """``UUID (mtty-1 on alpha)``, ``alpha/mtty/mtty-1`` for a device that could be created, ``the saved … stream``."""
    host = source.evidence.hostname
    if is_stream(source):
        return stream_name(source.support)
    if source.device is None:
        return f"{host}/{source.parent}/{source.profile.type}"
    return f"{source.device} ({source.profile.type or 'unknown type'} on {host})"


def target_name(answer: Answer) -> str:
    """``beta/mtty``, or ``beta`` if nothing there was judged."""
    return (
        answer.target.hostname if answer.target_parent is None else f"{answer.target.hostname}/{answer.target_parent}"
    )


def age(seconds: float) -> str:
    """``3 s``, ``2.5 min``, ``4 h``, ``9.1 d``: two digits say enough."""
    for unit_s, unit in _LONG_S:
        if seconds >= unit_s:
            return f"{seconds / unit_s:.1f}".removesuffix(".0") + f" {unit}"
    return f"{seconds:.0f} s"


def reliance(answer: Answer) -> str:
    """How old the facts are, and how long they may be relied on."""
    if answer.as_of is not None:
        return f"facts: as of {utc(answer.as_of)}"
    if answer.facts_age_s is None or answer.reliable_until is None:
        return "facts: of unknown age, not to be relied on"
    if answer.reliable_until < answer.answered_at:
        return f"facts: heard {age(answer.facts_age_s)} ago; not reliable since {utc(answer.reliable_until)}"
    return f"facts: heard {age(answer.facts_age_s)} ago; reliable until {utc(answer.reliable_until)}, then ask again"


def capacity(answer: Answer) -> str:
    """The target's free instances, which never decide the answer."""
    free = answer.verdict.available_instances
    when = "then" if answer.target.historical else "now"
    return f"capacity: {'not known' if free is None else f'{free} free {when}'} on {target_name(answer)}"


def doubts(evidence: Evidence, rules: Rules, now: datetime) -> tuple[str, ...]:
    """The codes of what speaks against a host's facts; none if they are fresh and undisputed."""
    return tuple(reason.code for reason in evidence_reasons((evidence,), rules, now))


def standing(evidence: Evidence, codes: Iterable[str]) -> str:
    """``fresh``, or what is wrong: ``stale``, ``left, out of sync``; of the past, freshness can't be said."""
    wrong = ", ".join(code.removeprefix("HOST_").lower().replace("_", " ") for code in codes)
    return wrong or ("past" if evidence.historical else "fresh")


def clock(skew_s: float) -> str:
    """How far a host's clock is off: ``2.1 d ahead of the registry's``, ``7 s behind the registry's``."""
    return f"{age(abs(skew_s))} {'ahead of' if skew_s > 0 else 'behind'} the registry's"


def where_read(position: int, as_of: datetime | None, snapshot: str = "") -> Line:
    """The line that every answer ends with. ``snapshot``: the token that gives it again."""
    then = f", as of {utc(as_of)}" if as_of else ""
    return Line(f"log position: {position}{then}" + (f"; snapshot: {snapshot}" if snapshot else ""))


def kept(retention: Retention | None) -> tuple[Line, ...]:
    """What a list that reaches back says of what was pruned; nothing where everything is kept for ever."""
    if retention is None:
        return ()
    policy = f"policy: bodies {retention.policy}"
    if retention.pruned_before is None:
        return (Line(f"nothing was pruned yet; {policy}"),)
    since = f"detail before {utc(retention.pruned_before)} was pruned (position {retention.pruned_position})"
    return (Line(f"{since}; {policy}"),)


def build_columns(build: DriverBuild | None) -> tuple[Cell, ...]:
    """The cells of a driver build: name, module, kernel_release, version, srcversion, build_id."""
    if build is None:
        return (None,) * 6
    return (build.name, build.module, build.kernel_release, build.version, build.srcversion, build.build_id)


def build_name(build: DriverBuild | None) -> str | None:
    """``nvidia 550.90.05``; ``None`` where no driver is bound."""
    return None if build is None else f"{build.name} {build.version or build.srcversion or ''}".rstrip()


def counted(number: int, noun: str) -> str:
    """``1 host``, ``2 hosts``."""
    return f"{number} {noun}" + ("" if number == 1 else "s")
