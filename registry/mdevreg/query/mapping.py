"""Questions that only an index of the fleet answers: which kinds accept which, and what a host would take in."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol, runtime_checkable

import msgspec

from mdevreg.errors import StateError
from mdevreg.fleet import Accepted, Matrix
from mdevreg.query.door import Door
from mdevreg.rules import FLEET, Scope


class AcceptedKinds(msgspec.Struct, frozen=True):
    """What would become of each kind of the fleet at one host, of the types that it offers."""

    host: str
    hostname: str
    accepted: tuple[Accepted, ...]
    position: int
    answered_at: datetime


@runtime_checkable
class MappingDoor(Protocol):
    """A door with an index of the fleet behind it."""

    def matrix(self, sources: Scope, targets: Scope, *, now: datetime) -> Matrix:
        """Every kind that some hosts offer against every kind of its type that others do."""
        ...

    def accepting(self, host: str, *, now: datetime) -> AcceptedKinds:
        """What would become of each kind at a host."""
        ...


def matrix(door: Door, *, now: datetime, sources: Scope = FLEET, targets: Scope = FLEET) -> Matrix:
    """Every kind that some hosts offer against every kind of its type that others do, as they are now.

    Raises ``StateError`` (code NO_INDEX) for a door that has none.
    """
    return _mapping(door).matrix(sources, targets, now=now)


def accepting(door: Door, host: str, *, now: datetime) -> AcceptedKinds:
    """What would become of each kind of the fleet at a host. Raises ``NotFoundError``, ``StateError`` (NO_INDEX)."""
    return _mapping(door).accepting(host, now=now)


def _mapping(door: Door) -> MappingDoor:
    if isinstance(door, MappingDoor):
        return door
    text = (
        "there is no index of the fleet here: a database has none, and a registry has one soon after it has started; "
        "ask nats://, http:// or replica+nats://"
    )
    raise StateError(text, code="NO_INDEX")
