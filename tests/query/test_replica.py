"""The replica door: whole or not at all, ahead with the stream, back after whatever breaks, honest about its age."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from mdevreg import query
from mdevreg.errors import StateError, UnreachableError, UsageError
from mdevreg.facts import NOW, Moment
from mdevreg.query.replica_door import ReplicaDoor
from mdevreg.query.watching import VerdictChange, Watch
from mdevreg.rules import Rule, Scope
from mdevreg_server import herald
from mdevreg_server.broker import Broker
from support import fleet_model
from support.bus_client import fleet, publish
from support.databases import sqlite_url
from support.door_fleet import fill
from support.fleet_model import FleetModel, ModelHost
from support.fleet_stream import forget_consumers, tell
from support.hosts import look, mtty, uuid_of
from support.nats_server import restart, wipe
from support.publisher import Publisher
from support.registry import migrated
from support.serving import serving

ALPHA = ModelHost("host-a", "alpha", parents=(mtty(devices=[1]),))
BETA = ModelHost("host-b", "beta", parents=(mtty(version="3", minimum="2"),))
GAMMA = ModelHost("host-c", "gamma", site="b", parents=(mtty(version="9", minimum="9"),))


@pytest.fixture(autouse=True)
def _now(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hosts of the model are heard now, not in the time of the records."""
    monkeypatch.setattr(fleet_model, "NOW", datetime.now(UTC))


@pytest.fixture
def model(nats_server: Broker) -> FleetModel:
    """Three hosts, as a registry published them."""
    found = FleetModel()
    tell(nats_server.url, [*found.ship(), *found.put(ALPHA), *found.put(BETA), *found.put(GAMMA)])
    return found


@pytest.fixture
def replica(model: FleetModel, nats_server: Broker) -> Iterator[ReplicaDoor]:
    """A replica of them."""
    with _open(nats_server.url) as door:
        yield door


def _open(url: str, options: str = "", timeout_s: float = 5.0) -> ReplicaDoor:
    door = query.open(f"replica+{url}{options}", timeout_s=timeout_s)
    assert isinstance(door, ReplicaDoor)
    return door


def _until(condition: Callable[[], bool], what: str, timeout_s: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout_s:g} s: {what}"
        time.sleep(0.01)


def _outcome(door: ReplicaDoor, to: str) -> str:
    return str(door.can_migrate(uuid_of(1), to).outcome)


def test_it_answers_as_soon_as_it_is_open(replica: ReplicaDoor) -> None:
    """Opened is loaded: position, hosts and verdicts are those that were published."""
    assert (_outcome(replica, "beta"), _outcome(replica, "gamma")) == ("compatible", "incompatible")
    assert replica.targets(uuid_of(1)).names() == ["beta"]
    status = replica.status()
    assert (status.where, status.connected, status.hosts, status.position) == ("stream", True, 3, 4)
    assert status.replica_age_s is not None
    assert status.replica_age_s < 5


def test_it_follows_what_is_published(replica: ReplicaDoor, model: FleetModel, nats_server: Broker) -> None:
    """A driver upgrade on the target turns the verdict within moments, a host that goes is gone."""
    tell(nats_server.url, model.put(msgspec.structs.replace(BETA, parents=(mtty(version="9", minimum="9"),))))
    _until(lambda: _outcome(replica, "beta") == "incompatible", "beta's upgrade is seen")
    tell(nats_server.url, model.remove("host-b"))
    _until(lambda: [host.evidence.hostname for host in replica.hosts(NOW).hosts] == ["alpha", "gamma"], "beta is gone")


def test_a_view_is_one_moment(replica: ReplicaDoor, model: FleetModel, nats_server: Broker) -> None:
    """Who holds a view asks many questions of one fleet, whatever comes meanwhile."""
    view, now_us = replica.view, int(time.time() * 1e6)
    tell(nats_server.url, model.remove("host-b"))
    _until(lambda: replica.status().hosts == 2, "beta is gone")
    assert view.can_migrate(uuid_of(1), "beta", now_us=now_us).outcome == "compatible"
    assert len(view.targets(uuid_of(1), now_us=now_us)) == 1


