"""The documents of a host at a moment: they are kept once, in the log, unless they were pruned."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from mdevreg.records import HostFacts, Parent
from mdevreg.support import Support
from mdevreg.wire import decode_facts, decode_parent
from mdevreg_server import remains, tables
from mdevreg_server.asking import At
from mdevreg_server.hosts import document_in
from mdevreg_server.sides import Interned
from mdevreg_server.tables import HostFact, RecordLog


class Documents(msgspec.Struct, frozen=True):
    """What is known of a host. ``pruned``: paths of parents whose documents are gone (``""``: the host's own).

    Of these, ``parents`` and ``facts`` have what timelines still know; ``supports`` is of them alone.
    """

    facts: HostFacts | None
    parents: tuple[Parent, ...]
    pruned: tuple[str, ...]
    supports: dict[str, Support]


def documents_of(connection: sa.Connection, host: str, when: At, interned: Interned) -> Documents:
    """The documents behind a host's rows, parents by path."""
    facts, pruned = _facts(connection, host, when)
    parents: list[Parent] = []
    supports: dict[str, Support] = {}
    for row in connection.execute(_behind(when.rows(tables.Parent, host=host), "path")):
        if row.body:
            parents.append(decode_parent(document_in(row.body, row.position).raw))
            continue
        pruned.append(row.path)
        parent, understood = remains.parent_of(connection, host, row.path, when, interned)
        parents.append(parent)
        supports |= understood
    return Documents(facts, tuple(sorted(parents, key=lambda parent: parent.path)), tuple(sorted(pruned)), supports)


def _facts(connection: sa.Connection, host: str, when: At) -> tuple[HostFacts | None, list[str]]:
    then = when.rows(HostFact, host=host)
    row = connection.execute(_behind(then, "hostname", "site", "kernel_release")).one_or_none()
    if row is None:
        return None, []
    if row.body:
        return decode_facts(document_in(row.body, row.position).raw), []
    return HostFacts(hostname=row.hostname, site=row.site, kernel_release=row.kernel_release), [""]


def _behind(then: type[HostFact | tables.Parent], *named: str) -> sa.Select[Any]:
    """Rows that hold, with the records that told them."""
    there = sa.join(then, RecordLog, RecordLog.position == then.position)
    columns = [getattr(then, name) for name in named]
    return sa.select(*columns, RecordLog.position, RecordLog.body).select_from(there)
