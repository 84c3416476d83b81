"""Which host a name is: ids are unique, hostnames may not be. One writer; pure but for what it remembers."""

from __future__ import annotations

from mdevreg.fleet.entries import HostEntry
from mdevreg.fleet.shards import Shards, ShardsEdit

#: What a name leads to: one host, or the ids of several that share it as their hostname.
Named = HostEntry | tuple[str, ...]


_NOBODY: set[str] = set()


class Naming:
    """Keeps names in order while hosts come, change and go. ``contested``: hostnames that one id can't be told by."""

    def __init__(self) -> None:
        self._contested: dict[str, set[str]] = {}

    def displayed(self, names: Shards[Named] | ShardsEdit[Named], entry: HostEntry) -> str:
        """How a host is called in answers: its hostname if that is its alone."""
        hostname = entry.hostname
        if hostname == entry.host:
            return hostname
        if hostname in self._contested:
            return hostname if self._contested[hostname] == {entry.host} and not _is_id(names, hostname) else entry.host
        found = names.get(hostname)
        return hostname if found is None or (isinstance(found, HostEntry) and found.host == entry.host) else entry.host

    def put(self, names: ShardsEdit[Named], before: HostEntry | None, after: HostEntry | None) -> set[str]:
        """A host that was ``before`` is ``after`` now. Returns hosts that have to be named anew because of it."""
        if not self._contested and after is not None and self._stays_simple(names, before, after):
            names.set(after.host, after)
            names.set(after.hostname, after)
            return _NOBODY
        renamed: set[str] = set()
        if before is not None and (after is None or after.hostname != before.hostname):
            renamed |= self._released(names, before)
        if before is None and after is not None:
            renamed |= self._id_taken(names, after.host)
        if after is None:
            assert before is not None
            names.remove(before.host)
            return renamed | self._settle(names, before.host)
        names.set(after.host, after)
        return renamed | self._claimed(names, after)

    def _stays_simple(self, names: ShardsEdit[Named], before: HostEntry | None, after: HostEntry) -> bool:
        """Whether no other host's name is concerned: nearly always."""
        if before is not None:
            return before.hostname == after.hostname
        return names.get(after.hostname) is None and names.get(after.host) is None

    def _claimed(self, names: ShardsEdit[Named], entry: HostEntry) -> set[str]:
        hostname = entry.hostname
        if hostname == entry.host:
            return set()
        found = names.get(hostname)
        if hostname not in self._contested:
            if found is None or (isinstance(found, HostEntry) and found.host == entry.host):
                names.set(hostname, entry)
                return set()
            assert isinstance(found, HostEntry)
            self._contested[hostname] = {found.host} if found.hostname == hostname != found.host else set()
        others = self._contested[hostname] - {entry.host}
        new = entry.host not in self._contested[hostname]
        self._contested[hostname].add(entry.host)
        self._settle(names, hostname)
        return others if new else set()

    def _released(self, names: ShardsEdit[Named], entry: HostEntry) -> set[str]:
        hostname = entry.hostname
        if hostname == entry.host:
            return set()
        if hostname not in self._contested:
            names.remove(hostname)
            return set()
        self._contested[hostname].discard(entry.host)
        return self._settle(names, hostname)

    def _id_taken(self, names: ShardsEdit[Named], host: str) -> set[str]:
        """A new id that was another host's hostname till now: ids go first."""
        found = names.get(host)
        if isinstance(found, HostEntry) and host not in self._contested:
            self._contested[host] = {found.host}
        return set(self._contested.get(host, ()))

    def _settle(self, names: ShardsEdit[Named], hostname: str) -> set[str]:
        """What a contested hostname leads to now. Returns its hosts."""
        owners = self._contested.get(hostname)
        if owners is None:
            return set()
        if _is_id(names, hostname):
            return set(owners)
        if not owners:
            names.remove(hostname)
            del self._contested[hostname]
            return set()
        if len(owners) > 1:
            names.set(hostname, tuple(sorted(owners)))
            return set(owners)
        [only] = owners
        entry = names.get(only)
        if isinstance(entry, HostEntry):
            names.set(hostname, entry)
        del self._contested[hostname]
        return {only}


def _is_id(names: Shards[Named] | ShardsEdit[Named], name: str) -> bool:
    found = names.get(name)
    return isinstance(found, HostEntry) and found.host == name
