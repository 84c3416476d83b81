"""What the registry itself wrote into the log, as a history: rules and catalog entries, with author and message."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import sqlalchemy as sa
from msgspec import structs

from mdevreg.facts import Change, HistoryKind
from mdevreg.knowledge import ORIGINS, Amendment, CatalogChange, RuleChange
from mdevreg.times import moment_of, utc
from mdevreg_server.amendments import MINE, decoded
from mdevreg_server.asking import At
from mdevreg_server.tables import RecordLog

#: So many ids of a catalog change are named; the entry itself has all.
NAMED = 10
#: The entries of one amendment are read at a time: one of the catalog may be large.
_AT_ONCE = 50


def decided(connection: sa.Connection, kind: HistoryKind, name: str, at: At, limit: int) -> list[Change]:
    """The last ``limit`` changes of a rule, a catalog entry, an origin of entries, or of all of it, oldest first."""
    found: list[Change] = []
    for position, decided_at_us, amendment in _newest_first(connection, kind, name, at):
        found += _changes(kind, name, position, decided_at_us, amendment)
        if len(found) > limit:  # one more tells whether an entry came or was replaced
            break
    told = found[::-1]
    return (_replaced(told) if kind == "catalog" else told)[-limit:]


def _replaced(found: list[Change]) -> list[Change]:
    """An entry that is put where it stands already has changed."""
    told: list[Change] = []
    for change in found:
        standing = told and told[-1].event != "gone" and change.event == "appeared"
        told.append(structs.replace(change, event="changed") if standing else change)
    return told


def ever_named(connection: sa.Connection, at: At) -> set[str]:
    """The ids of all catalog entries that were ever known by then, removed ones included."""
    changes = (amendment.change for _, _, amendment in _newest_first(connection, "catalog", "", at))
    return {entry.id for change in changes if isinstance(change, CatalogChange) for entry in change.put}


def _newest_first(
    connection: sa.Connection, kind: HistoryKind, name: str, at: At
) -> Iterator[tuple[int, int, Amendment]]:
    columns = (RecordLog.position, RecordLog.seq, RecordLog.committed_at_us, RecordLog.body)
    wanted = sa.select(*columns).where(*MINE, RecordLog.position <= at.known_at, RecordLog.committed_at_us <= at.as_of)
    wanted = wanted.where(RecordLog.kind.in_(("rule", "catalog") if kind == "registry" else (kind,)))
    if kind == "rule":
        wanted = wanted.where(RecordLog.position >= int(name[1:]))  # a rule is named after the position that added it
    last: int | None = None
    while True:
        more = wanted if last is None else wanted.where(RecordLog.seq < last)
        rows = list(connection.execute(more.order_by(RecordLog.seq.desc()).limit(_AT_ONCE)))
        for row in rows:
            yield row.position, row.committed_at_us, decoded(row.position, row.body)
        if len(rows) < _AT_ONCE:
            return
        last = rows[-1].seq


def _changes(kind: HistoryKind, name: str, position: int, at_us: int, amendment: Amendment) -> Iterator[Change]:
    change = amendment.change
    match change:
        case RuleChange(rule=rule) if kind == "registry" or rule.id == name:
            event = "appeared" if rule.id == f"r{position}" else "changed"
            yield _change(
                position, at_us, "rule", rule.id, event, _rule(change, amendment.author, new=event == "appeared")
            )
        case CatalogChange() if kind == "registry" or name in ORIGINS:
            if kind == "registry" or change.origin == name:
                yield _change(position, at_us, "catalog", change.origin, "changed", _entries(change, amendment.author))
        case CatalogChange(put=put, remove=remove) if kind == "catalog":
            about = f"by {amendment.author}, {change.origin}"
            for entry in put:
                if entry.id == name:
                    told = f"{about}: {entry.confidence}, {entry.source}"
                    yield _change(position, at_us, "catalog", name, "appeared", told)
            if name in remove:
                yield _change(position, at_us, "catalog", name, "gone", about)


def _change(position: int, at_us: int, kind: str, name: str, event: str, detail: str) -> Change:
    return Change(
        valid_from=moment_of(at_us),
        valid_to=None,
        position=position,
        host="",
        object=kind,
        name=name,
        event=event,
        detail=detail,
    )


def _rule(change: RuleChange, author: str, *, new: bool) -> str:
    rule = change.rule
    until = f", until {utc(rule.valid_until)}" if rule.valid_until else ""
    if not new:
        return f"ended by {author}{until}"
    return f"{rule.effect} by {author} ({rule.scope}), from {utc(rule.valid_from)}{until}: {rule.message}"


def _entries(change: CatalogChange, author: str) -> str:
    said = [
        (f"{len(change.put)} put", [entry.id for entry in change.put]),
        (f"{len(change.remove)} removed", change.remove),
    ]
    return f"by {author}: " + "; ".join(f"{count}: {_listed(ids)}" for count, ids in said if ids)


def _listed(ids: Sequence[str]) -> str:
    return ", ".join(ids[:NAMED]) + (", …" if len(ids) > NAMED else "")
