"""Heartbeats: who is alive, who lacks a receipt, who claims another's id."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from typing import TYPE_CHECKING

import msgspec
import sqlalchemy as sa

from mdevreg import subjects, wire
from mdevreg.clocks import DEFAULT_MAX_SKEW_US
from mdevreg.errors import DecodeError, MdevregError
from mdevreg.records import Beat
from mdevreg_server.bus import BROKEN
from mdevreg_server.engine import converted
from mdevreg_server.presence import Heard, conflicts, flag_conflict, heard, retired_epochs
from mdevreg_server.publication import Publication
from mdevreg_server.skews import Clock, Skews
from mdevreg_server.tables import HostState

if TYPE_CHECKING:  # only the bus speaks NATS
    from nats.aio.client import Client
    from nats.aio.msg import Msg

FLUSH_S = 2.0
#: A host whose beats disagree gets its receipt at most this often.
ANSWER_EVERY_S = 5.0
#: So long may records take from an agent to here; a host whose beats are ahead for longer counts as silent.
AHEAD_S = 30.0
#: A left epoch must beat again after this long: one stray beat of an agent that just ended is no rival.
RIVAL_AFTER_S = 5.0


class Receipt(msgspec.Struct, frozen=True):
    """What a host's agent was last told."""

    epoch: str
    settled: int
    digest: str


