"""One lot of changes to an index, gathered and then carried out as a new view. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import structs

from mdevreg.fleet.entries import DeviceRef, HostEntry
from mdevreg.fleet.groups import Moves
from mdevreg.fleet.heard import Heard
from mdevreg.fleet.lookup import Directory
from mdevreg.fleet.naming import Naming
from mdevreg.fleet.soundness import Soundness
from mdevreg.fleet.table import RulingTable
from mdevreg.fleet.tally import Tally
from mdevreg.fleet.view import FleetView


class Edit:
    """Changes to be. ``touched``: hosts whose answers may be others afterwards."""

    def __init__(self, view: FleetView, naming: Naming, soundness: Soundness, tally: Tally, now_us: int) -> None:
        self._view, self._naming, self._soundness, self._tally = view, naming, soundness, tally
        self._since_us = now_us - soundness.stale_after_us
        self._names = view.directory.names.edited()
        self._devices = view.directory.devices.edited()
        self._moves = Moves()
        self.presence = view.heard
        self._greeting: set[int] = set()  # buckets whose presence was made by this edit
        self.touched: set[str] = set()

    def entry(self, host: str) -> HostEntry | None:
        """The host of that id as edited."""
        found = self._names.get(host)
        return found if isinstance(found, HostEntry) and found.host == host else None

    def entries(self) -> Iterator[HostEntry]:
        """Every host as edited so far."""
        yield from Directory(self._names.done(), self._devices.done()).entries()

    def put(self, before: HostEntry | None, after: HostEntry | None, received_us: int | None = None) -> None:
        """A host that was ``before`` is ``after`` now; ``None``: not known. ``received_us``: when it was last told."""
        if after is not None:
            if received_us is not None and after.host not in self.presence[after.bucket].seen_us:
                self._greet(after, received_us)
            after = self._finished(before, after)
        renamed = self._naming.put(self._names, before, after)
        self._tally.put(before, after)
        self._changed(before, after)
        if before is None or after is None or before.devices != after.devices:
            self._move_devices(before.devices if before else (), after.devices if after else ())
        for host in renamed:
            self._rename(host)

    def heard(self, bucket: int, heard: Heard) -> None:
        """Somebody of a bucket was heard, or time passed."""
        self._own_presence()
        before, self.presence[bucket] = self.presence[bucket], heard
        self._greeting.discard(bucket)
        for host in self._soundness.turned(bucket, before, heard, self._since_us):
            entry = self.entry(host)
            if entry is None:
                self._soundness.judged(bucket, host, sound=False, seen_us=0)
            else:
                self._replace(entry, structs.replace(entry, sound=self._sound(entry)))
        self._soundness.settled(bucket, heard)

    def done(self, table: RulingTable, position: int, soundness: Soundness) -> FleetView:
        """The view after all of it."""
        return FleetView(
            Directory(self._names.done(), self._devices.done()),
            types=self._moves.carried_out(self._view.types),
            heard=self.presence,
            table=table,
            position=position,
            stale_after_us=soundness.stale_after_us,
            sound_until_us=soundness.until_us(),
            seen=self._view.seen if self.presence is self._view.heard else None,
        )

    def _greet(self, entry: HostEntry, seen_us: int) -> None:
        """Until presence is published, a new host was heard when its record was received."""
        self._own_presence()
        if entry.bucket in self._greeting:
            self.presence[entry.bucket].seen_us[entry.host] = seen_us
            return
        self._greeting.add(entry.bucket)
        self.presence[entry.bucket] = self.presence[entry.bucket].greeted(entry.host, seen_us)

    def _own_presence(self) -> None:
        if self.presence is self._view.heard:
            self.presence = self.presence.copy()

    def _finished(self, before: HostEntry | None, after: HostEntry) -> HostEntry:
        """With what an entry can't tell by itself: how it is called, and whether its facts are good."""
        known = before is not None and before.hostname == after.hostname
        name = before.name if before is not None and known else self._naming.displayed(self._names, after)
        sound = self._sound(after)
        same = (name, sound) == (after.name, after.sound)
        return after if same else structs.replace(after, name=name, sound=sound)

    def _sound(self, entry: HostEntry) -> bool:
        heard = self.presence[entry.bucket]
        sound = entry.in_sync and not heard.doubts(entry.host, self._since_us)
        seen_us = heard.seen_us.get(entry.host, 0)
        self._soundness.judged(entry.bucket, entry.host, sound=sound, seen_us=seen_us)
        return sound

    def _changed(self, before: HostEntry | None, after: HostEntry | None) -> None:
        found = after or before
        assert found is not None
        self.touched.add(found.host)
        self._moves.move(before, after)
        if after is None:
            self._soundness.judged(found.bucket, found.host, sound=False, seen_us=0)

    def _rename(self, host: str) -> None:
        entry = self.entry(host)
        if entry is not None:
            name = self._naming.displayed(self._names, entry)
            if name != entry.name:
                self._replace(entry, structs.replace(entry, name=name))

    def _replace(self, before: HostEntry, after: HostEntry) -> None:
        if after == before:
            return
        self._names.set(after.host, after)
        known = self._names.get(after.hostname)
        if isinstance(known, HostEntry) and known.host == after.host:
            self._names.set(after.hostname, after)
        self._changed(before, after)

    def _move_devices(self, before: tuple[DeviceRef, ...], after: tuple[DeviceRef, ...]) -> None:
        if not before and all(self._devices.get(ref.name) is None for ref in after):
            for ref in after:  # a new host whose devices nobody else has: nearly all
                self._devices.set(ref.name, ref)
            return
        stays = {ref.name: ref for ref in after}
        for ref in before:
            if ref.name not in stays:
                self._set_device(ref.name, [each for each in self._refs(ref.name) if each.host != ref.host])
        for name, ref in stays.items():
            if self._devices.get(name) is ref:
                continue
            self._set_device(name, [*(each for each in self._refs(name) if each.host != ref.host), ref])

    def _refs(self, name: str) -> tuple[DeviceRef, ...]:
        found = self._devices.get(name)
        if found is None:
            return ()
        return (found,) if isinstance(found, DeviceRef) else found

    def _set_device(self, name: str, refs: list[DeviceRef]) -> None:
        if not refs:
            self._devices.remove(name)
        else:
            self._devices.set(name, refs[0] if len(refs) == 1 else tuple(sorted(refs, key=lambda ref: ref.host)))
