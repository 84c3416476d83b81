"""Sources and offers in SQL: what ``judge`` is fed with."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import msgspec
import sqlalchemy as sa

from mdevreg.errors import NotFoundError, UsageError
from mdevreg.facts import Evidence, Side
from mdevreg.knowledge import Knowledge
from mdevreg.nearest import nearest
from mdevreg.profiles import Profile
from mdevreg.support import StreamSupport, Support
from mdevreg_server import evidence, tables
from mdevreg_server.asking import At
from mdevreg_server.evidence import evidence_of, find_host
from mdevreg_server.tables import Device, HostFact, HostPresence, HostState, Offer, Parent

_free = msgspec.json.Decoder(dict[str, int | None])
_profile = msgspec.json.Decoder(Profile)


class Interned:
    """Profiles of one answer, decoded once each, and what was believed of them at its moment."""

    def __init__(self, knowledge: Knowledge) -> None:
        self.knowledge = knowledge
        self._profiles: dict[str, Profile] = {}

    def get(self, digest: str, body: str) -> tuple[Profile, Support]:
        """The profile of that digest, and its support."""
        found = self._profiles.get(digest)
        if found is None:
            found = self._profiles[digest] = _profile.decode(body)
        return found, self.knowledge.support(digest, found)


def source_of(connection: sa.Connection, name: str, at: At, interned: Interned) -> Side:
    """The device, or the type that a device could be created of.

    ``name``: an mdev uuid, ``HOST/DEVICE`` or ``HOST/PARENT/TYPE``. Raises ``NotFoundError``, or ``UsageError``
    where several hosts have a device of that name.
    """
    match name.split("/"):
        case [device]:
            return _device(connection, device, None, at, interned)
        case [host, device]:
            return _device(connection, device, find_host(connection, host, at), at, interned)
        case [host, parent, kind]:
            return _offered(connection, find_host(connection, host, at), parent, kind, at, interned)
    raise UsageError(f"{name!r} is no device; expected an mdev uuid, HOST/DEVICE or HOST/PARENT/TYPE")


def offers_of(connection: sa.Connection, host: Evidence, at: At, interned: Interned) -> list[Side]:
    """Everything that one host offers, by parent and type."""
    offer, parent = at.rows(Offer, host=host.host), at.rows(Parent, host=host.host)
    wanted = sa.select(*_columns(offer, parent)).select_from(_offers(offer, parent))
    rows = connection.execute(wanted.order_by(parent.name, offer.type))
    return [_side(row, host, interned) for row in rows]


def offers_of_type(connection: sa.Connection, kind: str, at: At, interned: Interned) -> list[Side]:
    """Every offer of a type in the fleet, by hostname, host, parent."""
    return _fleet(connection, at.rows(Offer, type=kind), at, interned)


def offers_loading(connection: sa.Connection, form: str, at: At, interned: Interned) -> list[Side]:
    """Every offer in the fleet whose build is known to load a stream format, by hostname, host, parent, type."""
    profiles = connection.execute(sa.select(tables.Profile.digest, tables.Profile.body))
    known = [(digest, interned.get(digest, body)[1]) for digest, body in profiles]
    loading = [digest for digest, found in known if isinstance(found, StreamSupport) and found.format == form]
    offer = at.rows(Offer)
    return _fleet(connection, offer, at, interned, offer.profile.in_(loading)) if loading else []


def _fleet(
    connection: sa.Connection, offer: type[Offer], at: At, interned: Interned, *which: sa.ColumnElement[bool]
) -> list[Side]:
    parent, facts = at.rows(Parent), at.rows(HostFact)
    source = sa.join(_offers(offer, parent), HostState, HostState.host == offer.host)
    source = sa.join(source, facts, facts.host == offer.host, isouter=not at.historical)
    source = sa.join(source, HostPresence, HostPresence.host == offer.host, isouter=True)
    wanted = sa.select(*evidence.columns_of(facts), *_columns(offer, parent)).select_from(source).where(*which)
    rows = connection.execute(wanted.order_by(facts.hostname, offer.host, parent.name, offer.type))
    return [_side(row, evidence_of(row, at), interned) for row in rows]


def _columns(offer: type[Offer], parent: type[Parent]) -> tuple[Any, ...]:
    return (offer.type, offer.profile, tables.Profile.body, parent.name, parent.free)


def _offers(offer: type[Offer], parent: type[Parent]) -> Any:
    there = sa.and_(parent.host == offer.host, parent.path == offer.path)
    return sa.join(sa.join(offer, parent, there), tables.Profile, tables.Profile.digest == offer.profile)


def _side(row: Any, host: Evidence, interned: Interned) -> Side:
    profile, support = interned.get(row.profile, row.body)
    return Side(
        evidence=host,
        parent=row.name,
        profile=profile,
        support=support,
        available_instances=_free.decode(row.free).get(row.type),
        digest=row.profile,
    )


def _device(connection: sa.Connection, name: str, host: Evidence | None, at: At, interned: Interned) -> Side:
    there = tables.Profile.digest == Device.profile
    columns = (Device.host, Device.path, Device.profile, tables.Profile.body)
    wanted = sa.select(*columns).select_from(sa.join(Device, tables.Profile, there))
    wanted = wanted.where(Device.name == name, at.holds(Device))
    if host is not None:
        wanted = wanted.where(Device.host == host.host)
    rows = list(connection.execute(wanted))
    if not rows:
        _refuse_host(connection, name, host, at)
        raise NotFoundError("device", name, nearest(name, _device_names(connection, host, at)))
    if len(rows) > 1:
        hosts = ", ".join(sorted({row.host for row in rows}))
        raise UsageError(f"{name!r} is on several hosts; name one as HOST/{name}: {hosts}", code="AMBIGUOUS")
    where = host or find_host(connection, rows[0].host, at)
    profile, support = interned.get(rows[0].profile, rows[0].body)
    parent = at.rows(Parent, host=where.host)
    named = connection.scalar(sa.select(parent.name).where(parent.path == rows[0].path))
    return Side(where, named or rows[0].path, profile, support, device=name, digest=rows[0].profile)


def _refuse_host(connection: sa.Connection, name: str, within: Evidence | None, at: At) -> None:
    """A host's name where a device's belongs is the commonest slip: say so."""
    with suppress(NotFoundError):
        if within is None:
            host = find_host(connection, name, at)
            expected = "a device: an mdev uuid, HOST/DEVICE or HOST/PARENT/TYPE"
            raise UsageError(f"{name!r} is the host {host.hostname}; expected {expected}")


def _device_names(connection: sa.Connection, host: Evidence | None, at: At) -> list[str]:
    there = at.rows(Device) if host is None else at.rows(Device, host=host.host)
    return list(connection.scalars(sa.select(there.name)))


def _offered(connection: sa.Connection, host: Evidence, parent: str, kind: str, at: At, interned: Interned) -> Side:
    offers = offers_of(connection, host, at, interned)
    there = [offer for offer in offers if offer.parent == parent]
    if not there:
        raise NotFoundError(f"parent on {host.hostname}", parent, nearest(parent, {offer.parent for offer in offers}))
    for offer in there:
        if offer.profile.type == kind:
            return offer
    known = {offer.profile.type for offer in there if offer.profile.type is not None}
    raise NotFoundError(f"type of {host.hostname}/{parent}", kind, nearest(kind, known))
