"""Fixtures of real parts: a nats-server, a PostgreSQL cluster, databases, the project's own programs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from mdevreg.errors import MissingExtraError
from mdevreg_server.broker import Broker, find_nats_server
from support import processes
from support.databases import EmptyDatabases, sqlite_url
from support.nats_server import StartBroker, brokers
from support.postgres import Cluster, PostgresMissingError, private_cluster
from support.processes import Program, RunCli, StartCli

pytest_plugins = ["support.no_skip"]


@pytest.fixture
def start_broker(tmp_path: Path) -> Iterator[StartBroker]:
    """Starts real nats-servers with options of the test's: ``start_broker(max_payload=…)``."""
    try:
        find_nats_server()
    except MissingExtraError as error:
        pytest.skip(str(error))
    with brokers(tmp_path) as start:
        yield start


@pytest.fixture
def nats_server(start_broker: StartBroker) -> Broker:
    """A real nats-server with JetStream, of this test alone: ``.url``, ``.pid``, ``.kill()``, ``.start()``."""
    return start_broker()


@pytest.fixture(scope="session")
def postgres_cluster() -> Iterator[Cluster]:
    """A private PostgreSQL cluster, one for all tests."""
    with ExitStack() as stack:
        try:
            cluster = stack.enter_context(private_cluster())
        except PostgresMissingError as error:
            pytest.skip(str(error))
        yield cluster


@pytest.fixture(scope="session")
def postgresql_databases(postgres_cluster: Cluster) -> EmptyDatabases:
    """Databases of the cluster, emptied and lent again."""
    return EmptyDatabases(postgres_cluster)


@pytest.fixture
def postgresql_database_url(postgresql_databases: EmptyDatabases) -> Iterator[str]:
    """An empty PostgreSQL database of this test alone."""
    with postgresql_databases.lend() as url:
        yield url


@pytest.fixture
def sqlite_database_url(tmp_path: Path) -> str:
    """A SQLite database of this test alone, not made yet."""
    return sqlite_url(tmp_path)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """An empty database of this test alone; the test runs on SQLite and on PostgreSQL."""
    url: str = request.getfixturevalue(f"{request.param}_database_url")
    return url


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The empty home folder in which this test's programs run."""
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture
def run_cli(home: Path) -> RunCli:
    """Runs a console script to its end: ``run_cli(["mdevreg", "hosts"], env={…}, timeout_s=…)``."""
    return partial(processes.run_cli, home=home)


@pytest.fixture
def start_cli(home: Path) -> Iterator[StartCli]:
    """Starts a console script beside the test: ``start_cli(["mdevreg-agent", "run"], env={…})``; ends it after."""
    with ExitStack() as stack:

        def start(arguments: list[str | Path], **options: Any) -> Program:
            return stack.enter_context(Program(arguments, home=home, **options))

        yield start