def test_without_a_registry_it_says_so(nats_server: Broker) -> None:
    """A broker on which nobody published a fleet: unreachable, with the way out, in about the time allowed."""
    begun = time.monotonic()
    with pytest.raises(UnreachableError, match="is mdevreg-server running there"):
        _open(nats_server.url, timeout_s=0.5)
    assert time.monotonic() - begun < 10


def test_without_a_broker_it_says_so() -> None:
    """Exit code 5, as every door."""
    with pytest.raises(UnreachableError, match="is it running") as caught:
        _open("nats://127.0.0.1:9", timeout_s=0.5)
    assert caught.value.exit_code == 5


@pytest.mark.parametrize("options", ["?cash=/tmp/x", "?max_age_s=soon", "?max_age_s=0", "?cache"])
def test_an_option_that_means_nothing_is_a_usage_error(options: str) -> None:
    """A misspelt option must not be an option that is not there."""
    with pytest.raises(UsageError, match="expected replica\\+nats://"):
        _open("nats://127.0.0.1:9", options)


def test_a_broker_that_restarts_is_followed_on(replica: ReplicaDoor, model: FleetModel, nats_server: Broker) -> None:
    """Same stream: it goes on where it was, nothing is loaded anew, and meanwhile it answers."""
    restart(nats_server)
    assert _outcome(replica, "beta") == "compatible"
    tell(nats_server.url, model.remove("host-c"))
    _until(lambda: replica.status().hosts == 2, "gamma is gone")
    status = replica.status()
    assert (status.reloads, status.where) == (0, "stream")
    assert status.resumes >= 1


def test_a_consumer_that_is_gone_is_made_anew(replica: ReplicaDoor, model: FleetModel, nats_server: Broker) -> None:
    """The broker forgot the consumer: the next one starts after the last message that was taken in."""
    assert forget_consumers(nats_server.url) == 1
    tell(nats_server.url, model.remove("host-c"))
    _until(lambda: replica.status().hosts == 2, "gamma is gone")
    assert replica.status().reloads == 0


def test_another_life_of_the_stream_is_loaded_beside_the_old_one(
    replica: ReplicaDoor, model: FleetModel, nats_server: Broker
) -> None:
    """A wiped broker: the old fleet answers until the new one is complete; a half of it is never seen."""
    wipe(nats_server)
    new = FleetModel()
    hosts = [ModelHost(f"h{n}", f"n{n}", parents=(mtty(devices=[1] if n == 0 else []),)) for n in range(60)]
    messages = [*new.ship(), *(message for host in hosts for message in new.put(host))]
    seen: set[int] = set()
    tell(nats_server.url, messages)
    _until(lambda: seen.add(replica.status().hosts) or 60 in seen, "the new fleet is there")  # type: ignore[func-returns-value]
    assert seen <= {3, 60}, "a half-loaded fleet was handed out"
    assert replica.status().reloads == 1
    assert len(replica.targets(uuid_of(1))) == 59


def test_a_registry_whose_log_went_back_is_loaded_anew(
    replica: ReplicaDoor, model: FleetModel, nats_server: Broker
) -> None:
    """An older copy was restored: what the index knows beyond it must not stay."""
    before = model.digest()
    model.position = 1
    model.positions = dict.fromkeys(model.positions, 1)
    tell(nats_server.url, [before, *model.remove("host-c"), model.digest()])
    _until(lambda: replica.status().reloads == 1 and replica.status().where == "stream", "it was loaded anew")
    assert replica.status().hosts == 2


def test_from_threads_and_from_asyncio(replica: ReplicaDoor) -> None:
    """One door for both: questions about now wait for nothing, so that they may be asked in an event loop."""
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: _outcome(replica, "beta"), range(200))) == {"compatible"}

    async def ask() -> str:
        return _outcome(replica, "beta")

    assert asyncio.run(ask()) == "compatible"


