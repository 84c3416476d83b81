"""The SQL door: facts straight from the registry's database, each answer from one snapshot."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from types import TracebackType
from typing import Any, Self

import sqlalchemy as sa

from mdevreg.differing import MAX_HOSTS, DifferenceAsked, DifferencePage
from mdevreg.errors import MdevregError, UsageError
from mdevreg.facts import (
    Candidates,
    Drivers,
    DriverSpread,
    History,
    HistoryKind,
    Hosts,
    HostSummary,
    HostView,
    Moment,
    Offers,
    Pair,
    RuleList,
)
from mdevreg.knowledge import Knowledge, supports_of
from mdevreg.logged import LogAsked, LogPage, TimelineAsked, TimelinePage
from mdevreg.query.names import possible
from mdevreg.records import DriverBuild, HostFacts, Parent
from mdevreg.rules import Rule
from mdevreg.wire import decode_facts, decode_parent
from mdevreg_server import revision, tables
from mdevreg_server.alone import writing_alone
from mdevreg_server.amendments import Beliefs
from mdevreg_server.asking import At, at
from mdevreg_server.contrasts import (
    Contrast,
    decided,
    decided_by,
    differing,
    host_at_either,
    host_names,
    profiles_of,
)
from mdevreg_server.engine import converted, open_engine
from mdevreg_server.evidence import COLUMNS, evidence_of, find_host, joined
from mdevreg_server.histories import history_of
from mdevreg_server.hosts import document_in
from mdevreg_server.log_pages import log_page
from mdevreg_server.sides import Interned, offers_loading, offers_of, offers_of_type, source_of
from mdevreg_server.tables import HostFact, RecordLog
from mdevreg_server.timeline_pages import timeline_page


def open_sql(url: str, *, timeout_s: float, creds: str | None) -> SqlDoor:  # noqa: ARG001  (one signature for all doors)
    """Open a database as a door. Raises ``WrongRevisionError`` unless it is at this program's revision."""
    engine = open_engine(url, writer=False, timeout_s=timeout_s)
    try:
        revision.check(engine)
    except MdevregError:
        engine.dispose()
        raise
    return SqlDoor(engine)


