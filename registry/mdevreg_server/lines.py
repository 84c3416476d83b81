"""One readable line per applied record, and per change of what is believed."""

from __future__ import annotations

from collections.abc import Callable

from mdevreg.knowledge import CatalogChange, OutcomeChange, RuleChange
from mdevreg.records import Cause, CompleteBody, Parent, TombstoneBody
from mdevreg.wire import Decoded
from mdevreg_server.ledger import Amended, Applied


class Lines:
    """Tells what was applied, and by the way remembers how hosts are called. ``say`` None: only counts."""

    def __init__(self, say: Callable[[str], None] | None) -> None:
        self._say = say
        self._hostnames: dict[str, str] = {}
        self._parents: dict[tuple[str, str], Parent] = {}
        self.applied_records = 0

    def applied(self, applied: Applied) -> None:
        """A batch was committed."""
        self.applied_records += len(applied.records)
        if self._say is None:
            return
        for decoded in applied.records:
            self._say(self._line(decoded))
        if applied.quarantined:
            self._say(f"{applied.quarantined} refused → see: mdevreg-server quarantine list")

    def amended(self, amended: Amended) -> None:
        """A rule or catalog entries were changed. What the program itself ships is no news."""
        amendment = amended.amendment
        change = amendment.change
        if self._say is None or (isinstance(change, CatalogChange) and change.origin == "shipped"):
            return
        self._say(f"{amendment.at.astimezone():%H:%M:%S} {_amended(amended)}")

    def _line(self, decoded: Decoded) -> str:
        record = decoded.record
        if decoded.facts is not None:
            self._hostnames[record.host] = decoded.facts.hostname
        name = self._hostnames.get(record.host, record.host[:8])
        seen = record.observed_at.astimezone()
        return f"{seen:%H:%M:%S} {name:<12} {self._what(decoded)}{_why(record.cause)}"

    def _what(self, decoded: Decoded) -> str:
        record = decoded.record
        match record.body:
            case TombstoneBody(path=path):
                self._parents.pop((record.host, path), None)
                return f"parent {path.rpartition('/')[2]} is gone"
            case CompleteBody(parents=parents):
                return f"complete: {_counted(len(parents), 'parent')}"
        if decoded.facts is not None:
            return f"host, kernel {decoded.facts.kernel_release}"
        assert decoded.parent is not None
        before = self._parents.get((record.host, decoded.parent.path))
        self._parents[record.host, decoded.parent.path] = decoded.parent
        return _parent(before, decoded.parent)


def event_of(amended: Amended) -> str:
    """A change of what is believed as an event: a dotted name, past tense, and its fields."""
    change, author = amended.amendment.change, amended.amendment.author
    by = f"position={amended.position} author={author!r}"
    if isinstance(change, CatalogChange):
        return f"catalog.changed origin={change.origin} put={len(change.put)} removed={len(change.remove)} {by}"
    if isinstance(change, OutcomeChange):
        told = change.outcome
        return f"outcome.reported id={told.id} result={told.result} device={told.device!r} to={told.to!r} {by}"
    what = "added" if _is_new(amended) else "ended"
    return f"rule.{what} id={change.rule.id} effect={change.rule.effect} scope={change.rule.scope!r} {by}"


def _amended(amended: Amended) -> str:
    match amended.amendment.change:
        case CatalogChange() as change:
            return _catalog(change)
        case OutcomeChange(outcome=told):
            return f"outcome {told.id} {told.result}: {told.device} to {told.to}, told by {told.author}"
    return _rule(amended)


def _catalog(change: CatalogChange) -> str:
    whence = "imported" if change.origin == "import" else f"from {change.origin}"
    said = [f"{_counted(len(change.put), 'entry')} {whence}"] if change.put else []
    said += [f"{_counted(len(change.remove), 'entry')} removed"] if change.remove else []
    return f"catalog: {', '.join(said)}"


def _rule(amended: Amended) -> str:
    assert isinstance(amended.amendment.change, RuleChange)
    rule = amended.amendment.change.rule
    if _is_new(amended):
        return f"rule {rule.id} {rule.effect} by {rule.author} ({rule.scope}): {rule.message}"
    until = f" at {rule.valid_until.astimezone():%Y-%m-%d %H:%M:%S}" if rule.valid_until else ""
    return f"rule {rule.id} {rule.effect} ended by {amended.amendment.author}{until}"


def _is_new(amended: Amended) -> bool:
    """A rule is named after the position that added it."""
    change = amended.amendment.change
    return isinstance(change, RuleChange) and change.rule.id == f"r{amended.position}"


def _parent(before: Parent | None, now: Parent) -> str:
    if before is None:
        build = f" under {now.driver.name} {now.driver.version or ''}".rstrip() if now.driver else ""
        has = f"{_counted(len(now.types), 'type')}, {_counted(len(now.devices), 'device')}"
        return f"parent {now.name}{build}: {has}"
    changes = [*_devices(before, now), *_driver(before, now)]
    return f"{now.name}: {', '.join(changes) or 'free instances moved'}"


def _devices(before: Parent, now: Parent) -> list[str]:
    old, new = {d.name: d for d in before.devices}, {d.name: d for d in now.devices}
    added = [f"+{name[:13]} ({new[name].type})" for name in new if name not in old]
    removed = [f"-{name[:13]} ({old[name].type})" for name in old if name not in new]
    return [*added, *removed]


def _driver(before: Parent, now: Parent) -> list[str]:
    if before.driver == now.driver:
        return []
    old, new = (d.version or d.srcversion or d.name if d else "none" for d in (before.driver, now.driver))
    return [f"driver {old} → {new}"]


def _why(cause: Cause) -> str:
    action = f" {cause.action} {cause.subsystem}" if cause.action else ""
    return f"   [{cause.kind}{action}]"


def _counted(count: int, noun: str) -> str:
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{count} {noun if count == 1 else plural}"
