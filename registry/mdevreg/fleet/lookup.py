"""Names of hosts and devices, looked up as every door does. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from mdevreg.errors import NotFoundError, UsageError
from mdevreg.fleet.entries import DeviceRef, HostEntry
from mdevreg.fleet.shards import Shards
from mdevreg.nearest import nearest

#: An existing device, or the host and slot of a type that a device could be created of.
Source = DeviceRef | tuple[HostEntry, int]


class Directory:
    """``names``: hosts by id and by hostname; several that share one are named by their ids. ``devices``: by name."""

    __slots__ = ("devices", "names")

    def __init__(
        self, names: Shards[HostEntry | tuple[str, ...]], devices: Shards[DeviceRef | tuple[DeviceRef, ...]]
    ) -> None:
        self.names, self.devices = names, devices

    def entries(self) -> Iterator[HostEntry]:
        """Every host once."""
        for part in self.names.parts:
            for name, entry in part.items():
                if isinstance(entry, HostEntry) and entry.host == name:
                    yield entry

    def host(self, name: str) -> HostEntry:
        """The host of that id or hostname. Raises ``NotFoundError``, or ``UsageError`` if several have it."""
        found = self.names.get(name)
        if isinstance(found, HostEntry):
            return found
        if found is not None:
            text = f"{name!r} is the hostname of {len(found)} hosts; name one by its id: {', '.join(found)}"
            raise UsageError(text, code="AMBIGUOUS")
        raise _missing("host", name, lambda: (entry.hostname for entry in self.entries()))

    def id_of(self, name: str) -> str:
        """The id of a host of that id or hostname; the name itself where none is known, or several are."""
        found = self.names.get(name)
        return found.host if isinstance(found, HostEntry) else name

    def named(self, name: str) -> HostEntry:
        """The host of an answer's name. Requires that it is known."""
        found = self.names.get(name)
        assert isinstance(found, HostEntry)
        return found

    def source(self, name: str) -> Source:
        """The device, or the type that a device could be created of.

        ``name``: an mdev uuid, ``HOST/DEVICE`` or ``HOST/PARENT/TYPE``. Raises ``NotFoundError``, ``UsageError``.
        """
        match name.split("/"):
            case [device]:
                return self._device(device)
            case [host, device]:
                return self._device_on(self.host(host), device)
            case [host, parent, kind]:
                return self._offered(self.host(host), parent, kind)
        raise UsageError(f"{name!r} is no device; expected an mdev uuid, HOST/DEVICE or HOST/PARENT/TYPE")

    def _device(self, name: str) -> DeviceRef:
        found = self.devices.get(name)
        if isinstance(found, DeviceRef):
            return found
        if found is not None:
            hosts = ", ".join(sorted({ref.host for ref in found}))
            raise UsageError(f"{name!r} is on several hosts; name one as HOST/{name}: {hosts}", code="AMBIGUOUS")
        if self.names.get(name) is not None:
            expected = "a device: an mdev uuid, HOST/DEVICE or HOST/PARENT/TYPE"
            raise UsageError(f"{name!r} is the host {self.host(name).hostname}; expected {expected}")
        raise _missing("device", name, lambda: self.devices)

    def _device_on(self, entry: HostEntry, name: str) -> DeviceRef:
        for ref in entry.devices:
            if ref.name == name:
                return ref
        raise _missing("device", name, lambda: (ref.name for ref in entry.devices))

    def _offered(self, entry: HostEntry, parent: str, kind: str) -> Source:
        slots = entry.layout.slots
        there = [(slot, of.types[slot - of.first][0]) for slot, (of, _) in enumerate(slots) if of.name == parent]
        if not there:
            known = {of.name for of in entry.layout.parents if of.types}
            raise _missing(f"parent on {entry.hostname}", parent, lambda: known)
        for slot, name in there:
            if name == kind:
                return entry, slot
        types = {name for _, name in there}
        raise _missing(f"type of {entry.hostname}/{parent}", kind, lambda: types)


def _missing(kind: str, name: str, known: Callable[[], Iterable[str]]) -> NotFoundError:
    """Among 100,000 names the nearest take a second to find: only who shows them looks for them."""
    return NotFoundError(kind, name, look=lambda: nearest(name, known()))
