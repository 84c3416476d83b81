"""Who tells events and who delivers them, with the threads and the engine that both stand on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, TypeVar

import sqlalchemy as sa

from mdevreg_server import subscriptions
from mdevreg_server.crier import Crier
from mdevreg_server.deliverer import Deliverer
from mdevreg_server.ending import until_one_ends
from mdevreg_server.engine import open_engine
from mdevreg_server.event_tally import EventTally

if TYPE_CHECKING:  # only the bus speaks NATS
    from nats.aio.client import Client

T = TypeVar("T")

#: How long reading the facts of all hosts may take, where events begin to be told.
WHOLE_FLEET_S = 300.0


class Newsroom:
    """One registry's; only the leading one of several runs it."""

    def __init__(self, crier: Crier, deliverer: Deliverer) -> None:
        self._crier, self._deliverer = crier, deliverer

    @property
    def tally(self) -> EventTally:
        """How it goes."""
        return self._crier.tally

    def wake(self, what: object = None) -> None:
        """The log grew. From any thread."""
        self._crier.wake(what)

    def waking(self, told: Callable[[T], None]) -> Callable[[T], None]:
        """Tells it on, and wakes."""

        def tell(what: T) -> None:
            self._crier.wake(what)
            told(what)

        return tell

    async def run(self) -> None:
        """Until cancelled."""
        await until_one_ends(self._crier.run(), self._deliverer.run())


@contextmanager
def opened(
    client: Client,
    database: str,
    engine: sa.Engine,
    writer: Executor,
    now_us: Callable[[], int],
    say: Callable[[str], None],
) -> Iterator[Newsroom]:
    """A newsroom. ``engine`` writes, in ``writer``; what it reads, it reads in threads of its own."""
    reader = open_engine(database, writer=False, timeout_s=WHOLE_FLEET_S)
    try:
        with (
            ThreadPoolExecutor(1, thread_name_prefix="events") as deriving,
            ThreadPoolExecutor(1, thread_name_prefix="webhooks") as looking,
        ):
            crier = Crier(client, engine, writer, reader, deriving, now_us=now_us, say=say, keep=subscriptions.keep)
            threads = (engine, writer, reader, looking)
            deliverer = Deliverer(*threads, crier.tally, version=version("mdevreg"), now_us=now_us, say=say)
            yield Newsroom(crier, deliverer)
    finally:
        reader.dispose()
