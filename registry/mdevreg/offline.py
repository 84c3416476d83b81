"""Two hosts on paper: outputs of ``mdevreg-agent scan -o json`` as the sides of a question. Pure.

A scan does not tell when it was made, nor which id its host has in a registry. So the facts are those of the past
(``Evidence.historical``): nobody claims that they still hold, and the host goes by the name of its document.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import TypeVar

import msgspec

from mdevreg import control, wire
from mdevreg.catalog import Catalog
from mdevreg.errors import DecodeError, NotFoundError, SchemaVersionError
from mdevreg.facts import Evidence, Pair, Side
from mdevreg.nearest import nearest
from mdevreg.profiles import Profile, profile_of_device, profile_of_type
from mdevreg.records import MAX_PARENTS, SCHEMA_MAJOR, Parent
from mdevreg.support import support_of

T = TypeVar("T")

#: Largest accepted document; a host with 4,096 types needs under 10 MiB.
MAX_SCAN_BYTES = 256 * 1024 * 1024
_MADE_BY = "the output of: mdevreg-agent scan -o json"


class Scan(msgspec.Struct, frozen=True):
    """One host as it was scanned: its parents by path."""

    evidence: Evidence
    parents: tuple[Parent, ...]


class _Document(msgspec.Struct, frozen=True):
    facts: msgspec.Raw
    parents: tuple[msgspec.Raw, ...]
    schema: str = "1.0"  # the first agents wrote none


_document = msgspec.json.Decoder(_Document)


def read_scan(data: bytes, name: str, *, at: datetime) -> Scan:
    """Read what ``mdevreg-agent scan -o json`` printed. ``name``: the document's; ``at``: when it was written.

    Raises ``DecodeError`` with the path of the fault, or ``SchemaVersionError``.
    """
    try:
        return _read(data, name, at)
    except SchemaVersionError:
        raise
    except DecodeError as error:
        text = f"{name} can't be read: {error.message}; expected {_MADE_BY}"
        raise DecodeError(text, code=error.code) from error


def _read(data: bytes, name: str, at: datetime) -> Scan:
    if len(data) > MAX_SCAN_BYTES:
        raise DecodeError(f"it has more than {MAX_SCAN_BYTES} bytes", code="TOO_LARGE")
    try:
        found = _document.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise DecodeError(str(error).replace("\n", " ")) from error
    if found.schema.partition(".")[0] != str(SCHEMA_MAJOR):
        text = (
            f"{name} has schema {found.schema[:40]!r}, this program reads {SCHEMA_MAJOR}.x; upgrade the older of both"
        )
        raise SchemaVersionError(text, path="$.schema")
    if len(found.parents) > MAX_PARENTS:
        raise DecodeError(f"it has {len(found.parents)} parents; at most {MAX_PARENTS} are read", code="TOO_LARGE")
    facts = _inner(found.facts, wire.decode_facts, "$.facts")
    evidence = Evidence(name, facts.hostname, facts.site, changed_at=at, historical=True)
    parents = (_inner(raw, wire.decode_parent, f"$.parents[{index}]") for index, raw in enumerate(found.parents))
    return Scan(evidence, tuple(parents))


def _inner(raw: msgspec.Raw, decode: Callable[[bytes], T], at: str) -> T:
    data = bytes(raw)
    try:
        found = decode(data)
        control.check(data, found if isinstance(found, Parent) else None)
    except DecodeError as error:
        sentence = error.message.removesuffix(f" (at {error.path})")
        raise DecodeError(sentence, path=at + error.path.removeprefix("$"), code=error.code) from error
    return found


class Desk:
    """Scans on a desk, with a catalog: support is concluded once for each profile."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._sides: dict[bytes, Side] = {}

    def pair(self, source: Side, target: Scan) -> Pair:
        """A source, and all that the target offers, as a registry without rules would hand it out."""
        return Pair(position=0, source=source, target=target.evidence, offers=tuple(self.offers(target)))

    def offers(self, scan: Scan) -> Iterator[Side]:
        """Everything that a host offers, by path and type."""
        for parent in scan.parents:
            for kind in parent.types:
                yield self._side(
                    scan, parent.name, profile_of_type(parent, kind), available_instances=kind.available_instances
                )

    def sources(self, scan: Scan) -> list[Side]:
        """One offer for each type and profile: all others of them would be answered alike."""
        found: dict[bytes, Side] = {}
        for offer in self.offers(scan):
            found.setdefault(wire.encode(offer.profile), offer)
        return list(found.values())

    def source(self, scan: Scan, name: str) -> Side:
        """A device by its uuid or PCI address, or the type ``PARENT/TYPE``. Raises ``NotFoundError``."""
        named = {f"{offer.parent}/{offer.profile.type}": offer for offer in self.offers(scan)}
        named |= {device.device or "": device for device in self._devices(scan)}
        if name not in named:
            raise NotFoundError(f"device or PARENT/TYPE of {scan.evidence.hostname}", name, nearest(name, named))
        return named[name]

    def _devices(self, scan: Scan) -> Iterator[Side]:
        for parent in scan.parents:
            for device in parent.devices:
                yield self._side(scan, parent.name, profile_of_device(parent, device), device=device.name)

    def _side(
        self,
        scan: Scan,
        parent: str,
        profile: Profile,
        *,
        device: str | None = None,
        available_instances: int | None = None,
    ) -> Side:
        key = wire.encode(profile)
        if key not in self._sides:
            support = support_of(profile, self._catalog)
            self._sides[key] = Side(scan.evidence, parent, profile, support)
        return msgspec.structs.replace(
            self._sides[key],
            evidence=scan.evidence,
            parent=parent,
            device=device,
            available_instances=available_instances,
        )
