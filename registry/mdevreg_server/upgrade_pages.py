"""Pages of upgrades, from SQL: the newest are looked for by an index, and what each did is read for a page's alone.

The work follows the number of upgrades asked for: where too few of the newest beginnings of runs were upgrades, four
times as many are looked at; of few hosts, all. A scope of parents or builds that fits few may come to one pass over
the whole table.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import islice

import msgspec
import sqlalchemy as sa
from msgspec import structs

from mdevreg.errors import NotFoundError, UsageError
from mdevreg.facts import NOW
from mdevreg.knowledge import Knowledge
from mdevreg.nearest import nearest
from mdevreg.query.cursors import cursor_after, key_in
from mdevreg.query.names import possible
from mdevreg.rules import FLEET, Scope
from mdevreg.scopes import fits, told_of
from mdevreg.support import Support
from mdevreg.timeline import OPEN
from mdevreg.times import micros, moment_of
from mdevreg.upgrades import MAX_UPGRADES, Upgrade, UpgradePage, UpgradesAsked, check_scope, covers
from mdevreg.upgrading import Move, Offered, effects_of, gap_of, moves_of, positions_of
from mdevreg_server import tables
from mdevreg_server.among import among
from mdevreg_server.asking import At
from mdevreg_server.evidence import find_host
from mdevreg_server.intervals import shapes
from mdevreg_server.runs import Named, hosts_begun, in_some, names_of, runs_upto
from mdevreg_server.scoped import hosts_within
from mdevreg_server.sides import Interned
from mdevreg_server.tables import table_of
from mdevreg_server.telling import Words
from mdevreg_server.timelines import BEFORE_ALL, newest_begun

_COLUMNS = table_of(tables.DriverBuild).c
#: Beginnings of runs that are looked at first, for each upgrade asked for: most hosts have some parents.
_RUNS_EACH = 8
#: So many hosts are looked at as they are, instead of the newest beginnings.
FEW = 1_000


def upgrade_page(connection: sa.Connection, asked: UpgradesAsked, when: At, known: Knowledge) -> UpgradePage:
    """The newest of the upgrades that are asked for, oldest first.

    Raises ``UsageError``, ``NotFoundError`` for a host or a driver that was never known.
    """
    if not 1 <= asked.limit <= MAX_UPGRADES:
        raise UsageError(f"limit is {asked.limit}; 1 to {MAX_UPGRADES} upgrades make a page")
    check_scope(asked.where)
    within = hosts_within(connection, asked.where, when)
    search = _Search(connection, asked, when, within)
    telling = _Telling(connection, asked.where, when, known, within)
    looked_at = (asked.limit + 1) * _RUNS_EACH
    while True:
        since_us = search.since_us(looked_at)
        moves = sorted(search.moves(since_us), key=lambda move: move.order, reverse=True)
        told = ((move, telling.told(move)) for move in moves if telling.may_be_meant(move))
        found = list(islice(((move, each) for move, each in told if covers(asked.where, each)), asked.limit + 1))
        if len(found) > asked.limit or since_us <= search.earliest_us:
            break
        looked_at *= 4
    page = found[: asked.limit]
    more = len(found) > asked.limit
    following = cursor_after(page[-1][0].order, _question(asked)) if more else None
    return UpgradePage(when.position, tuple(upgrade for _, upgrade in page[::-1]), following, when.snapshot)


class _Search:
    """Looks for moves, those of the newest times first."""

    def __init__(self, connection: sa.Connection, asked: UpgradesAsked, when: At, within: set[str] | None) -> None:
        self._connection, self._when = connection, when
        self._hosts = None if within is None or len(within) > FEW else sorted(within)
        if asked.host is not None:
            self._hosts = [find_host(connection, possible(asked.host), when).host]
        self._which = [] if asked.driver is None else [_COLUMNS.name == _driver(connection, asked.driver, when)]
        self._before = None if asked.cursor is None else key_in(asked.cursor, _question(asked))
        ends = [when.as_of] + ([] if asked.until is None else [micros(asked.until) - 1])
        self._until_us = min(ends + ([] if self._before is None else [self._before[0]]))
        self.earliest_us = BEFORE_ALL if asked.since is None else micros(asked.since)

    def since_us(self, looked_at: int) -> int:
        """Since when to look, so that so many runs began since then; not before the earliest time that is meant."""
        if self._hosts is not None:
            return self.earliest_us
        when = self._when
        known = sa.and_(_COLUMNS.system_from <= when.known_at, _COLUMNS.system_to > when.known_at)
        begun = sa.and_(known, _COLUMNS.valid_from_us <= self._until_us, *self._which)
        return max(self.earliest_us, newest_begun(self._connection, shapes()["driver"], begun, looked_at))

    def moves(self, since_us: int) -> Iterator[Move]:
        """Those since a time, and before where the page begins."""
        for move in self._near(since_us):
            there = since_us <= move.last_us <= self._until_us
            if there and (self._before is None or move.order < self._before):
                yield move

    def _near(self, since_us: int) -> Iterator[Move]:
        """At least those; of few hosts, or of the whole fleet if no time is too early, all there are."""
        connection, when = self._connection, self._when
        if self._hosts is None and since_us == BEFORE_ALL:
            yield from moves_of(runs_upto(connection, when, *self._which))
            return
        hosts = self._hosts
        if hosts is None:
            hosts = hosts_begun(connection, when, since_us, self._until_us, *self._which)
        for some in in_some(hosts):
            mine = among(connection, _COLUMNS.host, some)
            yield from moves_of(runs_upto(connection, when, mine, *self._which))


class _Telling:
    """What moves did; what is known of a host is read once, and what was told once is told again."""

    def __init__(
        self, connection: sa.Connection, where: Scope, when: At, known: Knowledge, within: set[str] | None
    ) -> None:
        self._connection, self._when = connection, when
        self._where, self._hosts = where, within
        self._builds = structs.replace(where, host=(), site=(), parent=(), type=())
        self._told: dict[tuple[int, int, str, str], Upgrade] = {}
        self._interned, self._words = Interned(known), Words(connection, when)
        self._names: dict[str, Named] = {}
        self._offers: dict[str, list[Offered]] = {}
        self._supports: dict[str, Support] = {}

    def may_be_meant(self, move: Move) -> bool:
        """Whether it may be in the scope, by what costs little to know."""
        if self._hosts is not None and move.host not in self._hosts:
            return False
        if not fits(self._builds, told_of(move.before, move.after)):
            return False
        parents = Scope(parent=self._where.parent)
        return parents == FLEET or fits(parents, {"parent": self._parents(move)})

    def told(self, move: Move) -> Upgrade:
        """The upgrade that a move is."""
        if move.order not in self._told:
            self._told[move.order] = self._upgrade(move)
        return self._told[move.order]

    def _parents(self, move: Move) -> tuple[str, ...]:
        return tuple(sorted(self._words.parent(move.host, turn.after.path) for turn in move.turns))

    def _upgrade(self, move: Move) -> Upgrade:
        named, offers = self._named(move.host), self._offers_of(move.host)
        return Upgrade(
            host=move.host,
            hostname=named.hostname,
            driver=move.driver,
            before=move.before,
            after=move.after,
            first_at=moment_of(move.first_us),
            last_at=moment_of(move.last_us),
            kind=move.kind,
            parents=self._parents(move),
            site=named.site,
            rolled_back=move.rolled_back,
            flapping=move.flapping,
            devices=self._devices(move),
            gap=gap_of(move, offers),
            streams=effects_of(move, offers, self._understood),
            positions=positions_of(move, offers),
        )

    def _named(self, host: str) -> Named:
        if host not in self._names:
            self._names[host] = names_of(self._connection, self._when, [host]).get(host, Named(host))
        return self._names[host]

    def _offers_of(self, host: str) -> list[Offered]:
        """What a host ever offered, up to the moment, as it was known."""
        if host not in self._offers:
            there, when = tables.Offer, self._when
            known = (there.system_from <= when.known_at, there.system_to > when.known_at)
            mine = sa.select(table_of(there)).where(there.host == host, there.valid_from_us <= when.as_of, *known)
            self._offers[host] = [_offered(row, when) for row in self._connection.execute(mine).mappings()]
        return self._offers[host]

    def _understood(self, digest: str) -> Support:
        if digest not in self._supports:
            body = self._connection.scalar(sa.select(tables.Profile.body).where(tables.Profile.digest == digest))
            self._supports[digest] = self._interned.get(digest, body or "{}")[1]
        return self._supports[digest]

    def _devices(self, move: Move) -> int:
        """How many were on its parents just before the first of them stopped to run the old build."""
        then = structs.replace(self._when, as_of=move.began_us - 1, historical=True)
        there = then.rows(tables.Device, host=move.host)
        paths = {turn.after.path for turn in move.turns}
        counted = self._connection.execute(sa.select(there.path, sa.func.count().label("devices")).group_by(there.path))
        return sum(row.devices for row in counted if row.path in paths)


def _offered(row: sa.RowMapping, when: At) -> Offered:
    over = row["ended_at"] <= when.known_at
    return Offered(
        path=row["path"],
        type=row["type"],
        profile=row["profile"],
        begin_us=row["valid_from_us"],
        end_us=row["valid_to_us"] if over else OPEN,
        told=row["system_from"],
        ended=row["ended_at"] if over else OPEN,
    )


def _driver(connection: sa.Connection, name: str, when: At) -> str:
    """The name of a driver that was known by then. Raises ``NotFoundError``."""
    wanted = sa.select(sa.literal(1)).where(_COLUMNS.name == possible(name), _COLUMNS.system_from <= when.known_at)
    if connection.scalar(wanted.limit(1)) is None:
        known = connection.scalars(sa.select(_COLUMNS.name).where(_COLUMNS.system_from <= when.known_at).distinct())
        raise NotFoundError("driver", name, nearest(name, known))
    return name


def _question(asked: UpgradesAsked) -> str:
    """What must not change from page to page; the moment is fixed by whoever asks for the next one."""
    same = structs.replace(asked, cursor=None, limit=1, moment=NOW)
    return hashlib.sha256(msgspec.json.encode(same)).hexdigest()[:16]
