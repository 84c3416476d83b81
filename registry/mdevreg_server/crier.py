"""Tells events: derives them from the log, publishes them in its order, and remembers how far that is.

Rules of this file:

1. An event is derived, never kept: after a crash, whoever goes on at the mark derives the same ones, with the same ids,
   and the stream tells which of them it has.
2. Published first, marked then; what is to be delivered otherwise is kept with the mark, in one transaction.
3. A fault here stops no ingest: it is said, and begun again at the mark.

With several registries on a database only the leading one does this.
"""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import msgspec
import sqlalchemy as sa
from msgspec import structs

from mdevreg.compatibility import DEFAULT_STALE_AFTER_S
from mdevreg.deriving import Deriver, Told
from mdevreg.errors import MdevregError, StateError
from mdevreg.events import Event, event_of
from mdevreg.profiles import Profile
from mdevreg.times import moment_of
from mdevreg_server import campaign_news, doubts, event_marks, shelf
from mdevreg_server.amendments import Beliefs
from mdevreg_server.bus import BROKEN
from mdevreg_server.campaign_news import Standing
from mdevreg_server.chronicle import Chronicle
from mdevreg_server.doubts import Doubted
from mdevreg_server.ending import in_thread
from mdevreg_server.engine import converted
from mdevreg_server.event_marks import Mark
from mdevreg_server.event_tally import EventTally
from mdevreg_server.gazette import Gazette, ensure_events
from mdevreg_server.supervision import Supervision, remember
from mdevreg_server.tables import RecordLog

if TYPE_CHECKING:  # only the bus speaks NATS
    from nats.aio.client import Client

T = TypeVar("T")

#: Log entries that are looked at in one step.
LOT = 500
#: How often the log is looked at where nobody tells that it grew: others may share it.
LOOK_EVERY_S = 0.5
#: So many times as long as a step took it rests: deriving is Python, and ingest comes first.
RESTS = 2.0
#: How often it is looked at who is in doubt.
DOUBTS_EVERY_S = 2.0
#: Nobody is called silent before the registry has listened for so long: agents' hearts beat every 10 s.
LISTENED_S = 60.0
#: A mark that nothing depends on is written at most this often.
MARK_EVERY_S = 1.0
#: After a fault.
RETRY_S = (0.5, 30.0)


class _Step(msgspec.Struct, frozen=True):
    """What one look found. ``whole``: the log has no more. ``doubted``: what is to be kept as told of hosts."""

    events: list[Event]
    doubted: dict[str, Doubted | None]
    campaigns: dict[str, Standing | None]
    position: int
    at_us: int
    whole: bool


#: Keeps for others what was published, within the transaction of the mark.
Keep = Callable[[sa.Connection, list[Event], int], object]


