"""The attributes of one parent: read, parsed, and what went wrong noted as faults. Never raises for content."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from mdevreg.records import Fault
from mdevreg_agent.attributes import Parsed, fault_text, name_of, parse_count, parse_line, parse_text
from mdevreg_agent.tree import Tree, UnreadableError

_MAX_PATH_CHARS = 1_024  # of records.Path


class Readings:
    """Reads for one parent whose folder is ``base``; ``faults`` collects what could not be read or understood.

    A fault's path is relative to ``base``; outside of it (a driver's module, a VF) it starts with ``/sys``.
    """

    def __init__(self, tree: Tree, base: str) -> None:
        self.tree = tree
        self._base = base
        self._faults: dict[tuple[str, str], Fault] = {}

    @property
    def faults(self) -> tuple[Fault, ...]:
        """All faults, by path."""
        return tuple(self._faults[key] for key in sorted(self._faults))

    def line(self, path: str) -> str | None:
        """An attribute of one line; ``None`` if absent or at fault."""
        return self._parsed(path, parse_line)

    def text(self, path: str) -> str | None:
        """An attribute of several lines; ``None`` if absent or at fault."""
        return self._parsed(path, parse_text)

    def count(self, path: str) -> int | None:
        """A count; ``None`` if absent or at fault."""
        raw = self.raw(path)
        if raw is None:
            return None
        count, parsed = parse_count(raw)
        if count is None:
            self.fault(path, parsed.wrong or "not a count", parsed.text)
        return count

    def raw(self, path: str) -> bytes | None:
        """A file's bytes; ``None`` if absent or unreadable (a fault)."""
        try:
            return self.tree.read(path)
        except UnreadableError as error:
            self.fault(path, error.error)
            return None

    def folders(self, path: str) -> list[str]:
        """The folders in a folder; none if it is unreadable (a fault)."""
        try:
            return self.tree.folders(path)
        except UnreadableError as error:
            self.fault(path, error.error)
            return []

    def require(self, path: str, value: object) -> None:
        """Note a mandatory attribute that is absent, unless its folder vanished or it has a fault already."""
        if value is None and not self.tree.exists(path) and self.tree.is_folder(path.rpartition("/")[0]):
            self.fault(path, "missing")

    def first(self, names: list[str], most: int, path: str) -> list[str]:
        """At most ``most`` of the names; a fault says how many were left out."""
        if len(names) > most:
            self.fault(path, f"{len(names) - most} of {len(names)} left out; at most {most} are reported")
        return names[:most]

    def fault(self, path: str, error: str, text: str | None = None) -> None:
        """Note a fault, once per path and error."""
        inside = path.removeprefix(f"{self._base}/") if self._base else path
        shown = name_of(inside, _MAX_PATH_CHARS)
        self._faults[shown, error] = Fault(path=shown, error=error, text=None if text is None else fault_text(text))

    def add(self, faults: Iterable[Fault]) -> None:
        """Take over faults found elsewhere (a driver's module is read once for all parents)."""
        self._faults.update({(fault.path, fault.error): fault for fault in faults})

    def _parsed(self, path: str, parse: Callable[[bytes], Parsed]) -> str | None:
        raw = self.raw(path)
        if raw is None:
            return None
        parsed = parse(raw)
        if parsed.wrong is not None:
            self.fault(path, parsed.wrong, parsed.text)
        return parsed.value
