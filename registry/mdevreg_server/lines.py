"""One readable line per applied record."""

from __future__ import annotations

from collections.abc import Callable

from mdevreg.records import Cause, CompleteBody, Parent, TombstoneBody
from mdevreg.wire import Decoded
from mdevreg_server.ledger import Applied


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
    return f"{count} {noun}{'' if count == 1 else 's'}"