class SqlDoor:
    """``mdevreg.query.door.Door`` over SQL. Usable from any thread."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._beliefs = Beliefs()

    @contextmanager
    def _reading(self, moment: Moment) -> Iterator[tuple[sa.Connection, At]]:
        with converted(self._engine), self._engine.connect() as connection:
            yield connection, at(connection, moment)

    def _believed(self, connection: sa.Connection, when: At) -> Interned:
        """Profiles as the registry understood them at that moment."""
        return Interned(self._beliefs.at(connection, when.known_at))

    def hosts(self, moment: Moment) -> Hosts:
        """Every host, by hostname, then id."""
        with self._reading(moment) as (connection, when):
            statement = sa.select(*COLUMNS, HostFact.kernel_release).select_from(joined(when))
            if when.historical:
                statement = statement.where(HostFact.hostname.is_not(None))
            rows = list(connection.execute(statement.order_by(HostFact.hostname, tables.HostState.host)))
            counts = [_counts(connection, table, when) for table in (tables.Parent, tables.Offer, tables.Device)]
        return Hosts(when.position, tuple(_summary(row, when, counts) for row in rows))

    def host(self, name: str, moment: Moment) -> HostView:
        """Everything known of one host."""
        with self._reading(moment) as (connection, when):
            evidence = find_host(connection, possible(name), when)
            facts = _documents(connection, HostFact, evidence.host, when, decode_facts)
            parents = _documents(connection, tables.Parent, evidence.host, when, decode_parent)
            knowledge = self._beliefs.at(connection, when.known_at)
        found: HostFacts | None = facts[0] if facts else None
        ordered: tuple[Parent, ...] = tuple(sorted(parents, key=lambda parent: parent.path))
        return HostView(when.position, evidence, found, ordered, supports_of(ordered, knowledge))

    def pair(self, device: str, host: str, moment: Moment) -> Pair:
        """A source, and all that one target host offers."""
        with self._reading(moment) as (connection, when):
            interned = self._believed(connection, when)
            source = source_of(connection, possible(device), when, interned)
            target = find_host(connection, possible(host), when)
            offers = offers_of(connection, target, when, interned)
        return Pair(when.position, source, target, tuple(offers), _rules(interned))

    def candidates(self, device: str, moment: Moment) -> Candidates:
        """A source, and every offer of its type in the fleet."""
        with self._reading(moment) as (connection, when):
            interned = self._believed(connection, when)
            source = source_of(connection, possible(device), when, interned)
            kind = source.profile.type
            offers = offers_of_type(connection, kind, when, interned) if kind is not None else []
        return Candidates(when.position, source, tuple(offers), _rules(interned))

    def loading(self, form: str, moment: Moment) -> Offers:
        """Every offer in the fleet whose driver build is known to load streams of a format."""
        with self._reading(moment) as (connection, when):
            interned = self._believed(connection, when)
            offers = offers_loading(connection, possible(form), when, interned)
        return Offers(when.position, tuple(offers), _rules(interned))

    def rules(self, moment: Moment) -> RuleList:
        """Every operators' rule that was known, ended ones included, oldest first."""
        with self._reading(moment) as (connection, when):
            return RuleList(when.position, _rules(self._believed(connection, when)))

    def add_rule(self, draft: Rule) -> Rule:
        """Add a rule, where no registry is running on this database."""
        with writing_alone(self._engine.url) as book:
            return book.add_rule(draft)

    def end_rule(self, rule: str, *, at: datetime | None, author: str) -> Rule:
        """End a rule, where no registry is running on this database."""
        with writing_alone(self._engine.url) as book:
            return book.end_rule(possible(rule), at=at, author=author)

    def history(self, name: str, moment: Moment, limit: int, kind: HistoryKind | None = None) -> History:
        """The last ``limit`` changes of what has that name, oldest first."""
        with self._reading(moment) as (connection, when):
            known = self._beliefs.at(connection, when.known_at)
            subject, changes = history_of(connection, possible(name), kind, when, known, limit)
        return History(when.position, subject.host, changes, subject.kind)

    def diff(self, asked: DifferenceAsked) -> DifferencePage:
        """One page of what differs between two moments, host by host."""
        if not 1 <= asked.limit <= MAX_HOSTS:
            raise UsageError(f"limit is {asked.limit}; 1 to {MAX_HOSTS} hosts make a page")
        with self._reading(asked.end) as (connection, end):
            begin = at(connection, asked.begin)
            host = None if asked.host is None else host_at_either(connection, possible(asked.host), end, begin)
            contrast = Contrast(begin, end, host, asked.site, asked.capacity)
            rows, following = differing(connection, contrast, possible(asked.cursor or ""), asked.limit)
            names = host_names(connection, contrast, {row.host for row in rows})
            profiles = profiles_of(
                connection, rows, *(self._beliefs.at(connection, each.known_at) for each in (begin, end))
            )
            whole = asked.host is None and asked.site is None and asked.cursor is None
            told = decided(*(self._decided(connection, each) for each in (begin, end))) if whole else None
        return DifferencePage(max(begin.position, end.position), tuple(rows), names, profiles, told, following)

    def entries(self, asked: LogAsked) -> LogPage:
        """One page of the log."""
        with converted(self._engine), self._engine.connect() as connection:
            return log_page(connection, asked)

    def timelines(self, asked: TimelineAsked) -> TimelinePage:
        """One page of the rows of a table of timelines."""
        with converted(self._engine), self._engine.connect() as connection:
            return timeline_page(connection, asked)

    def _decided(self, connection: sa.Connection, when: At) -> Knowledge:
        return self._beliefs.at(connection, decided_by(connection, when))

    def drivers(self, moment: Moment) -> Drivers:
        """The driver builds of the fleet, by name, then most hosts first."""
        table = tables.DriverBuild
        build = (table.name, table.module, table.kernel_release, table.version, table.srcversion, table.build_id)
        many = (sa.func.count(table.host.distinct()).label("hosts"), sa.func.count().label("parents"))
        with self._reading(moment) as (connection, when):
            statement = sa.select(*build, *many).where(when.holds(table)).group_by(*build)
            rows = list(connection.execute(statement))
        found = sorted((_spread(row) for row in rows), key=_by_name)
        return Drivers(when.position, tuple(found))

    def close(self) -> None:
        """Let go of the connections."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _rules(interned: Interned) -> tuple[Rule, ...]:
    return tuple(interned.knowledge.rules.values())


def _counts(connection: sa.Connection, table: Any, when: At) -> dict[str, int]:
    statement = sa.select(table.host, sa.func.count()).where(when.holds(table)).group_by(table.host)
    return {host: count for host, count in connection.execute(statement)}  # noqa: C416  (rows are no pairs to mypy)


def _summary(row: Any, when: At, counts: list[dict[str, int]]) -> HostSummary:
    parents, types, devices = (count.get(row.host, 0) for count in counts)
    return HostSummary(evidence_of(row, when), row.kernel_release, parents, types, devices)


def _documents(connection: sa.Connection, table: Any, host: str, when: At, decode: Callable[[bytes], Any]) -> list[Any]:
    """The documents behind a host's rows: they are kept once, in the log."""
    there = sa.join(table, RecordLog, RecordLog.position == table.position)
    statement = sa.select(RecordLog.body, RecordLog.position).select_from(there)
    rows = connection.execute(statement.where(table.host == host, when.holds(table)))
    return [decode(document_in(row.body, row.position).raw) for row in rows]


def _spread(row: Any) -> DriverSpread:
    build = DriverBuild(
        name=row.name,
        module=row.module,
        kernel_release=row.kernel_release,
        version=row.version,
        srcversion=row.srcversion,
        build_id=row.build_id,
    )
    return DriverSpread(build, row.hosts, row.parents)


def _by_name(spread: DriverSpread) -> tuple[str, int, str]:
    return (spread.build.name, -spread.hosts, repr(spread.build))
