"""Who conforms to a baseline, in SQL: what hosts offer at a moment, against what is expected of its class.

What follows from a profile is found once for each profile; rows are looked at one by one only for the rest.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import msgspec
import sqlalchemy as sa

from mdevreg.baselines import Baseline, BaselineClass, CheckedHost, Configuration, Deviation
from mdevreg.compatibility import Rules, evidence_reasons
from mdevreg.deviations import Differs, asks_ids, class_of, configuration_of, differs, kernel_differs, standing_of
from mdevreg.facts import Evidence, Side
from mdevreg.profiles import Profile
from mdevreg.records import PciIds
from mdevreg.rules import FLEET, Scope
from mdevreg.scopes import covers
from mdevreg.support import Support
from mdevreg.times import moment_of
from mdevreg_server import tables
from mdevreg_server.asking import At
from mdevreg_server.evidence import columns_of, evidence_of
from mdevreg_server.models import ids_at
from mdevreg_server.sides import Interned
from mdevreg_server.tables import DriverBuild, HostFact, HostPresence, HostState, Offer, Parent

#: A host that never told its facts is not in step with the registry, whatever else is known of it.
_UNTOLD = ("HOST_OUT_OF_SYNC",)
#: No PCI ids are known to be there.
_NO_IDS = PciIds()
_FACTS = ("host", "hostname", "site", "kernel_release", "valid_from_us")
_OFFER = ("host", "path", "type", "profile", "valid_from_us")
_STANDING = [each for each in columns_of(HostFact) if each.class_ is not HostFact]


class Offered(msgspec.Struct, frozen=True):
    """A type that a parent of a host offers. ``name``: the parent's."""

    host: str
    path: str
    name: str
    type: str
    profile: str
    valid_from_us: int


class Host(msgspec.Struct, frozen=True):
    """A host at a moment. ``since_us``: since when its own facts are what they are."""

    evidence: Evidence
    kernel_release: str | None
    since_us: int | None


class Told(msgspec.Struct, frozen=True):
    """One thing that differs at an offer. ``driver``: whose profile it is."""

    row: Offered
    driver: str
    differs: Differs


class Checked(msgspec.Struct, frozen=True):
    """Everything that a check found: every host that has something of a class, and how many in the scope have not."""

    hosts: tuple[CheckedHost, ...]
    uncovered: int


def check_of(
    connection: sa.Connection,
    baseline: Baseline,
    where: Scope,
    when: At,
    interned: Interned,
    *,
    stale_after_s: float,
    now: datetime,
) -> Checked:
    """How each host in a scope stands to a baseline."""
    hosts = _hosts(connection, when)
    look = _Look(connection, baseline, when, interned)
    found: dict[str, list[Told]] = {}
    others: set[str] = set()
    for row, profile, support in _offers(connection, when, interned, hosts):
        host = hosts[row.host]
        if where != FLEET and not covers(where, Side(host.evidence, row.name, profile)):
            continue
        wanted, told = look.at(row, profile, support)
        if wanted is None and not told:
            others.add(row.host)
            continue
        kernel = () if wanted is None else kernel_differs(wanted, host.kernel_release)
        driver = profile.driver.name if profile.driver is not None else ""
        found.setdefault(row.host, []).extend(Told(row, driver, each) for each in (*told, *kernel))
    rules = Rules(stale_after_s=stale_after_s)
    since = _Since(connection, when, hosts)
    checked = [_checked(hosts[host], told, since, rules, now) for host, told in found.items()]
    silent = [host for name, host in hosts.items() if host.since_us is None and name not in found and where == FLEET]
    untold = [_untold(host, rules, now) for host in silent]
    return Checked((*checked, *untold), len(others - found.keys()))


def configurations_of(
    connection: sa.Connection, where: Scope, when: At, interned: Interned
) -> tuple[Configuration, ...]:
    """What types look like, by type, then most hosts first."""
    hosts = _hosts(connection, when)
    seen: dict[tuple[str, str | None], set[str]] = {}
    profiles: dict[str, tuple[Profile, Support]] = {}
    for row, profile, support in _offers(connection, when, interned, hosts):
        host = hosts[row.host]
        if where == FLEET or covers(where, Side(host.evidence, row.name, profile)):
            profiles[row.profile] = (profile, support)
            seen.setdefault((row.profile, host.kernel_release), set()).add(row.host)
    return merged((configuration_of(*profiles[digest], kernel), names) for (digest, kernel), names in seen.items())


def merged(found: Iterator[tuple[Configuration, set[str]]]) -> tuple[Configuration, ...]:
    """Profiles that look the same to a baseline are one configuration. Hosts are counted once."""
    hosts: dict[bytes, set[str]] = {}
    kinds: dict[bytes, Configuration] = {}
    for each, names in found:
        key = msgspec.json.encode(each)
        kinds[key] = each
        hosts[key] = hosts.get(key, set()) | names
    counted = (msgspec.structs.replace(kinds[key], hosts=len(names)) for key, names in hosts.items())
    return tuple(sorted(counted, key=lambda each: (each.type, -each.hosts, msgspec.json.encode(each))))