class Pulse:
    """Listens to beats, writes presence, and asks for receipts to be published again where an agent lacks one.

    ``written`` is told the signs of life that are in the database; ``catch_up`` is called after each flush.
    """

    def __init__(
        self,
        engine: sa.Engine,
        writer: Executor,
        *,
        now_us: Callable[[], int],
        publish: Callable[[Sequence[str]], Awaitable[object]],
        say: Callable[[str], None],
        mine: Callable[[str], bool] = lambda _: True,
        written: Callable[[Mapping[str, Heard]], None] = lambda _: None,
        catch_up: Callable[[], Awaitable[None]] | None = None,
        max_skew_us: int = DEFAULT_MAX_SKEW_US,
    ) -> None:
        self._engine, self._writer = engine, writer
        self._now_us, self._publish, self._say = now_us, publish, say
        self._mine = mine  # other processes listen to other hosts
        self._written, self._catch_up = written, catch_up
        self._signs: dict[str, Heard] = {}
        self._receipts: dict[str, Receipt] = {}
        self._answered: dict[str, int] = {}
        self._ahead: dict[str, int] = {}  # since when a host's beats have told of what is not known here
        self._rivals: dict[tuple[str, str], int] = {}
        self._claims: dict[tuple[str, str], int] = {}  # (host, epoch) of rivals, to be written
        self._skews = Skews(max_skew_us, say)
        self._due: set[str] = set()
        self._left: set[str] = set()
        self.malformed = 0

    async def listen(self, client: Client) -> None:
        """Load what agents were told before, and subscribe."""
        await asyncio.get_running_loop().run_in_executor(self._writer, self._load)
        await client.subscribe(subjects.BEATS, cb=self._on)

    async def adopt(self) -> None:
        """More hosts are ours than before: load what their agents were told."""
        await asyncio.get_running_loop().run_in_executor(self._writer, self._load)

    def disown(self) -> None:
        """Fewer hosts are ours than before: forget the others' agents."""
        self._receipts = {host: receipt for host, receipt in self._receipts.items() if self._mine(host)}
        self._left = set(filter(self._mine, self._left))
        self._skews.keep(self._mine)

    async def run(self) -> None:
        """Flush signs of life and answer disagreeing agents, for ever."""
        while True:
            await asyncio.sleep(FLUSH_S)
            await self.flush()
            await self._publish_due()

    async def flush(self) -> None:
        """Write what was heard since the last time, and publish the receipts that are due."""
        signs, self._signs = self._signs, {}
        claims, self._claims = self._claims, {}
        due, self._due = self._due, set()
        try:
            if signs or claims:
                await asyncio.get_running_loop().run_in_executor(self._writer, self._write, signs, claims)
                self._written(signs)
        except MdevregError as error:
            self._signs, self._claims = {**signs, **self._signs}, {**claims, **self._claims}  # the next flush has them
            self._say(f"presence.waiting code={error.code}")
        for host in due:
            self._answered[host] = self._now_us()
        if due:
            await self._answer(sorted(due))

    async def _answer(self, hosts: Sequence[str]) -> None:
        try:
            await self._publish(hosts)
        except (*BROKEN, MdevregError) as error:  # these hosts' next beats ask again
            self._say(f"receipts.waiting hosts={len(hosts)} error={error!r}")

    async def _publish_due(self) -> None:
        if self._catch_up is None:
            return
        try:
            await self._catch_up()
        except (*BROKEN, MdevregError) as error:  # it stays due
            self._say(f"fleet.waiting error={error!r}")

    def told(self, lot: Iterable[Publication]) -> None:
        """These receipts were published."""
        for item in lot:
            self._receipts[item.host] = Receipt(item.epoch, item.settled, item.digest)

    def reported(self, hosts: Iterable[str]) -> None:
        """Records of these hosts were applied: they live, or said goodbye just before."""
        now = self._now_us()
        for host in hosts:
            if not self._is_ahead(host, now):
                self._signs[host] = Heard(now, host in self._left, self._skews.of(host))

    async def _on(self, msg: Msg) -> None:
        if not self._mine(subjects.host_of(msg.subject)):
            return
        try:
            beat = wire.decode_beat(msg.data)
        except DecodeError as error:
            beat = None
            self._refuse(msg, error.message)
        if beat is not None and beat.host != subjects.host_of(msg.subject):
            self._refuse(msg, f"host is {beat.host!r}")
        elif beat is not None:
            self._beat(beat)

    def _refuse(self, msg: Msg, why: str) -> None:
        self.malformed += 1
        self._say(f"beat.refused subject={msg.subject} count={self.malformed} error={why!r}")

    def _beat(self, beat: Beat) -> None:
        now = self._now_us()
        (self._left.add if beat.leaving else self._left.discard)(beat.host)
        told = self._receipts.get(beat.host)
        if told is not None and beat.epoch != told.epoch:
            self._rival(beat, now)
        agrees = told is not None and (beat.epoch, beat.seq, beat.digest) == (told.epoch, told.settled, told.digest)
        clock = self._skews.beat(beat.host, beat.at, now)
        self._note(beat, now, clock, agrees=agrees or told is None)
        waited = now - self._answered.get(beat.host, 0) > ANSWER_EVERY_S * 1e6
        if not agrees and not beat.leaving and waited:
            self._due.add(beat.host)

    def _note(self, beat: Beat, now: int, clock: Clock, *, agrees: bool) -> None:
        """A sign of life, unless the host has been ahead of what is known here for too long: its facts grow old."""
        if agrees or beat.leaving:
            self._ahead.pop(beat.host, None)
        else:
            self._ahead.setdefault(beat.host, now)
        if not self._is_ahead(beat.host, now):
            self._signs[beat.host] = Heard(now, beat.leaving, clock)

    def _is_ahead(self, host: str, now: int) -> bool:
        return now - self._ahead.get(host, now) > AHEAD_S * 1e6

    def _rival(self, beat: Beat, now: int) -> None:
        """An epoch that was left for another beats on: if it does so again, two agents have one id."""
        first = self._rivals.setdefault((beat.host, beat.epoch), now)
        if now - first > RIVAL_AFTER_S * 1e6:
            self._rivals[beat.host, beat.epoch] = now  # said again as long as it goes on
            self._claims[beat.host, beat.epoch] = now

    def _write(self, signs: Mapping[str, Heard], claims: Mapping[tuple[str, str], int]) -> None:
        with converted(self._engine), self._engine.begin() as connection:
            heard(connection, signs)
            for (host, epoch), now in claims.items():
                if epoch in retired_epochs(connection, host) and not conflicts(connection, [host]):
                    text = f"two agents claim host id {host}: epoch {epoch} beats on after it was left"
                    flag_conflict(connection, host, text, now)
                    self._say(f"identity.conflict host={host} epoch={epoch}")

    def _load(self) -> None:
        columns = (HostState.host, HostState.epoch, HostState.settled, HostState.digest)
        with converted(self._engine), self._engine.connect() as connection:
            for host, epoch, settled, digest in connection.execute(sa.select(*columns)):
                if self._mine(host):
                    self._receipts[host] = Receipt(epoch, settled, digest)
