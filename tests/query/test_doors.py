"""Every door passes the one suite; opening one fails with the right error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from contracts.deed_contract import DeedContract
from contracts.door_contract import DoorContract, OpenDoor
from contracts.intent_contract import IntentContract
from contracts.past_contract import PastContract
from contracts.plan_contract import PlanContract
from contracts.rule_contract import RuleContract
from contracts.upgrade_contract import UpgradeContract
from contracts.webhook_contract import WebhookContract
from mdevreg import query
from mdevreg.errors import StateError, UnreachableError, UsageError, WrongRevisionError
from mdevreg.facts import NOW
from mdevreg_server.broker import Broker
from mdevreg_server.engine import open_engine
from mdevreg_server.http.config import HttpConfig
from support.databases import EmptyDatabases, sqlite_url
from support.door_fleet import fill, memory_door
from support.nats_server import brokers
from support.registry import migrated
from support.serving import serving


@contextmanager
def _memory(_: pytest.FixtureRequest, __: Path) -> Iterator[OpenDoor]:
    yield memory_door


@contextmanager
def _sqlite(_: pytest.FixtureRequest, folder: Path) -> Iterator[OpenDoor]:
    url = sqlite_url(folder)
    with migrated(url) as engine:
        fill(engine)
    yield partial(query.open, url)


@contextmanager
def _postgresql(request: pytest.FixtureRequest, _: Path) -> Iterator[OpenDoor]:
    databases: EmptyDatabases = request.getfixturevalue("postgresql_databases")
    with databases.lend() as url:
        with migrated(url) as engine:
            fill(engine)
        yield partial(query.open, url)


@contextmanager
def _nats(_: pytest.FixtureRequest, folder: Path) -> Iterator[OpenDoor]:
    url = sqlite_url(folder)
    with migrated(url) as engine:
        fill(engine)
    with brokers(folder) as start:
        broker = start()
        with serving(url, broker.url):
            yield partial(query.open, broker.url)


@contextmanager
def _http(_: pytest.FixtureRequest, folder: Path) -> Iterator[OpenDoor]:
    url = sqlite_url(folder)
    with migrated(url) as engine:
        fill(engine)
    with brokers(folder) as start, serving(url, start().url, http=HttpConfig("127.0.0.1:0")) as registry:
        yield partial(query.open, registry.http_url)


@contextmanager
def _replica(_: pytest.FixtureRequest, folder: Path) -> Iterator[OpenDoor]:
    url = sqlite_url(folder)
    with migrated(url) as engine:
        fill(engine)
    with brokers(folder) as start:
        broker = start()
        with serving(url, broker.url):
            yield partial(query.open, f"replica+{broker.url}")


DOORS = {
    "memory": _memory,
    "sqlite": _sqlite,
    "postgresql": _postgresql,
    "nats": _nats,
    "replica": _replica,
    "http": _http,
}


@pytest.fixture(scope="module", params=DOORS)
def open_door(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenDoor]:
    """Opens a door to the fleet: in memory, in SQL on both databases, and over NATS to a registry that runs."""
    with DOORS[request.param](request, tmp_path_factory.mktemp("door")) as opener:
        yield opener


@pytest.fixture(scope="module", params=[name for name in DOORS if name != "memory"])
def open_real(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenDoor]:
    """Opens a door to the fleet of a registry that has a log."""
    with DOORS[request.param](request, tmp_path_factory.mktemp("real")) as opener:
        yield opener


@pytest.fixture(params=DOORS)
def open_fresh(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OpenDoor]:
    """The same, to a registry that no other test sees."""
    with DOORS[request.param](request, tmp_path) as opener:
        yield opener


@pytest.fixture(params=[name for name in DOORS if name != "memory"])
def open_fresh_real(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OpenDoor]:
    """Opens a door to a registry that has a log, and that no other test sees."""
    with DOORS[request.param](request, tmp_path) as opener:
        yield opener


class TestDoors(DoorContract):
    """Every door passes; the one in memory, with which the others are compared, too."""


class TestIntents(IntentContract):
    """Every door keeps campaigns and baselines, and computes the same of them."""


class TestPast(PastContract):
    """Every door of a registry tells the same past."""


class TestPlans(PlanContract):
    """Every door of a registry plans alike."""


class TestRules(RuleContract):
    """Every door adds and ends rules alike."""


class TestDeeds(DeedContract):
    """Every door records answers and takes reports alike."""


class TestUpgrades(UpgradeContract):
    """Every door of a registry tells the same upgrades."""


class TestWebhooks(WebhookContract):
    """Every door keeps subscriptions alike."""


def test_an_unknown_scheme_names_the_known_ones() -> None:
    """A typo is told before anything is tried."""
    with pytest.raises(UsageError, match=r"nats://, .*sqlite://, postgresql\+psycopg://"):
        query.open("mysql://localhost/x")


def test_a_database_file_that_is_not_there_is_named_and_not_made(tmp_path: Path) -> None:
    """A reader that makes an empty database hides the mistake."""
    with pytest.raises(StateError, match="mdevreg-server db upgrade"):
        query.open(f"sqlite:///{tmp_path / 'missing.sqlite'}")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    """The way out is in the message."""
    with pytest.raises(StateError, match="there is no folder"):
        query.open(f"sqlite:///{tmp_path / 'nowhere' / 'x.sqlite'}")


def test_a_database_without_a_registry_names_the_command_to_run(database_url: str) -> None:
    """Empty, or at another revision."""
    engine = open_engine(database_url, writer=True, create=True)
    with engine.begin():
        pass
    engine.dispose()
    with pytest.raises(WrongRevisionError, match="mdevreg-server db upgrade"):
        query.open(database_url)


def test_a_broker_that_is_not_there_is_unreachable() -> None:
    """Within the door's own time, and with exit code 5."""
    with pytest.raises(UnreachableError, match="is it running") as caught:
        query.open("nats://127.0.0.1:9", timeout_s=0.5)
    assert caught.value.exit_code == 5


def test_a_broker_without_a_registry_says_so(nats_server: Broker) -> None:
    """The broker answers, nobody else does."""
    with query.open(nats_server.url) as door, pytest.raises(UnreachableError, match="is mdevreg-server running there"):
        door.hosts(NOW)


def test_a_postgresql_server_that_is_not_there_is_unreachable() -> None:
    """Exit code 5, not a stack trace; the password is not shown."""
    with pytest.raises(UnreachableError) as caught:
        query.open("postgresql+psycopg://me:secret@127.0.0.1:9/x", timeout_s=1.0)
    assert "secret" not in str(caught.value)
