"""Brings MDEVREG_FLEET to where the database is: after a start, a lost connection, a wiped broker, a restored copy.

What the mark in the database vouches for is left alone; what came later, or is in the stream since, is published again
or taken back, as the database has it. Without a mark (another life of the stream or of the database, or messages of
another format) that is everything.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable

import msgspec

from mdevreg import subjects
from mdevreg_server import shelf
from mdevreg_server.bulletins import Bulletin, amendment_bulletins
from mdevreg_server.desk import Desk
from mdevreg_server.fleet import Fleet
from mdevreg_server.holdings import Holdings, holdings_of
from mdevreg_server.ledger import Ledger
from mdevreg_server.partitions import Part
from mdevreg_server.press import Item, Press, is_first, number_of
from mdevreg_server.roll import Roll, Seen
from mdevreg_server.sums import Sums

#: Hosts per lot when many are published.
LOT = 500


class _Due(msgspec.Struct, frozen=True):
    """What is to be said, as of a log position."""

    position: int
    profiles: dict[str, bytes]
    amendments: list[Bulletin]
    hosts: list[str]
    everybody: list[Seen]
    sums: Sums


async def bring_up(press: Press, desk: Desk, part: Part, roll: Roll) -> int:
    """Publish all that is due. Returns the log position up to which everything is then published."""
    fleet, first = press.fleet, is_first(part)
    mark = await desk.do(lambda ledger: ledger.marked(fleet.where))
    held = holdings_of(await fleet.subjects_after(mark.stream_seq))
    due = await desk.do(lambda ledger: _due(ledger, held, mark.position, part, fleet.max_payload))
    press.sums = due.sums
    if first:
        await _take_back(fleet, await _wrong_digests(fleet, part, begun=bool(mark.stream_seq)))
    await press.introduce(due.profiles)
    async for lot in _lots(due, desk):
        await press.publish(lot)
    if first:
        await _take_back(fleet, held.amendments - {bulletin.subject for bulletin in due.amendments})
        await _call(fleet, roll, due.everybody, held)
    return due.position


async def _take_back(fleet: Fleet, wrong: Iterable[str]) -> None:
    await fleet.publish([Bulletin(subject, b"") for subject in sorted(wrong)])


def _due(ledger: Ledger, held: Holdings, after: int, part: Part, max_payload: int) -> _Due:
    engine = ledger.engine
    hosts = ledger.hosts_after(after)
    others = {*held.hosts, *shelf.refused_hosts(engine)} - set(hosts)
    logged = shelf.amendments(engine, after, held.positions) if is_first(part) else []
    return _Due(
        position=ledger.position,
        profiles=shelf.profile_bodies(engine),
        amendments=[each for position, body in logged for each in amendment_bulletins(position, body, max_payload)],
        hosts=[*sorted(filter(part.holds, others)), *hosts],
        everybody=shelf.everybody(engine) if is_first(part) else [],
        sums=Sums(shelf.states(engine, part.holds)),
    )


async def _lots(due: _Due, desk: Desk) -> AsyncIterator[list[Item]]:
    """Hosts and amendments, by their log positions."""
    waiting = list(due.amendments)
    for first in range(0, len(due.hosts), LOT):
        hosts = await desk.publications(due.hosts[first : first + LOT])
        upto = max(item.position for item in hosts)
        ready = [item for item in waiting if (item.position or 0) <= upto]
        waiting = waiting[len(ready) :]
        yield sorted([*hosts, *ready], key=lambda item: item.position or 0)
    yield list(waiting)


async def _wrong_digests(fleet: Fleet, part: Part, *, begun: bool) -> set[str]:
    """Digests of parts that are no more, and one that claims what is about to be replaced."""
    number, of = number_of(part) or (0, 0)
    return await fleet.digests() - ({subjects.fleet_digest(number)} if begun and of == 1 else set())


async def _call(fleet: Fleet, roll: Roll, everybody: Iterable[Seen], held: Holdings) -> None:
    """Tell everybody's presence, and take back that of buckets that nobody is in."""
    roll.call(everybody)
    bulletins = roll.bulletins(roll.due)
    roll.due.clear()
    await fleet.publish(bulletins)
    await _take_back(fleet, held.presence - {bulletin.subject for bulletin in bulletins})
