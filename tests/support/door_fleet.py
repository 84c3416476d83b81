"""One fleet, told twice: as records for a real registry, and as states in memory, for the suite of all doors."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

import msgspec
import sqlalchemy as sa

from mdevreg import wire
from mdevreg.clocks import Skew
from mdevreg.records import HostBody, HostFacts, Parent, ParentBody, TombstoneBody
from mdevreg.rules import Rule, Scope
from mdevreg.shipped import shipped_entries
from mdevreg.times import micros
from mdevreg_server.presence import Heard, flag_conflict, heard
from mdevreg_server.rulebook import Rulebook
from mdevreg_server.skews import Clock
from support.hosts import look, mtty
from support.memory_door import MemoryDoor, MemoryHost, State
from support.publisher import EPOCH_START, Look, Publisher
from support.registry import Desk

#: When the questions are asked: long after everything was observed and received.
ASKED = EPOCH_START + timedelta(hours=3)


class FleetHost(msgspec.Struct, frozen=True):
    """A host's life, look by look, and how it stands when it is asked about."""

    id: str
    looks: tuple[Look, ...]
    seen_s: float = 3.0
    leaving: bool = False
    disputed: bool = False
    skew_us: int | None = None  # beyond the bound


ALPHA = (
    look(mtty(devices=[1]), hostname="alpha"),
    look(mtty(devices=[1, 2], free=2), hostname="alpha"),
    look(mtty(devices=[1]), hostname="alpha"),
)
BETA = (
    look(mtty(version="3", minimum="2", free=5), hostname="beta"),
    look(mtty(version="4", minimum="3", free=5), hostname="beta"),
    look(mtty(version="3", minimum="2", free=5), mtty("mtty2", version="2", free=9), hostname="beta"),
)
FLEET = (
    FleetHost("host-a", ALPHA),
    FleetHost("host-b", BETA),
    FleetHost("host-c", (look(mtty(version="2", minimum=None, free=0), hostname="gamma"),)),
    FleetHost("host-d", (look(mtty(devices=[9]), hostname="twin"),), seen_s=900.0),
    FleetHost("host-e", (look(mtty(devices=[9]), hostname="twin"),), leaving=True),
    FleetHost("host-f", (look(mtty(), hostname="zeta"),), disputed=True),
    FleetHost(
        "host-g",
        (look(mtty(kind="mtty-2"), mtty("mtty7", version=None, minimum=None, kind="mtty-7"), hostname="eta"),),
        skew_us=-7_200_250_400,
    ),
)
#: What operators decided after all that: in force when it is asked, and ended an hour before.
DENY = Rule(
    id="draft",
    effect="deny",
    author="tests",
    message="a known-bad type",
    valid_from=EPOCH_START,
    where=Scope(type=("mtty-2",)),
)
PIN = Rule(
    id="draft",
    effect="pin",
    author="tests",
    message="while zeta is upgraded",
    valid_from=EPOCH_START,
    where=Scope(host=("zeta",)),
    format="mtty",
    versions="1",
)
PIN_ENDED = ASKED - timedelta(hours=1)


def records_of(fleet: Iterable[FleetHost] = FLEET) -> list[bytes]:
    """The records in log order: each host tells its life in one go."""
    records = []
    for host in fleet:
        publisher = Publisher(host.id)
        records += publisher.snapshot(host.looks[0])
        for later in host.looks[1:]:
            records += publisher.changes(later)
    return records


def fill(engine: sa.Engine) -> None:
    """Put the fleet into a database, as a registry would, and what is believed of it."""
    desk = Desk(engine)
    desk.take(*records_of())
    book = Rulebook(desk.ledger, micros(ASKED))
    book.set_entries("shipped", shipped_entries(), author="tests")
    book.add_rule(DENY)
    book.end_rule(book.add_rule(PIN).id, at=PIN_ENDED, author="tests")
    signs = {host.id: Heard(micros(_seen(host)), host.leaving, _clock(host)) for host in FLEET}
    with engine.begin() as connection:
        for host in FLEET:
            if host.disputed:
                flag_conflict(connection, host.id, "two agents", micros(ASKED))
        heard(connection, signs)


def states_told(records: Iterable[bytes]) -> dict[str, list[State]]:
    """A state after each record, by host."""
    told: dict[str, list[State]] = {}
    for position, data in enumerate(records, 1):
        decoded = wire.decode(data)
        states = told.setdefault(decoded.record.host, [])
        before = states[-1] if states else State(EPOCH_START, 0, None)
        states.append(_after(before, decoded, position))
    return told


def memory_door() -> MemoryDoor:
    """The same fleet in memory: a state after each record, and the same beliefs."""
    told = states_told(records_of())
    hosts = [
        MemoryHost(
            host.id,
            tuple(told[host.id]),
            _seen(host),
            leaving=host.leaving,
            conflict=host.disputed,
            clock_skew_s=None if host.skew_us is None else -7_200.25,
        )
        for host in FLEET
    ]
    door = MemoryDoor(hosts)
    door.believe("shipped", shipped_entries())
    door.add_rule(DENY)
    door.end_rule(door.add_rule(PIN).id, at=PIN_ENDED, author="tests")
    return door


def _after(before: State, decoded: wire.Decoded, position: int) -> State:
    facts: HostFacts | None = before.facts
    parents: dict[str, Parent] = {parent.path: parent for parent in before.parents}
    match decoded.record.body:
        case HostBody():
            facts = decoded.facts
        case ParentBody(path=path) if decoded.parent is not None:
            parents[path] = decoded.parent
        case TombstoneBody(path=path):
            parents.pop(path, None)
    ordered = tuple(parents[path] for path in sorted(parents))
    return State(
        decoded.record.observed_at,
        position,
        facts,
        ordered,
        received_at=EPOCH_START + timedelta(seconds=3_600 + position),
        committed_at=EPOCH_START + timedelta(seconds=3_600 + len(records_of()) + 1),
    )


def _clock(host: FleetHost) -> Clock | None:
    return None if host.skew_us is None else Clock(Skew(host.skew_us, micros(_seen(host))), beyond=True)


def _seen(host: FleetHost) -> datetime:
    return ASKED - timedelta(seconds=host.seen_s)
