"""Whom a history is asked of: a name's kind, and which rows of the interval tables are meant.

A name may be that of things of several kinds; then the kind has to be said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec
import sqlalchemy as sa

from mdevreg.errors import NotFoundError, UsageError
from mdevreg.facts import HISTORY_KINDS, OWN, HistoryKind, OwnKind
from mdevreg.knowledge import ORIGINS, Knowledge
from mdevreg.nearest import nearest
from mdevreg_server import intents
from mdevreg_server.asking import At
from mdevreg_server.decided import ever_named
from mdevreg_server.evidence import find_host
from mdevreg_server.tables import INTENTS, INTERVALS, Device, DriverBuild, HostFact, Offer
from mdevreg_server.timelines import Columns, Whose


class Subject(msgspec.Struct, frozen=True):
    """What a name means. ``host``: the id of the one host it is about, "" if there is none.

    ``whose``: the rows it is about; the registry's own entries have none.
    """

    kind: HistoryKind
    host: str = ""
    whose: Whose | None = None


def subject_of(connection: sa.Connection, name: str, kind: HistoryKind | None, at: At, known: Knowledge) -> Subject:
    """What is meant by a name, of a kind if that is said.

    Raises ``NotFoundError``, ``UsageError`` (AMBIGUOUS: of several kinds, or the hostname of several hosts).
    """
    wanted = [kind] if kind else HISTORY_KINDS
    found = [each for kind_ in wanted if (each := _of(connection, name, kind_, at, known, said=kind is not None))]
    # An intent's name is free: it takes no other thing's history from anybody.
    found = [each for each in found if each.kind not in INTENTS] or found
    if len(found) > 1:
        kinds = ", ".join(each.kind for each in found)
        raise UsageError(f"{name!r} is the name of several kinds: {kinds}; say which by kind", code="AMBIGUOUS")
    if not found:
        what = kind or "host, device, driver, type or rule"
        raise NotFoundError(what, name, nearest(name, _names(connection, kind, at, known)))
    return found[0]


def _of(
    connection: sa.Connection, name: str, kind: HistoryKind, at: At, known: Knowledge, *, said: bool
) -> Subject | None:
    match kind:
        case "host":
            return _host(connection, name, at)
        case "device":
            return _device(connection, name, at)
        case "driver":
            return _driver(connection, name, at)
        case "type":
            rows = Whose({"offer": lambda columns: columns.type == name})
            return Subject("type", "", rows) if _there(connection, rows, at) else None
        case "catalog" if said:  # those that were removed have a history too; reading for them takes a while
            return Subject(kind) if name in _own(kind, known) | ever_named(connection, at) else None
        case "campaign" | "baseline":
            return Subject(kind) if name in intents.names(connection, kind, at.known_at) else None
        case _:
            return Subject(kind) if name in _own(kind, known) else None


def _host(connection: sa.Connection, name: str, at: At) -> Subject | None:
    try:
        host = find_host(connection, name, at).host
    except NotFoundError:
        return None
    return Subject("host", host, Whose({kind: _is("host", host) for kind in INTERVALS}))


def _device(connection: sa.Connection, name: str, at: At) -> Subject | None:
    host, slash, device = name.partition("/")
    if not slash:
        # Where it was last, whatever the time asked about: one that came later has a history, of nothing by then.
        known = (Device.system_from <= at.known_at, Device.system_to > at.known_at)
        mine = sa.select(Device.host).where(Device.name == name, *known)
        last = connection.scalar(mine.order_by(Device.valid_from_us.desc(), Device.host).limit(1))
        return None if last is None else Subject("device", last, Whose({"device": _is("name", name)}))
    there = find_host(connection, host, at).host
    rows = Whose({"device": lambda columns: sa.and_(columns.host == there, columns.name == device)})
    return Subject("device", there, rows) if _there(connection, rows, at) else None


def _driver(connection: sa.Connection, name: str, at: At) -> Subject | None:
    driver, _, build = name.partition(" ")
    rows = Whose({"driver": _build(driver, build) if build else _is("name", name)}, values=bool(build))
    return Subject("driver", "", rows) if _there(connection, rows, at) else None


def _build(driver: str, build: str) -> Callable[[Columns], sa.ColumnElement[bool]]:
    """The rows of one build: by its version, its srcversion or its build-id."""
    return lambda columns: sa.and_(
        columns.name == driver,
        sa.or_(columns.version == build, columns.srcversion == build, columns.build_id == build),
    )


def _is(column: str, value: str) -> Callable[[Columns], sa.ColumnElement[bool]]:
    return lambda columns: columns[column] == value


def _there(connection: sa.Connection, rows: Whose, at: At) -> bool:
    """Whether anything of it was known by then."""
    [(kind, meant)] = rows.of.items()
    columns = INTERVALS[kind].__table__.c
    wanted = sa.select(sa.literal(1)).where(
        meant(columns), columns.valid_from_us <= at.as_of, columns.system_from <= at.known_at
    )
    return connection.scalar(wanted.limit(1)) is not None


def _own(kind: OwnKind, known: Knowledge) -> set[str]:
    """The names among the registry's own entries: those that are believed."""
    match kind:
        case "rule":
            return set(known.rules)
        case "catalog":
            return {*ORIGINS, *(name for entries in known.entries.values() for name in entries)}
        case "registry":
            return {OWN}


def _names(connection: sa.Connection, kind: HistoryKind | None, at: At, known: Knowledge) -> Iterator[str]:
    listed = {
        "host": (HostFact, HostFact.hostname),
        "device": (Device, Device.name),
        "driver": (DriverBuild, DriverBuild.name),
        "type": (Offer, Offer.type),
    }
    for each in [kind] if kind else HISTORY_KINDS:
        match each:
            case "rule" | "catalog" | "registry":
                yield from _own(each, known)
            case "campaign" | "baseline":
                yield from intents.names(connection, each, at.known_at)
            case _:
                table, column = listed[each]
                yield from connection.scalars(sa.select(column).where(at.holds(table)).distinct())