def test_questions_about_the_past_need_the_registry(replica: ReplicaDoor) -> None:
    """Here is only now: without a registry the past is unreachable, and said to be."""
    with pytest.raises(UnreachableError, match="is mdevreg-server running there"):
        replica.hosts(Moment(known_at=1))


def test_a_host_is_shown_with_its_documents(replica: ReplicaDoor) -> None:
    """The index has none; they are read from the stream."""
    found = replica.host("alpha", NOW)
    assert found.parents == ALPHA.parents
    assert list(found.supports) == ["mtty/mtty-1", f"mtty/{uuid_of(1)}"]


def test_a_difference_from_what_the_registry_published_is_mended_and_counted(
    tmp_path: Path, nats_server: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else wrote a host into the stream: the next digest tells, it is asked for again, all readers heal."""
    monkeypatch.setattr(herald, "DIGEST_S", 0.0)
    url = sqlite_url(tmp_path)
    with migrated(url) as engine:
        fill(engine)
    with serving(url, nats_server.url), _open(nats_server.url) as door:
        offers = door.pair(uuid_of(1), "beta", NOW).offers
        [message] = [each for each in fleet(nats_server.url) if each.subject.endswith(".host-b")]
        wrong = msgspec.json.decode(message.data)
        wrong["digest"] = "0" * 64
        wrong["index"]["parents"] = {}
        tell(nats_server.url, [(message.subject, msgspec.json.encode(wrong))])
        _until(lambda: door.pair(uuid_of(1), "beta", NOW).offers == (), "the wrong state is believed")
        publish(nats_server.url, Publisher("host-z").snapshot(look(mtty(), hostname="omega")))
        _until(lambda: door.pair(uuid_of(1), "beta", NOW).offers == offers, "the right one is back")
        status = door.status()
        assert (status.differences, status.mended, status.reloads) == (1, 1, 0)


def test_a_closed_replica_answers_no_more(model: FleetModel, nats_server: Broker) -> None:
    """What it knew gets older, and nobody would tell."""
    door = _open(nats_server.url)
    door.close()
    for ask in (lambda: _outcome(door, "beta"), lambda: door.hosts(NOW), lambda: door.subscribe(Watch((uuid_of(1),)))):
        with pytest.raises(StateError, match="closed"):
            ask()


@pytest.mark.parametrize("age", [0, -1, float("nan"), float("inf")])
def test_an_age_that_can_not_be_meant_is_a_usage_error(replica: ReplicaDoor, age: float) -> None:
    """As in the URL."""
    with pytest.raises(UsageError, match="max_age_s"):
        replica.can_migrate(uuid_of(1), "beta", max_age_s=age)
    with pytest.raises(UsageError, match="max_age_s"):
        replica.targets(uuid_of(1), max_age_s=age)


def test_an_order_or_outcome_that_there_is_not_is_a_usage_error(replica: ReplicaDoor) -> None:
    """Not some other order, silently."""
    with pytest.raises(UsageError, match="group, name, free"):
        replica.targets(uuid_of(1), order="best")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="no outcome"):
        replica.targets(uuid_of(1)).having("yes")


class TestCache:
    """What is on disk answers when broker and registry are away."""

    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        """Where it is kept."""
        return tmp_path / "cache" / "fleet.sqlite3"

    def test_a_restarted_process_answers_at_once_with_everything_away(
        self, model: FleetModel, nats_server: Broker, file: Path
    ) -> None:
        """The same answers, of the cache, and no waiting; facts have the age that they have."""
        with _open(nats_server.url, f"?cache={file}") as door:
            before = door.can_migrate(uuid_of(1), "beta")
        nats_server.kill()
        begun = time.monotonic()
        with _open(nats_server.url, f"?cache={file}") as door:
            assert time.monotonic() - begun < 3
            after = door.can_migrate(uuid_of(1), "beta")
            status = door.status()
            assert (after.ruling, after.position) == (before.ruling, before.position)
            assert (after.facts_age_s or 0) > (before.facts_age_s or 0)
            assert (status.where, status.connected) == ("cache", False)
            assert status.replica_age_s is not None
            assert 0 < status.replica_age_s < 60

    def test_old_facts_of_the_cache_are_unknown(self, model: FleetModel, nats_server: Broker, file: Path) -> None:
        """Never yes on facts that are older than is allowed."""
        with _open(nats_server.url, f"?cache={file}"):
            pass
        nats_server.kill()
        time.sleep(0.5)
        with _open(nats_server.url, f"?cache={file}&max_age_s=1.2") as door:
            assert _outcome(door, "beta") == "unknown"
            assert door.can_migrate(uuid_of(1), "beta", max_age_s=3600).outcome == "compatible"

    def test_it_goes_on_from_where_it_was(self, model: FleetModel, nats_server: Broker, file: Path) -> None:
        """With the broker back only what is new is read."""
        with _open(nats_server.url, f"?cache={file}"):
            pass
        tell(nats_server.url, model.remove("host-c"))
        with _open(nats_server.url, f"?cache={file}") as door:
            _until(lambda: door.status().hosts == 2, "gamma is gone")
            assert (door.status().resumes, door.status().reloads) == (1, 0)
        with _open(nats_server.url, f"?cache={file}") as door:
            assert door.status().hosts == 2

    def test_a_cache_of_another_broker_is_replaced(self, model: FleetModel, nats_server: Broker, file: Path) -> None:
        """Another life of the stream: what was kept answers until the new fleet is complete, then it is gone."""
        with _open(nats_server.url, f"?cache={file}"):
            pass
        wipe(nats_server)
        new = FleetModel()
        tell(nats_server.url, [*new.ship(), *new.put(ModelHost("host-z", "omega", parents=(mtty(devices=[7]),)))])
        with _open(nats_server.url, f"?cache={file}") as door:
            _until(lambda: door.status().hosts == 1, "the new fleet is there")
        nats_server.kill()
        with _open(nats_server.url, f"?cache={file}") as door:
            assert [host.evidence.host for host in door.hosts(NOW).hosts] == ["host-z"]

    def test_a_damaged_cache_is_set_aside(self, model: FleetModel, nats_server: Broker, file: Path) -> None:
        """A cache can be made anew; the damaged one is kept beside it for whoever wants to know."""
        with _open(nats_server.url, f"?cache={file}"):
            pass
        damaged = file.read_bytes()[:100] + b"no page of a database" * 1_000
        file.write_bytes(damaged)
        with _open(nats_server.url, f"?cache={file}") as door:
            assert _outcome(door, "beta") == "compatible"
        assert file.with_name("fleet.sqlite3.broken").read_bytes() == damaged

    @pytest.mark.parametrize("kind", ["folder", "text", "database"])
    def test_what_is_not_ours_is_left_alone(
        self, model: FleetModel, nats_server: Broker, file: Path, kind: str
    ) -> None:
        """A forgotten file name must not take somebody's folder, nor a cache grow in somebody's database."""
        file.parent.mkdir()
        if kind == "folder":
            file.mkdir()
        elif kind == "text":
            file.write_text("notes")
        else:
            with sqlite3.connect(file) as connection:
                connection.execute("CREATE TABLE mine (id)")
            connection.close()
        before = None if kind == "folder" else file.read_bytes()
        with pytest.raises(StateError, match="a file of its own") as caught:
            _open(nats_server.url, f"?cache={file}")
        assert caught.value.code == "CACHE_FOREIGN"
        assert [path.name for path in file.parent.iterdir()] == [file.name]
        assert file.is_dir() if before is None else file.read_bytes() == before

    def test_one_process_has_it(self, model: FleetModel, nats_server: Broker, file: Path) -> None:
        """Two that write to one file would each resume at the other's place."""
        with _open(nats_server.url, f"?cache={file}"), pytest.raises(StateError, match="a file of its own"):
            _open(nats_server.url, f"?cache={file}")

    def test_what_another_program_kept_is_not_believed(
        self, model: FleetModel, nats_server: Broker, file: Path
    ) -> None:
        """The format is part of the mark."""
        with _open(nats_server.url, f"?cache={file}"):
            pass
        with sqlite3.connect(file) as connection:
            connection.execute("UPDATE mark SET value = '0.9' WHERE name = 'format'")
        connection.close()
        nats_server.kill()
        with pytest.raises(UnreachableError):
            _open(nats_server.url, f"?cache={file}", timeout_s=0.5)


class TestSubscribe:
    """Changes of verdicts, not of facts."""

    @staticmethod
    def _told(change: VerdictChange | None) -> tuple[str, str | None, str | None]:
        assert change is not None, "no change was told"
        before, after = (None if brief is None else str(brief.outcome) for brief in (change.before, change.after))
        return change.to, before, after

    def test_an_upgrade_that_changes_a_verdict_is_told_and_capacity_is_not(
        self, replica: ReplicaDoor, model: FleetModel, nats_server: Broker
    ) -> None:
        """Free instances move all day; a verdict that stays is no news."""
        with replica.subscribe(Watch(devices=(uuid_of(1),))) as changes:
            tell(
                nats_server.url,
                model.put(msgspec.structs.replace(BETA, parents=(mtty(version="3", minimum="2", free=0),))),
            )
            tell(nats_server.url, model.put(msgspec.structs.replace(BETA, parents=(mtty(version="9", minimum="9"),))))
            assert self._told(changes.get(10)) == ("host-b", "compatible", "incompatible")
            assert changes.get(0.2) is None

    def test_a_host_that_falls_silent_is_told_although_nothing_arrives(
        self, model: FleetModel, nats_server: Broker
    ) -> None:
        """Time passes: compatible becomes unknown when the facts are too old."""
        with _open(nats_server.url, "?max_age_s=3") as door, door.subscribe(Watch((uuid_of(1),), ("beta",))) as changes:
            assert self._told(changes.get(15)) == ("host-b", "compatible", "unknown")

    def test_rules_change_verdicts(self, replica: ReplicaDoor, model: FleetModel, nats_server: Broker) -> None:
        """A denial that names a site is told for that site's hosts only."""
        rule = Rule(
            id="r9",
            effect="deny",
            author="tests",
            message="no",
            valid_from=datetime.now(UTC),
            where=Scope(host=("beta",)),
        )
        with replica.subscribe(Watch((uuid_of(1),))) as changes:
            tell(nats_server.url, model.rule(rule))
            assert self._told(changes.get(10)) == ("host-b", "compatible", "incompatible")
            assert changes.get(0.2) is None

    def test_a_host_that_comes_and_goes_and_a_filter(
        self, replica: ReplicaDoor, model: FleetModel, nats_server: Broker
    ) -> None:
        """``None`` where there is no answer; other sites are not told."""
        new = ModelHost("host-d", "delta", site="b", parents=(mtty(),))
        with replica.subscribe(Watch((uuid_of(1),), site="b")) as changes:
            tell(nats_server.url, model.put(msgspec.structs.replace(new, id="host-e", hostname="eta", site="a")))
            tell(nats_server.url, model.put(new))
            assert self._told(changes.get(10)) == ("host-d", None, "compatible")
            tell(nats_server.url, model.remove("host-d"))
            assert self._told(changes.get(10)) == ("host-d", "compatible", None)

    def test_closing_ends_who_waits(self, replica: ReplicaDoor) -> None:
        """A thread that iterates ends with the subscription, or with the door."""
        changes = replica.subscribe(Watch((uuid_of(1),)))
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(list, changes)
            changes.close()
            assert waiting.result(10) == []

    @pytest.mark.parametrize("watch", [Watch(("nope",)), Watch((uuid_of(1),), ("nope",)), Watch(uuid_of(1))])  # type: ignore[arg-type]
    def test_what_is_not_there_can_not_be_watched(self, replica: ReplicaDoor, watch: Watch) -> None:
        """It would be silent for ever."""
        with pytest.raises(UsageError):
            replica.subscribe(watch)

    def test_nothing_watched_is_a_usage_error(self, replica: ReplicaDoor) -> None:
        """An empty watch would be silent for ever."""
        with pytest.raises(UsageError, match="at least one device"):
            replica.subscribe(Watch(devices=()))
