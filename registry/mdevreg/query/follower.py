"""Follows the fleet stream in a thread of its own: connects, follows, and tells how good what it holds is."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import msgspec
import nats.errors
from nats.aio.client import Client

from mdevreg import subjects
from mdevreg.addresses import shown
from mdevreg.errors import MdevregError, StateError, UnreachableError
from mdevreg.fleet import Fleet, FleetView
from mdevreg.query.connection import connect, end_others
from mdevreg.query.fleet_cache import FleetCache
from mdevreg.query.following import PULL_S, Following, Kept, Listener

T = TypeVar("T")

#: How often the connection is tried while a cache answers.
CONNECT_EVERY_S = 2.0


class ReplicaStatus(msgspec.Struct, frozen=True):
    """How good a replica is. ``where``: what its answers come from: ``nowhere`` yet, the ``cache``, the ``stream``.

    ``replica_age_s``: since it was last known to hold all that is published; of a cache, since it was written last.
    ``differences``: buckets that differed from what the registry published; ``mended``: hosts asked for again.
    ``refused``: messages that could not be understood. ``trouble``: what keeps it from following, if something does.
    """

    where: str
    connected: bool
    position: int
    hosts: int
    replica_age_s: float | None
    resumes: int = 0
    reloads: int = 0
    differences: int = 0
    mended: int = 0
    refused: int = 0
    trouble: str = ""


class Closed(Fleet):
    """The index of a replica that follows no more: what it knew gets older, and nobody would be told."""

    @property
    def view(self) -> FleetView:
        """None any more. Raises ``StateError`` (code CLOSED)."""
        raise StateError("this replica is closed; open another", code="CLOSED")

    @view.setter
    def view(self, view: FleetView) -> None:
        """Nothing is kept."""


class Follower:
    """A ``Following`` in a thread. ``cache``: what is kept on disk; owned by the caller, used by this thread."""

    def __init__(
        self,
        url: str,
        *,
        timeout_s: float,
        creds: str | None,
        stale_after_s: float,
        changed: Listener,
        cache: FleetCache | None,
    ) -> None:
        self._url, self._timeout_s, self._creds, self._cache = url, timeout_s, creds, cache
        self._client = Client()
        self._connected = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="mdevreg-replica", daemon=True)
        self.cache_trouble = ""
        self.following = Following(stale_after_s=stale_after_s, now_us=now_us, changed=changed, keep=self._keep)

    @property
    def view(self) -> FleetView:
        """The newest whole fleet."""
        return self.following.fleet.view

    def start(self) -> None:
        """Begin, and wait for a whole fleet; not where a cache holds one. Raises what keeps it from that."""
        kept = self._cache.kept if self._cache is not None else None
        if self._cache is not None and kept is not None:
            self.following.begin_with(self._cache.lots(), kept)
        self._thread.start()
        self._running = asyncio.run_coroutine_threadsafe(self._run(), self._loop)
        if kept is None:
            self._wait()

    def document(self, host: str) -> bytes:
        """A host as it was last published, whole. Raises ``UnreachableError``."""
        subject = subjects.fleet_host(host)
        try:
            found = self._do(self._client.jetstream().get_last_msg(subjects.FLEET_STREAM, subject, direct=True))
        except (nats.errors.Error, TimeoutError) as error:
            text = f"the documents of {host} are at {shown(self._url)}, which does not hand them out: {error!r}"
            raise UnreachableError(text) from error
        return found.data or b""

    def status(self, now_us: int) -> ReplicaStatus:
        """How good this is."""
        following, view = self.following, self.view
        synced = following.synced_us
        return ReplicaStatus(
            where=following.where,
            connected=bool(self._client.is_connected),
            position=view.position,
            hosts=sum(1 for _ in view.directory.entries()),
            replica_age_s=None if synced is None else max(0, now_us - synced) / 1e6,
            resumes=following.resumes,
            reloads=following.reloads,
            differences=following.mending.differences,
            mended=following.mending.hosts,
            refused=following.refused,
            trouble=following.trouble or self.cache_trouble,
        )

    def close(self) -> None:
        """End the thread; who asks afterwards is told. Closing twice is allowed."""
        if self._loop.is_closed():
            return
        if self._thread.is_alive():
            with suppress(TimeoutError):
                asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(5)
        self._loop.close()
        self.following.fleet = Closed()

    async def _run(self) -> None:
        while not self._connected:
            try:
                await self._connect()
            except MdevregError as error:
                if not self.following.loaded.is_set():
                    raise
                self.following.trouble = error.message
                await asyncio.sleep(CONNECT_EVERY_S)
        await self.following.run(self._client)

    async def _connect(self) -> None:
        self._client = Client()
        await connect(self._client, self._url, creds=self._creds, timeout_s=self._timeout_s, name="mdevreg-replica")
        self._connected = True

    def _wait(self) -> None:
        """As long as something arrives, a large fleet may take its time."""
        seen, quiet_since = -1, time.monotonic()
        while not self.following.loaded.wait(0.02):
            if self._running.done():
                self._running.result()
            if self.following.applied != seen:
                seen, quiet_since = self.following.applied, time.monotonic()
            elif time.monotonic() - quiet_since > self._timeout_s + PULL_S:
                why = self.following.trouble or "nothing arrives"
                text = f"no fleet is published at {shown(self._url)} ({why}); is mdevreg-server running there?"
                raise UnreachableError(text)

    def _keep(self, lot: Sequence[tuple[str, bytes]], kept: Kept, *, complete: bool, anew: bool) -> None:
        """Without its cache a replica answers all the same, so that a full disk must not end it."""
        if self._cache is None or self.cache_trouble:
            return
        try:
            self._cache.keep(lot, kept, complete=complete, anew=anew)
        except sqlite3.Error as error:
            self.cache_trouble = f"the cache is not kept any more: {error}"

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(self._timeout_s)

    async def _end(self) -> None:
        await end_others()
        if self._connected:
            with suppress(nats.errors.Error, TimeoutError, OSError):
                await self._client.close()


def now_us() -> int:
    """This process's clock, µs UTC."""
    return int(time.time() * 1e6)
