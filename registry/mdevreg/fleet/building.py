"""Entries made of what the registry published of a host. Pure but for what it remembers to share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import structs

from mdevreg.errors import DecodeError
from mdevreg.facts import Evidence
from mdevreg.fleet.entries import UNHEARD, DeviceRef, HostEntry, Layout, Offerings, ParentLayout
from mdevreg.fleet.kinds import Kind, Kinds, Places
from mdevreg.profiles import Profile
from mdevreg.published import HostHead, HostIndex, ParentIndex, bucket_of, token_of
from mdevreg.records import DriverBuild
from mdevreg.rules import Rule


class Builder:
    """Makes entries; layouts, kinds and offerings that are alike are made once. ``profiles``: by digest."""

    def __init__(self, rules: Iterable[Rule], profiles: Mapping[str, Profile]) -> None:
        self._profiles = profiles
        self._kinds = Kinds(Places(rules))
        self._layouts: dict[object, Layout] = {}
        self._offerings = Offerings()
        self._texts: dict[str, str] = {}
        self._builds: dict[DriverBuild, DriverBuild] = {}
        self._frees: dict[tuple[int | None, ...], tuple[int | None, ...]] = {}

    def knows_places_of(self, rules: Iterable[Rule]) -> bool:
        """Whether these rules tell the same places apart as those that it was made for."""
        return Places(rules).scopes == self._kinds.places.scopes

    def entry(self, head: HostHead, index: HostIndex, before: HostEntry | None, hostname: str) -> HostEntry:
        """The entry of a host. Raises ``DecodeError`` for a profile that was not published before it."""
        host = before.host if before is not None else head.host
        if before is not None and before.hostname == hostname:
            hostname = before.hostname
        evidence = Evidence(host, hostname, index.site)
        layout = self._layout(index, evidence)
        free = tuple([count for parent in index.parents.values() for _, count in parent.types.values()])
        bucket = before.bucket if before is not None else bucket_of(host)
        pulse = bucket if head.in_sync else UNHEARD
        return HostEntry(
            host=host,
            hostname=hostname,
            name=before.name if before is not None else hostname,
            site=self._shared(index.site),
            kernel_release=self._shared(index.kernel_release),
            changed_at=head.observed_at,
            position=head.position,
            token=token_of(head.digest, head.position),
            missing=head.missing,
            bucket=bucket,
            pulse=pulse,
            sound=before.sound if before is not None else True,
            layout=layout,
            free=self._frees.setdefault(free, free),
            members=layout.members(free, self._offerings),
            devices=self._devices(index, evidence, pulse, before),
        )

    def again(self, entry: HostEntry) -> HostEntry:
        """An entry that another builder made, for the places that this one tells apart."""
        evidence = Evidence(entry.host, entry.hostname, entry.site)
        parents = tuple(
            structs.replace(
                parent,
                types=tuple((name, self._kind_again(kind, evidence, parent.name)) for name, kind in parent.types),
            )
            for parent in entry.layout.parents
        )
        layout = self._laid_out(parents)
        devices = tuple(
            structs.replace(ref, kind=self._kind_again(ref.kind, evidence, ref.parent, ref.name))
            for ref in entry.devices
        )
        members = layout.members(entry.free, self._offerings)
        return structs.replace(entry, layout=layout, members=members, devices=devices)

    def _shared(self, text: str | None) -> str | None:
        """The same text as many hosts have it."""
        return None if text is None else self._texts.setdefault(text, text)

    def _layout(self, index: HostIndex, evidence: Evidence) -> Layout:
        if self._kinds.places.scopes:
            return self._laid_out(self._parents(index, evidence))
        shape = tuple(
            [
                (
                    path,
                    parent.name,
                    tuple([(name, number) for name, (number, _) in parent.types.items()]),
                    parent.drivers,
                )
                for path, parent in index.parents.items()
            ]
        )
        key = (shape, index.profiles, index.builds)
        found = self._layouts.get(key)
        if found is None:
            found = self._layouts[key] = self._laid_out(self._parents(index, evidence))
        return found

    def _laid_out(self, parents: tuple[ParentLayout, ...]) -> Layout:
        key = tuple((parent.path, parent.name, parent.types, parent.builds) for parent in parents)
        found = self._layouts.get(key)
        if found is None:
            found = self._layouts[key] = Layout(parents)
        return found

    def _parents(self, index: HostIndex, evidence: Evidence) -> tuple[ParentLayout, ...]:
        made: list[ParentLayout] = []
        first = 0
        for path, parent in index.parents.items():
            made.append(self._parent(path, parent, index, evidence, first))
            first += len(parent.types)
        return tuple(made)

    def _parent(self, path: str, parent: ParentIndex, index: HostIndex, evidence: Evidence, first: int) -> ParentLayout:
        kinds = tuple(
            (name, self._kind(index.profiles[number], evidence, parent.name))
            for name, (number, _) in parent.types.items()
        )
        builds = tuple(self._builds.setdefault(index.builds[at], index.builds[at]) for at in parent.drivers)
        return ParentLayout(path, parent.name, kinds, builds, first)

    def _devices(
        self, index: HostIndex, evidence: Evidence, pulse: int, before: HostEntry | None
    ) -> tuple[DeviceRef, ...]:
        known = {ref.name: ref for ref in before.devices} if before is not None else {}
        found: list[DeviceRef] = []
        for parent in index.parents.values():
            for name, number in parent.devices.items():
                kind = self._kind(index.profiles[number], evidence, parent.name, name)
                ref = known.get(name)
                same = ref is not None and (ref.kind, ref.parent, ref.pulse) == (kind, parent.name, pulse)
                found.append(
                    ref if ref is not None and same else DeviceRef(name, evidence.host, pulse, parent.name, kind)
                )
        return tuple(found)

    def _kind(self, digest: str, evidence: Evidence, parent: str, device: str | None = None) -> Kind:
        plain = None if self._kinds.places.scopes else self._kinds.plain(digest)
        if plain is not None:
            return plain
        profile = self._profiles.get(digest)
        if profile is None:
            text = f"host {evidence.host} has the profile {digest}, which was not published before it"
            raise DecodeError(text, path="$.index.profiles", code="PROFILE_MISSING")
        return self._kinds.of(digest, profile, evidence, parent, device)

    def _kind_again(self, kind: Kind, evidence: Evidence, parent: str, device: str | None = None) -> Kind:
        return self._kinds.of(kind.digest, kind.profile, evidence, parent, device)
