"""The phrases of ``blame``: since when, what turned it, what was different. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from mdevreg.blame import Blame, Said, Turn
from mdevreg.cli.view import Cell
from mdevreg.cli.words import ANSWER
from mdevreg.moments import precisely
from mdevreg.records import DriverBuild
from mdevreg.support import loads_of, saves_of
from mdevreg.verdict import Outcome

COLUMNS = ("at", "before", "after", "cause", "position", "host", "kind", "rule", "author", "reasons_before", "reasons")


def first_line(found: Blame) -> str:
    """``no since 2026-11-24T10:00:00Z: alpha/mtty/mtty-1 to beta``."""
    since = _since(found.turns[0]) if found.turns else ""
    problem = f" ({found.said.problem})" if found.said.problem else ""
    return f"{_word(found.said)}{since}: {found.device} to {found.to}{problem}"


def _since(turn: Turn) -> str:
    """Since when; or when it was learned, of a time before that."""
    learned = turn.entry.committed_at if turn.entry else turn.point.at
    if learned > turn.point.at:
        return f" at {precisely(turn.point.at)}, learned at {precisely(learned)}"
    return f" since {precisely(turn.point.at)}"


def turn_lines(turn: Turn) -> Iterator[tuple[str, Outcome | None]]:
    """One turn, as lines."""
    before = "" if turn.before.outcome is None else f"{_word(turn.before)} → "
    yield f"{precisely(turn.point.at)}  {before}{_word(turn.after)}", None
    yield f"  by: {_by(turn)}", None
    yield from ((f"  {text}", None) for text in _differences(turn.before, turn.after))
    if turn.before.problem:
        yield f"  before: {turn.before.problem}", None
    known = {(reason.code, reason.text) for reason in turn.before.reasons}
    now = {(reason.code, reason.text) for reason in turn.after.reasons}
    for sign, reasons, other in (("-", turn.before.reasons, now), ("+", turn.after.reasons, known)):
        for reason in reasons:
            if (reason.code, reason.text) not in other:
                yield f"  {sign} {reason.code}  {reason.text}", reason.says
    for reason in turn.after.reasons:  # what decides now, and was there before
        if reason.says is turn.after.outcome and (reason.code, reason.text) in known:
            yield f"  = {reason.code}  {reason.text}", reason.says


def row_of(turn: Turn) -> tuple[Cell, ...]:
    """The cells of ``COLUMNS``."""
    entry = turn.entry
    return (
        turn.point.at,
        _word(turn.before),
        _word(turn.after),
        turn.point.cause,
        turn.point.position,
        entry.host if entry else None,
        entry.kind if entry else None,
        turn.point.rule or None,
        entry.author if entry else None,
        " ".join(reason.code for reason in turn.before.reasons),
        " ".join(reason.code for reason in turn.after.reasons),
    )


def _word(said: Said) -> str:
    return "no answer" if said.outcome is None else ANSWER[said.outcome]


def _by(turn: Turn) -> str:
    entry, point = turn.entry, turn.point
    if entry is None:
        return f"the time of rule {point.rule}"
    if entry.host:
        observed = f"observed {precisely(entry.observed_at)}, received {precisely(entry.received_at)}"
        return f"record {entry.position} of {entry.hostname or entry.host} ({entry.kind}; {observed})"
    return f"entry {entry.position} ({entry.kind}) by {entry.author}"


def _differences(before: Said, after: Said) -> Iterator[str]:
    """What the two sides run and say, where it differs."""
    if before.outcome is None:
        return
    pairs = (
        ("source driver", _build(before.source_driver), _build(after.source_driver)),
        ("target driver", _build(before.target_driver), _build(after.target_driver)),
        ("source saves", saves_of(before.saves), saves_of(after.saves)),
        ("target loads", loads_of(before.loads), loads_of(after.loads)),
    )
    for name, old, new in pairs:
        if old != new:
            yield f"{name}: {old or 'not known'} → {new or 'not known'}"


def _build(build: DriverBuild | None) -> str | None:
    """``nvidia 550.54 (srcversion …)``: what tells two builds of a name apart."""
    if build is None:
        return None
    told = [build.version, build.srcversion and f"srcversion {build.srcversion}", build.kernel_release]
    return " ".join([build.name, *(text for text in told if text)])