class Crier:
    """One registry's. ``reader``: an engine that reads, in ``pool``, one thread; ``engine``: writes, in ``writer``.

    ``keep``: is handed every event, with the time, in the transaction that marks it as told.
    """

    def __init__(
        self,
        client: Client,
        engine: sa.Engine,
        writer: Executor,
        reader: sa.Engine,
        pool: Executor,
        *,
        now_us: Callable[[], int],
        say: Callable[[str], None],
        keep: Keep = lambda _connection, _events, _now_us: None,
        stale_after_s: float = DEFAULT_STALE_AFTER_S,
    ) -> None:
        self._client, self._js = client, client.jetstream()
        self._engine, self._writer, self._reader, self._pool = engine, writer, reader, pool
        self._now_us, self._say, self._keep = now_us, say, keep
        self._stale_after_us = int(stale_after_s * 1e6)
        self._profiles: dict[str, Profile] = {}
        self._deriver, self._chronicle, self._beliefs = Deriver(self._profiles), Chronicle(), Beliefs()
        self._told: dict[str, Doubted] = {}
        self._campaigns = Supervision(reader)
        self._mark = Mark("", 0, 0)
        self._gazette: Gazette | None = None
        self._grown = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._looked_at = self._marked_at = 0.0
        self._listening = (-1, 0.0)  # how often the client had reconnected, and since when it listens
        self.tally = EventTally()

    def wake(self, _what: object = None) -> None:
        """The log grew. From any thread."""
        self._loop.call_soon_threadsafe(self._grown.set)

    async def run(self) -> None:
        """Until cancelled."""
        delay, said = RETRY_S[0], ""
        try:
            while True:
                try:
                    await self._attach()
                    delay, said = RETRY_S[0], ""
                    await self._tell()
                except (*BROKEN, MdevregError) as error:
                    why = repr(error)
                except Exception:  # noqa: BLE001  (rule 3)
                    why = repr(traceback.format_exc(limit=-3))
                if why != said:
                    self._say(f"events.waiting error={why}")
                said = why
                await self._detach()
                await asyncio.sleep(delay)
                delay = min(delay * 2, RETRY_S[1])
        finally:
            await self._detach()

    async def _attach(self) -> None:
        info = await ensure_events(self._js)
        mark = await in_thread(self._writer, self._begun)
        self._gazette = Gazette(self._client, self._js, info)
        resumption = await self._gazette.resume(mark)
        if resumption.lost:
            self._say(f"events.lost count={resumption.lost} (the broker has them no more; told again as far as can be)")
        at_us = mark.at_us
        await in_thread(self._pool, partial(self._stand, resumption.position, at_us))
        self._mark = structs.replace(mark, created=self._gazette.created, stream_seq=self._gazette.last_seq)
        self._say(f"events.attached position={resumption.position}")

    async def _detach(self) -> None:
        gazette, self._gazette = self._gazette, None
        if gazette is not None:
            await gazette.close()

    async def _tell(self) -> None:
        while True:
            self._grown.clear()
            begun_s = time.monotonic()
            step = await in_thread(self._pool, partial(self._look, with_doubts=self._due()))
            gazette = self._gazette
            assert gazette is not None
            await gazette.publish(step.events)
            self.tally.published.update(event.kind for event in step.events)
            self.tally.position = step.position
            await self._marked(step, gazette)
            await asyncio.sleep((time.monotonic() - begun_s) * RESTS)
            if step.whole:
                await self._grows()

    async def _grows(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_EVERY_S):  # no task of its own, that a second cancellation could leave
                await self._grown.wait()

    async def _marked(self, step: _Step, gazette: Gazette) -> None:
        news = bool(step.events or step.campaigns)
        if (step.position, step.at_us) == (self._mark.position, self._mark.at_us) and not news:
            return
        now_s = time.monotonic()
        if not news and now_s - self._marked_at < MARK_EVERY_S:
            return
        mark = Mark(self._mark.source, step.position, step.at_us, gazette.created, gazette.last_seq)
        await in_thread(self._writer, partial(self._written, mark, step))
        self._mark, self._marked_at = mark, now_s
        remember(self._told, step.doubted)
        self._campaigns.keep(step.campaigns)

    def _due(self) -> bool:
        """Whether it is time to look who is in doubt."""
        if not self._client.is_connected or time.monotonic() - self._looked_at < DOUBTS_EVERY_S:
            return False
        self._looked_at = time.monotonic()
        return True

    def _silent_since_us(self, now_us: int) -> int:
        """Who was not heard since then is silent; nobody, while the registry has not listened for long enough."""
        reconnects = int(self._client.stats["reconnects"])
        if reconnects != self._listening[0]:
            self._listening = (reconnects, time.monotonic())
        return now_us - self._stale_after_us if time.monotonic() - self._listening[1] >= LISTENED_S else 0

    def _stand(self, position: int, at_us: int) -> None:
        """Stand at the mark, as the log then was."""
        now = moment_of(self._now_us())
        with converted(self._reader), self._reader.connect() as connection:
            newest = connection.scalar(sa.select(sa.func.max(RecordLog.position))) or 0
            if newest < position:
                text = f"the log ends at {newest}, events were told up to {position}"
                raise StateError(text, code="LOG_WENT_BACK")
            knowledge = self._beliefs.at(connection, position)
            facts = self._chronicle.facts_at(connection, position, now)
            self._told = doubts.told_before(connection)
            self._campaigns.begin(connection)
        self._know_profiles(None)
        self._deriver.begin(position, at_us, facts, knowledge)

    def _look(self, *, with_doubts: bool) -> _Step:
        now_us, source = self._now_us(), self._mark.source
        deriver = self._deriver
        with converted(self._reader), self._reader.connect() as connection:
            entries = self._chronicle.entries_after(connection, deriver.position, LOT)
        digests = {value[-1] for entry in entries for key, value in entry.effects if key[0] == "offer" and value}
        digests |= {value[2] for entry in entries for key, value in entry.effects if key[0] == "device" and value}
        self._know_profiles(digests - self._profiles.keys())
        told: list[Told] = [each for entry in entries for each in deriver.tell(entry)]
        whole = len(entries) < LOT
        if whole:
            told += deriver.until(now_us)
        events = [event_of(each, one.place, source) for one in told for each in one.happenings]
        doubted: dict[str, Doubted | None] = {}
        if whole and with_doubts:
            events += self._doubts(now_us, doubted)
        campaigns: dict[str, Standing | None] = {}
        if whole:
            new = self._campaigns.news(deriver.position, now_us, campaigns)
            events += [event_of(happening, place, source) for place, happening in new]
        at_us = self._deriver.at_us if events or entries else self._mark.at_us
        return _Step(events, doubted, campaigns, deriver.position, at_us, whole)

    def _doubts(self, now_us: int, doubted: dict[str, Doubted | None]) -> Iterable[Event]:
        told = dict(self._told)
        with converted(self._reader), self._reader.connect() as connection:
            now = doubts.presence(connection, self._silent_since_us(now_us), told)
        names = {host: self._deriver.called(host) for host in told.keys() | now.doubted.keys()}
        for host, kept, place, happening in doubts.turned(told, now, names, self._deriver.position, now_us):
            doubted[host] = kept
            yield event_of(happening, place, self._mark.source)

    def _know_profiles(self, digests: set[str] | None) -> None:
        """Read profiles; ``None``: all of them."""
        if digests is None or digests:
            bodies = shelf.profile_bodies(self._reader, digests)
            self._profiles.update((digest, _profile.decode(body)) for digest, body in bodies.items())

    def _begun(self) -> Mark:
        with converted(self._engine), self._engine.begin() as connection:
            return event_marks.begun(connection, self._now_us())

    def _written(self, mark: Mark, step: _Step) -> None:
        with converted(self._engine), self._engine.begin() as connection:
            self._keep(connection, step.events, self._now_us())
            doubts.keep_told(connection, step.doubted)
            campaign_news.keep_told(connection, step.campaigns)
            event_marks.keep(connection, mark)


_profile = msgspec.json.Decoder(Profile)
