"""The permissions that docs/operations.md asks for are enough, and no more than that."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import nats
import pytest
import sqlalchemy as sa
from nats.errors import NoRespondersError

from mdevreg import query, subjects
from mdevreg.errors import UnreachableError
from mdevreg.facts import NOW
from mdevreg.rules import Rule
from mdevreg_server.answers import DECISIONS
from mdevreg_server.tables import HostState
from support.bus_client import publish
from support.catalogs import file_of, folder_of
from support.host_root import HostRoot
from support.hosts import look, mtty
from support.nats_server import StartBroker
from support.processes import RunCli, StartCli, eventually
from support.publisher import Publisher
from support.registry import Desk
from support.registry_peer import until
from support.serving import serving
from support.tree import ROOT

HOST = "host-1"
#: Subjects in the blocks of the operations page: who, then "publish: a, b, c" over several lines.
_BLOCK = re.compile(
    r"```text\n# (?P<who>\w+)\npublish:\s+(?P<publish>.*?)subscribe:\s+(?P<subscribe>.*?)```", re.DOTALL
)


def _permissions(who: str, host: str = HOST) -> dict[str, list[str]]:
    manual = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    [found] = [block for block in _BLOCK.finditer(manual) if block["who"] == who]
    return {
        name: [subject.strip().replace("HOST", host) for subject in found[name].split(",") if subject.strip()]
        for name in ("publish", "subscribe")
    }


@pytest.fixture
def settings() -> dict[str, Any]:
    """A broker that knows all of the manual."""
    users = [
        {"user": who, "password": who[0], "permissions": _permissions(who)}
        for who in ("agent", "registry", "reader", "replica", "watcher", "operator")
    ]
    return {"authorization": {"users": users}}


def test_an_agent_lives_with_the_permissions_of_the_manual(
    settings: dict[str, Any], start_broker: StartBroker, engine: sa.Engine, start_cli: StartCli, tmp_path: Path
) -> None:
    """It publishes, gets its receipt and empties its outbox; the broker refuses it nothing."""
    broker = start_broker(settings=settings)
    as_agent, as_registry = (broker.url.replace("//", f"//{who}@") for who in ("agent:a", "registry:r"))
    host = HostRoot(tmp_path / "root")
    host.mtty()
    state = tmp_path / "agent"
    with serving(engine.url.render_as_string(hide_password=False), as_registry):
        where = ["--root", str(host.root), "--state-dir", str(state), "--host-id", HOST]
        agent = start_cli(["mdevreg-agent", "run", "--nats", as_agent, *where])
        eventually(lambda: _settled(engine) == 3, "three records are settled")
        eventually(lambda: _unsent(state) == 0, "the outbox is empty")
        assert agent.terminate() == 0
    log = broker.log.read_text(encoding="utf-8")
    assert [line for line in log.splitlines() if "Violation" in line] == []


def test_a_replica_needs_no_more_than_the_manual_gives_it(
    settings: dict[str, Any], start_broker: StartBroker, engine: sa.Engine
) -> None:
    """It loads, follows, shows a host's documents and asks for the past; it may not decide."""
    broker = start_broker(settings=settings)
    as_replica, as_registry = (broker.url.replace("//", f"//{who}@") for who in ("replica:r", "registry:r"))
    Desk(engine).take(*Publisher(HOST).snapshot(look(mtty(devices=[1]))))
    database = engine.url.render_as_string(hide_password=False)
    with serving(database, as_registry), query.open(f"replica+{as_replica}", timeout_s=1.0) as door:
        assert [host.evidence.host for host in door.hosts(NOW).hosts] == [HOST]
        assert [parent.name for parent in door.host(HOST, NOW).parents] == ["mtty"]
        assert door.history(HOST, NOW, 5).changes
        assert "Violation" not in broker.log.read_text(encoding="utf-8")
        with pytest.raises(UnreachableError):
            door.add_rule(Rule(id="x", effect="deny", author="a", message="no", valid_from=datetime.now(UTC)))
    assert "Violation" in broker.log.read_text(encoding="utf-8")


def test_a_watcher_needs_no_more_than_the_manual_gives_it(
    settings: dict[str, Any], start_broker: StartBroker, engine: sa.Engine
) -> None:
    """It watches, from a place on too; a reader may not, and is told so."""
    broker = start_broker(settings=settings)
    as_watcher, as_reader, as_registry = (
        broker.url.replace("//", f"//{who}@") for who in ("watcher:w", "reader:r", "registry:r")
    )
    with serving(engine.url.render_as_string(hide_password=False), as_registry) as registry:
        publish(as_registry, Publisher(HOST).snapshot(look(mtty())))
        with query.open(as_watcher) as door, query.events(door, "offer.*", since=0) as told:
            event = told.get(20)
        assert event is not None
        assert event.subject == HOST
        with query.open(as_watcher) as door, query.events(door, since=event.position - 1) as told:
            assert told.get(20) is not None
        assert "Violation" not in broker.log.read_text(encoding="utf-8")
        with query.open(as_reader, timeout_s=1.0) as door, pytest.raises(UnreachableError, match="MDEVREG_EVENTS"):
            query.events(door)
        assert registry.error is None