class _Look:
    """In what offers differ, found once for each profile and model."""

    def __init__(self, connection: sa.Connection, baseline: Baseline, when: At, interned: Interned) -> None:
        self._connection, self._baseline, self._when, self._interned = connection, baseline, when, interned
        self._known: dict[Any, tuple[BaselineClass | None, tuple[Differs, ...]]] = {}
        self._asks: dict[str | None, bool] = {}
        self._ids: dict[tuple[str, str], PciIds | None] | None = None

    def at(self, row: Offered, profile: Profile, support: Support) -> tuple[BaselineClass | None, tuple[Differs, ...]]:
        """The class of an offer and in what it differs; neither: it is none of the baseline's."""
        if profile.type not in self._asks:
            self._asks[profile.type] = asks_ids(self._baseline, profile.type)
        asks = self._asks[profile.type]
        ids = self._model(row) if asks else _NO_IDS
        key = (row.profile, None if ids is None else (ids.vendor, ids.device))
        if key not in self._known:
            self._known[key] = self._found(profile, support, ids)
        return self._known[key]

    def _found(
        self, profile: Profile, support: Support, ids: PciIds | None
    ) -> tuple[BaselineClass | None, tuple[Differs, ...]]:
        wanted = class_of(self._baseline, profile.type, ids)
        if wanted is not None:
            return wanted, differs(wanted, profile, support)
        return None, () if ids is not None else (Differs("pci", "the ids of its class", None),)

    def _model(self, row: Offered) -> PciIds | None:
        """The PCI ids of a parent; ``None``: its document was pruned."""
        if self._ids is None:
            parent = self._when.rows(Parent, name="model")
            rows = self._connection.execute(sa.select(parent.position, parent.host, parent.path))
            places = {each.position: (each.host, each.path) for each in rows}
            self._ids = {places[at]: ids for at, ids in ids_at(self._connection, sorted(places))}
        return self._ids.get((row.host, row.path))


class _Since:
    """Since when what differs is so: of a driver since it was bound, of the rest since it is offered so."""

    def __init__(self, connection: sa.Connection, when: At, hosts: dict[str, Host]) -> None:
        self._connection, self._when, self._hosts = connection, when, hosts
        self._builds: dict[tuple[str, str, str], int] | None = None

    def of(self, told: Told) -> int | None:
        """µs UTC; ``None``: not known."""
        row, what = told.row, told.differs.what
        if what == "kernel_release":
            return self._hosts[row.host].since_us
        if what.startswith("driver"):
            return self._bound().get((row.host, row.path, told.driver))
        return row.valid_from_us

    def _bound(self) -> dict[tuple[str, str, str], int]:
        """By host, path and driver: a parent and its devices may have several."""
        if self._builds is None:
            build = self._when.rows(DriverBuild)
            wanted = sa.select(build.host, build.path, build.name, build.valid_from_us)
            found = self._connection.execute(wanted)
            self._builds = {(row.host, row.path, row.name): row.valid_from_us for row in found}
        return self._builds


def _hosts(connection: sa.Connection, when: At) -> dict[str, Host]:
    """Every host that is known at a moment.

    Put together here: SQLite does not know how many rows hold, and would look at all of them for each host.
    """
    facts = when.rows(HostFact)
    told = {row.host: row for row in connection.execute(sa.select(*(getattr(facts, name) for name in _FACTS)))}
    source = sa.join(HostState, HostPresence, HostPresence.host == HostState.host, isouter=True)
    found = {}
    for row in connection.execute(sa.select(*_STANDING).select_from(source)).mappings():
        mine = told.get(row["host"])
        if mine is None and when.historical:
            continue
        names = {name: None if mine is None else getattr(mine, name) for name in _FACTS[1:]}
        evidence = evidence_of(SimpleNamespace(**row, **names), when)
        found[evidence.host] = Host(evidence, names["kernel_release"], names["valid_from_us"])
    return found


def _offers(
    connection: sa.Connection, when: At, interned: Interned, known: Container[str]
) -> Iterator[tuple[Offered, Profile, Support]]:
    """Every offer of a host that is known, with what is understood of its profile."""
    bodies = connection.execute(sa.select(tables.Profile.digest, tables.Profile.body))
    profiles = {row.digest: interned.get(row.digest, row.body) for row in bodies}
    parent, offer = when.rows(Parent), when.rows(Offer)
    rows = connection.execute(sa.select(parent.host, parent.path, parent.name))
    names = {(row.host, row.path): row.name for row in rows}
    for row in connection.execute(sa.select(*(getattr(offer, name) for name in _OFFER))):
        name = names.get((row.host, row.path))
        if name is not None and row.host in known:
            yield Offered(row.host, row.path, name, row.type, row.profile, row.valid_from_us), *profiles[row.profile]


def _checked(host: Host, told: list[Told], since: _Since, rules: Rules, now: datetime) -> CheckedHost:
    deviations = [_deviation(each, since.of(each)) for each in told]
    doubts = tuple(reason.code for reason in evidence_reasons((host.evidence,), rules, now))
    return CheckedHost(
        host=host.evidence.host,
        hostname=host.evidence.hostname,
        standing=standing_of((each.differs for each in told), doubts),
        site=host.evidence.site,
        doubts=doubts,
        deviations=tuple(sorted(deviations, key=lambda each: (each.parent, each.type, each.what))),
    )


def _untold(host: Host, rules: Rules, now: datetime) -> CheckedHost:
    doubts = tuple(reason.code for reason in evidence_reasons((host.evidence,), rules, now)) or _UNTOLD
    return CheckedHost(host.evidence.host, host.evidence.hostname, "unknown", doubts=doubts)


def _deviation(told: Told, since_us: int | None) -> Deviation:
    since = None if since_us is None else moment_of(since_us)
    differs_in = told.differs
    return Deviation(told.row.name, told.row.type, differs_in.what, differs_in.expected, differs_in.found, since)
