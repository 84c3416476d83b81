"""One host of a scene: a root that changes, a state folder whose outbox has a witness, an agent as a real process."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import signal
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec

from mdevreg import wire
from mdevreg.records import HostFacts, Parent, digest_of, state_digest
from mdevreg_agent.identity import host_id_of
from mdevreg_agent.life import new_epoch
from mdevreg_agent.outbox import OUTBOX_FILE, Outbox, open_outbox
from mdevreg_agent.standing import Standing
from support.host_root import HostRoot
from support.processes import Program, run_cli

#: Quick enough that a test sees in seconds what takes minutes in a data centre. A made root has no uevents.
PACE = ("--rescan-s", "0.1", "--debounce-s", "0.02", "--beat-s", "0.5", "--retransmit-s", "1")
#: Written by the same transaction that writes the record: what an outbox ever held, whatever is killed when.
_WITNESS = """
CREATE TABLE witness (epoch TEXT NOT NULL, seq INTEGER NOT NULL, record BLOB NOT NULL);
CREATE TRIGGER witness_of_unsent AFTER INSERT ON unsent BEGIN
    INSERT INTO witness SELECT value, new.seq, new.record FROM meta WHERE key = 'epoch';
END;
"""


class Written(NamedTuple):
    """One record that an agent wrote: what must be in the history, exactly once."""

    host: str
    epoch: str
    seq: int
    sha256: str


class Machine:
    """A host. ``start`` runs its agent; ``change`` does to the root what a kernel would."""

    def __init__(self, folder: Path, number: int, *, home: Path, nats: str, options: tuple[str, ...] = ()) -> None:
        self.id = f"host-{number}"
        self.name = f"hv-{number:02}"
        self.state_dir = folder / f"{self.id}-state"
        self._home, self._nats, self._options = home, nats, options
        self._machine_id = f"{number:032x}"
        self.root = HostRoot(folder / f"{self.id}-root", machine_id=self._machine_id, hostname=self.name)
        self.root.mtty()
        self._mdevs: list[str] = []
        self.state_dir.mkdir()
        host_id_of(self.state_dir, machine_id=self._machine_id, new_id=lambda: self.id)
        self._make_outbox()
        self.agent: Program | None = None

    def start(self) -> Program:
        """Run the agent."""
        self.agent = self.run_agent(self.state_dir)
        return self.agent

    def run_agent(self, state_dir: Path, *, root: HostRoot | None = None) -> Program:
        """An agent of this host, on any state folder, and on any root that calls itself this machine."""
        where: list[str | Path] = ["--nats", self._nats, "--root", (root or self.root).root, "--state-dir", state_dir]
        return Program(["mdevreg-agent", "run", *where, *PACE, *self._options], home=self._home)

    def kill(self) -> None:
        """``kill -9`` the agent."""
        assert self.agent is not None
        assert self.agent.kill() == -signal.SIGKILL, self.agent.output

    def lose_outbox(self) -> None:
        """Replace the outbox by an empty one, and forget what was written: an epoch begins. The agent must not run."""
        for file in self.state_dir.glob(f"{OUTBOX_FILE}*"):
            file.unlink()
        self._make_outbox()

    def change(self, chance: random.Random) -> None:
        """Something happens on the host, at random."""
        match chance.choice(("free", "free", "create", "remove", "driver", "gone")):
            case "create":
                self._mdevs.append(str(uuid.UUID(int=chance.getrandbits(128), version=4)))
                self.root.create(self._mdevs[-1])
            case "remove" if self._mdevs:
                self.root.remove(self._mdevs.pop())
            case "driver":
                self.root.mtty(version=f"0.{chance.randint(1, 99)}")
            case "gone" if chance.random() < 0.2:
                while self._mdevs:
                    self.root.remove(self._mdevs.pop())
                self.root.remove_mtty()
                self.root.mtty()
            case _:
                self.root.set_free(chance.randint(0, 24))

    def standing(self) -> Standing:
        """Where the agent stands, read from its outbox; it may be dead or alive."""
        with self._outbox() as database:
            return Outbox(database, self.state_dir / OUTBOX_FILE).standing()

    def written(self) -> set[Written]:
        """Every record that was ever in the outbox."""
        with self._outbox() as database:
            rows = database.execute("SELECT epoch, seq, record FROM witness").fetchall()
        found = {Written(self.id, epoch, seq, hashlib.sha256(record).hexdigest()) for epoch, seq, record in rows}
        assert len(found) == len(rows), f"{self.id} wrote a record twice"
        return found

    def scanned(self) -> str:
        """The digest of what ``mdevreg-agent scan`` says that the host is."""
        done = run_cli(["mdevreg-agent", "scan", "--root", self.root.root], home=self._home)
        assert done.returncode == 0, done.stderr
        seen = json.loads(done.stdout)
        facts = wire.encode(msgspec.convert(seen["facts"], HostFacts))
        parents = {each["path"]: wire.encode(msgspec.convert(each, Parent)) for each in seen["parents"]}
        return state_digest(digest_of(facts), {path: digest_of(raw) for path, raw in parents.items()})

    def clone(self) -> tuple[Path, HostRoot]:
        """State folder and root of a machine whose disk is a copy of this one's. The agent must not run."""
        folder = self.state_dir.with_name(f"{self.id}-clone")
        shutil.copytree(self.state_dir, folder / "state")
        shutil.copytree(self.root.root, folder / "root", symlinks=True)
        return folder / "state", HostRoot(folder / "root", machine_id=self._machine_id, hostname=self.name)

    def _make_outbox(self) -> None:
        outbox, _ = open_outbox(self.state_dir, host=self.id, new_epoch=new_epoch)
        outbox.close()
        with self._outbox() as database:
            database.executescript(_WITNESS)

    @contextmanager
    def _outbox(self) -> Iterator[sqlite3.Connection]:
        path = self.state_dir / OUTBOX_FILE
        with closing(sqlite3.connect(path, timeout=10, isolation_level=None)) as database:
            yield database