def test_an_agent_can_touch_no_other_host(settings: dict[str, Any], start_broker: StartBroker) -> None:
    """Not its records, not its beats, not its receipt, and no JetStream beyond its own receipt."""
    broker = start_broker(settings=settings)
    url = broker.url.replace("//", "//agent:a@")
    refused = asyncio.run(_refused(url))
    assert len(refused) == 4, refused
    assert all("permissions violation" in text.lower() for text in refused)


async def _refused(url: str) -> list[str]:
    refused: list[str] = []

    async def failed(error: Exception) -> None:
        refused.append(str(error))

    client = await nats.connect(url, error_cb=failed, inbox_prefix=f"_INBOX_{HOST}".encode())
    await client.publish("mdevreg.v1.record.host-2", b"{}")
    await client.publish("mdevreg.v1.beat.host-2", b"{}")
    await client.publish("$JS.API.STREAM.DELETE.MDEVREG_RECORDS", b"")
    await client.subscribe("mdevreg.v1.fleet.host.host-2")
    await client.flush()
    with pytest.raises((NoRespondersError, TimeoutError)):
        await client.request("mdevreg.v1.record.host-1", b"{}", timeout=1)  # its own: only nobody is there
    await client.close()
    return refused


def _settled(engine: sa.Engine) -> int:
    with engine.connect() as connection:
        return connection.scalar(sa.select(HostState.settled).where(HostState.host == HOST)) or 0


def _unsent(state: Path) -> int:
    outbox = sa.create_engine(f"sqlite:///{state / 'outbox.sqlite3'}")
    with outbox.connect() as connection:
        count = connection.scalar(sa.text("select count(*) from unsent")) or 0
    outbox.dispose()
    return int(count)


def test_who_asks_may_not_decide_and_an_operator_may_do_both(
    settings: dict[str, Any], start_broker: StartBroker, engine: sa.Engine, run_cli: RunCli, tmp_path: Path
) -> None:
    """A rule changes the verdicts of the whole fleet: neither agents nor readers can publish one."""
    broker = start_broker(settings=settings)
    urls = {
        who: broker.url.replace("//", f"//{who}:{who[0]}@")
        for who in ("agent", "registry", "reader", "replica", "operator")
    }
    folder = folder_of(tmp_path / "catalog.d", good=file_of("site-1"))
    rule = Rule(id="draft", effect="deny", author="alice", message="known-bad", valid_from=datetime.now(UTC))
    with serving(engine.url.render_as_string(hide_password=False), urls["registry"], catalog=folder):
        for who in ("agent", "reader"):
            refused = asyncio.run(_decisions_refused(urls[who], who))
            assert len(refused) == len(DECISIONS), refused
        for who in ("reader", "operator"):
            with query.open(urls[who]) as door:
                assert door.rules(NOW).rules == ()
        with query.open(urls["operator"]) as door:
            assert door.add_rule(rule).id == "r3"
        command = ["mdevreg-server", "catalog", "import", folder / "good.toml", "--author", "bob", "--nats"]
        told = run_cli([*command, urls["reader"]])
        assert (told.returncode, "does not allow you to publish mdevreg.v1.decide.import-catalog" in told.stderr) == (
            4,
            True,
        )
        assert run_cli([*command, urls["operator"]]).stdout == "put site-1\n"
    violations = [line for line in broker.log.read_text(encoding="utf-8").splitlines() if "Violation" in line]
    assert not any("registry" in line or "operator" in line for line in violations)


async def _decisions_refused(url: str, who: str) -> list[str]:
    refused: list[str] = []

    async def failed(error: Exception) -> None:
        refused.append(str(error))

    client = await nats.connect(
        url, error_cb=failed, inbox_prefix=(f"_INBOX_{HOST}" if who == "agent" else "_INBOX").encode()
    )
    for endpoint in DECISIONS:
        await client.publish(subjects.decision(endpoint), b"{}")
    await until(lambda: len(refused) == len(DECISIONS), f"the broker refuses all of {who}")
    await client.close()
    return [text for text in refused if "permissions violation" in text.lower()]


def test_wrong_credentials_are_told_from_a_broker_that_is_away(
    settings: dict[str, Any], start_broker: StartBroker, engine: sa.Engine, run_cli: RunCli
) -> None:
    """Exit code 4 for every program that asks once; the password is in no message."""
    broker = start_broker(settings=settings)
    wrong = broker.url.replace("//", "//agent:guess@")
    database = engine.url.render_as_string(hide_password=False)
    for command in (
        ["mdevreg", "hosts", "--url", wrong, "--timeout", "3"],
        ["mdevreg", "hosts", "--url", broker.url, "--creds", "no-such-file"],
        ["mdevreg-server", "serve", "--database", database, "--nats", wrong],
    ):
        done = run_cli(command)
        assert (done.returncode, "guess" in done.stderr) == (4, False), (command, done.stderr)
