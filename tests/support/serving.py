"""The whole registry in a thread of the test: ``serve()`` itself, over a real broker and a real database."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mdevreg.clocks import DEFAULT_MAX_SKEW_S
from mdevreg_server.http.config import HttpConfig
from mdevreg_server.ledger import Amended, Applied
from mdevreg_server.serve import ServeConfig, serve


class Serving:
    """A registry that runs. ``said``: its lines; ``batches`` and ``amendments``: what it wrote; ``error``: its end."""

    def __init__(self, config: ServeConfig) -> None:
        self.said: list[str] = []
        self.batches: list[Applied] = []
        self.amendments: list[Amended] = []
        self.error: BaseException | None = None
        self._config = config
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._stop: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, name="serving")

    def start(self) -> None:
        """Start it, without waiting."""
        self._thread.start()

    def wait_until_ready(self, timeout_s: float = 20.0) -> None:
        """Until it stands; raises what kept it from that."""
        self.until(lambda: self._ready.is_set() or not self._thread.is_alive(), "the registry is ready", timeout_s)
        if self.error is not None:
            raise self.error

    def until(self, condition: Callable[[], bool], what: str, timeout_s: float = 20.0) -> None:
        """Wait for something that it will do; fails with all that it said."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline, f"not within {timeout_s:g} s: {what}\n" + "\n".join(self.said)
            time.sleep(0.01)

    def until_said(self, text: str, timeout_s: float = 20.0) -> None:
        """Wait for a line with these words."""
        self.until(lambda: any(text in line for line in list(self.said)), f"it says {text!r}", timeout_s)

    def wait(self, timeout_s: float = 20.0) -> BaseException | None:
        """Wait until it ends by itself; what ended it."""
        self._thread.join(timeout_s)
        assert not self._thread.is_alive(), "it goes on\n" + "\n".join(self.said)
        return self.error

    def stop(self) -> None:
        """End it and wait for that."""
        if self._thread.is_alive() and self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(20)
        assert not self._thread.is_alive(), "it does not end\n" + "\n".join(self.said)

    @property
    def http_url(self) -> str:
        """Where its HTTP face is."""
        (line,) = [line for line in list(self.said) if line.startswith("http.listening url=")]
        return line.partition("=")[2]

    @property
    def positions(self) -> list[int]:
        """The position after each batch."""
        return [batch.position for batch in list(self.batches)]

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        except Exception as error:
            self.error = error
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        await serve(
            self._config,
            say=self.said.append,
            applied=self.batches.append,
            amended=self.amendments.append,
            ready=self._ready.set,
            stop=self._stop,
        )


@contextmanager
def serving(
    database: str,
    nats: str,
    *,
    connect_timeout_s: float = 5.0,
    catalog: Path | None = None,
    http: HttpConfig | None = None,
    partitions: int = 1,
    max_bytes: int | None = None,
    index: bool = True,
    max_clock_skew_s: float = DEFAULT_MAX_SKEW_S,
) -> Iterator[Serving]:
    """A registry that stands, ended at the end. ``catalog``: its folder. Raises what kept it from standing."""
    folder = None if catalog is None else str(catalog)
    config = ServeConfig(
        database=database,
        nats=nats,
        catalog=folder,
        http=http,
        partitions=partitions,
        max_bytes=max_bytes,
        index=index,
        max_clock_skew_s=max_clock_skew_s,
        connect_timeout_s=connect_timeout_s,
    )
    running = Serving(config)
    running.start()
    try:
        running.wait_until_ready()
        yield running
    finally:
        running.stop()
