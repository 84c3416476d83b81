"""A whole fleet of real processes: agents, a nats-server, a registry; loaded, killed, and looked at afterwards."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import sqlalchemy as sa

from mdevreg_server import schema
from mdevreg_server.amendments import NOBODY
from mdevreg_server.broker import Broker
from mdevreg_server.engine import open_engine
from mdevreg_server.tables import HostPresence, HostState, Quarantine, RecordLog
from support.machine import Machine, Written
from support.processes import Program, eventually, run_cli

#: Healing takes seconds; this is for a machine that does much else.
HEALED_WITHIN_S = 40.0


OpenScene = Callable[[str], "Scene"]


class Scene:
    """Everything of one test. A context manager: ends what it started, the agents first."""

    def __init__(self, folder: Path, broker: Broker, database: str) -> None:
        self.folder, self.broker, self.database = folder, broker, database
        self.home = folder / "scene"
        self.home.mkdir()
        self.machines: list[Machine] = []
        self.registry: Program | None = None
        engine = open_engine(database, writer=True, create=True)
        schema.upgrade(engine)
        engine.dispose()

    def add(self, count: int, *options: str) -> Sequence[Machine]:
        """More hosts, their agents running."""
        first = len(self.machines) + 1
        added = [
            Machine(self.home, number, home=self.home, nats=self.broker.url, options=options)
            for number in range(first, first + count)
        ]
        self.machines += added
        for machine in added:
            machine.start()
        return added

    def start_registry(self, nats: str | None = None, *, max_bytes: int | None = None) -> Program:
        """Run ``mdevreg-server serve``; ``nats``: by another way than straight to the broker.

        ``max_bytes``: bound of the records stream.
        """
        where = ["--database", self.database, "--nats", nats or self.broker.url]
        where += [] if max_bytes is None else ["--stream-max-bytes", str(max_bytes)]
        self.registry = Program(["mdevreg-server", "serve", *where], home=self.home)
        return self.registry

    def kill_registry(self) -> None:
        """``kill -9``. It must have been alive: nothing else may have ended it."""
        assert self.registry is not None
        assert self.registry.kill() == -signal.SIGKILL, f"the registry had ended:\n{self.registry.output}"

    def stop_registry(self) -> None:
        """SIGTERM; it ends well."""
        assert self.registry is not None
        assert self.registry.terminate() == 0, self.registry.output

    def server(self, *arguments: str) -> int:
        """Run a command of ``mdevreg-server`` on this database; what it said is in ``said``."""
        done = run_cli(["mdevreg-server", *arguments], home=self.home, env={"MDEVREG_DATABASE": self.database})
        self.said = done.stdout + done.stderr
        return done.returncode

    @contextmanager
    def load(self, chance: random.Random, *, every_s: float = 0.02) -> Iterator[None]:
        """While this lasts, something happens all the time, somewhere."""
        ending, failed = threading.Event(), list[BaseException]()

        def work() -> None:
            try:
                while not ending.wait(chance.uniform(0, 2 * every_s)):
                    chance.choice(self.machines).change(chance)
            except BaseException as error:  # raised below, in the test's thread
                failed.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield
        finally:
            ending.set()
            thread.join()
        if failed:
            raise failed[0]

    def rows(self, statement: sa.Executable) -> list[Any]:
        """Ask the database, from outside the registry."""
        engine = open_engine(self.database, writer=False)
        try:
            with engine.connect() as connection:
                return list(connection.execute(statement))
        finally:
            engine.dispose()

    def logged(self) -> list[Written]:
        """Every record of the log."""
        columns = (RecordLog.host, RecordLog.epoch, RecordLog.seq, RecordLog.sha256)
        records = sa.select(*columns).where(RecordLog.host != NOBODY).order_by(RecordLog.position)
        return [Written(*row) for row in self.rows(records)]

    def written(self) -> set[Written]:
        """Every record that any agent ever wrote."""
        return set[Written]().union(*(machine.written() for machine in self.machines))

    def settle(self, within_s: float = HEALED_WITHIN_S) -> float:
        """Wait until agents and registry agree and every outbox is empty; how long that took, in seconds."""
        began = time.monotonic()
        digests = {machine.id: machine.scanned() for machine in self.machines}
        self.wait(lambda: self._agrees(digests), "every outbox empty, every digest the registry's", within_s)
        return time.monotonic() - began

    def wait(self, condition: Callable[[], bool], what: str, within_s: float = HEALED_WITHIN_S) -> None:
        """``eventually``, and if not, everything that may tell why."""
        try:
            eventually(lambda: self._alive() and condition(), what, within_s)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.report()}") from None

    def _alive(self) -> bool:
        for program in self._programs():
            assert program.running, f"{program.command} ended by itself with {program.process.returncode}"
        return True

    def states(self) -> dict[str, Any]:
        """``host_state`` by host."""
        return {row.host: row for row in self.rows(sa.select(HostState.__table__))}

    def disputes(self) -> dict[str, str]:
        """Hosts whose identity is in conflict, and why."""
        found = sa.select(HostPresence.host, HostPresence.conflict).where(HostPresence.conflict.is_not(None))
        return {row.host: row.conflict for row in self.rows(found)}

    def refused(self) -> list[Any]:
        """What is open in quarantine: code, host, seq, reason."""
        columns = (Quarantine.code, Quarantine.host, Quarantine.seq, Quarantine.reason)
        return self.rows(sa.select(*columns).where(Quarantine.state == "open"))

    def report(self) -> str:
        """What each side says, for a failure's message."""
        lines = [f"  {machine.standing()}" for machine in self.machines]
        lines += [f"  {row}" for row in self.states().values()]
        missing = Counter(self.written()) - Counter(self.logged())
        lines.append(f"  not in the log: {sorted(missing)[:20]}; refused: {self.refused()[:5]}; {self.disputes()}")
        tails = [(program.log.name, program.output[-2500:]) for program in self._programs()]
        return "\n".join([*lines, *(f"--- {name}\n{tail}" for name, tail in tails)])

    def _agrees(self, digests: dict[str, str]) -> bool:
        states = self.states()
        return all(
            machine.id in states and _agree(machine.standing(), states[machine.id], digests[machine.id])
            for machine in self.machines
        )

    def _programs(self) -> list[Program]:
        agents = [machine.agent for machine in self.machines if machine.agent]
        return [*([self.registry] if self.registry else []), *agents]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with ExitStack() as stack:  # the last one pushed is ended first
            for program in self._programs():
                stack.push(program)


def _agree(agent: Any, registry: Any, digest: str) -> bool:
    mine = (agent.epoch, agent.last_seq, agent.digest, 0)
    return mine == (registry.epoch, registry.last_seq, registry.digest, agent.unsent) and agent.digest == digest
