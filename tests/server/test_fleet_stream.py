"""MDEVREG_FLEET as readers of it need it: read from the start it is what the database has, whatever happened before."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from nats.aio.client import Client
from nats.aio.msg import Msg

from mdevreg import subjects, wire
from mdevreg.catalog import Entry
from mdevreg.knowledge import NOTHING, RuleChange
from mdevreg.published import FLEET_SCHEMA, bucket_of, decode_digest, decode_head
from mdevreg.query.pulling import life_of
from mdevreg.records import BEAT_SCHEMA, Beat, Parent, digest_of
from mdevreg.rules import Rule
from mdevreg_server import herald, ingest, presence, pulse
from mdevreg_server.broker import Broker
from mdevreg_server.bus import AS_IT_IS, connect, ensure_streams
from mdevreg_server.fleet import Fleet
from mdevreg_server.presence import clear_conflict
from mdevreg_server.serve import ServeConfig
from mdevreg_server.tables import HostState, Profile, StreamPosition
from support.bus_client import ask, fleet, publish, read_on, say, stream_info, with_client
from support.catalogs import entry, file_of, folder_of
from support.copies import copied
from support.fleet_reader import FleetReader, evidence_in, offers_in, offers_read
from support.hosts import look, mtty, random_text
from support.nats_server import StartBroker, restart, wipe
from support.processes import eventually
from support.publisher import EPOCH_START, Publisher
from support.registry import Desk, amendments, migrated
from support.serving import Serving, serving

RULE = Rule(id="draft", effect="deny", author="alice", message="known-bad build", valid_from=EPOCH_START)
Sent = list[tuple[str, dict[str, str], bytes]]


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is told every few seconds is told several times a second."""
    monkeypatch.setattr(herald, "PRESENCE_S", 0.1)
    monkeypatch.setattr(herald, "DIGEST_S", 0.1)
    monkeypatch.setattr(pulse, "FLUSH_S", 0.1)
    monkeypatch.setattr(ingest, "PULL_S", 0.2)


class Scene:
    """A registry's database and broker; registries come and go. ``reader`` follows all the time."""

    def __init__(self, engine: sa.Engine, broker: Broker) -> None:
        self.engine, self.broker = engine, broker
        self.url = engine.url.render_as_string(hide_password=False)
        self.reader = FleetReader(broker.url)

    @contextmanager
    def serving(self, **options: Any) -> Iterator[Serving]:
        """A registry that stands."""
        with serving(self.url, self.broker.url, **options) as registry:
            yield registry

    def publish(self, publisher: Publisher, *records: bytes) -> None:
        """As its agent does."""
        publish(self.broker.url, records)
        self.beat(publisher)

    def beat(self, publisher: Publisher, *, leaving: bool = False, ahead_s: float | None = None) -> None:
        """A sign of life; of an agent that tells its clock, if that is ahead by so much."""
        at = None if ahead_s is None else datetime.now(UTC) + timedelta(seconds=ahead_s)
        beat = Beat(
            schema=BEAT_SCHEMA,
            host=publisher.host,
            epoch=publisher.epoch,
            seq=publisher.seq,
            digest=publisher.digest,
            leaving=leaving,
            at=at,
        )
        say(self.broker.url, subjects.beat(publisher.host), wire.encode(beat))

    def differences(self, reader: FleetReader) -> dict[str, Any]:
        """What a reader of the whole stream knows otherwise than the database has it."""
        believed = NOTHING.amended(amendment for _, _, amendment in amendments(self.engine))
        read = {host: reader.evidence(state) for host, state in reader.hosts.items()}
        told, offers, offered = evidence_in(self.url), offers_read(reader), offers_in(self.engine)
        found = {
            "hosts": {host for host in told.keys() | read.keys() if told.get(host) != read.get(host)},
            "offers": offers ^ offered,
            "entries": reader.knowledge.entries != believed.entries,
            "rules": reader.knowledge.rules != believed.rules,
            "buckets": reader.wrong_buckets() if "0" in reader.below("digest") else "no digest",
        }
        return {what: difference for what, difference in found.items() if difference}

    def agree(self, registry: Serving) -> None:
        """Wait until the follower and a new reader know what the database has; fails with what they know otherwise."""
        found: dict[str, Any] = {}

        def agreed() -> bool:
            for reader in (self.reader, FleetReader(self.broker.url)):
                found.clear()
                found.update(self.differences(reader.read_on()))
                if found:
                    return False
            return True

        try:
            registry.until(agreed, "the stream is what the database has")
        except AssertionError as error:
            raise AssertionError(f"{found}\n{error}") from error


@pytest.fixture
def scene(sqlite_database_url: str, nats_server: Broker) -> Iterator[Scene]:
    """On SQLite."""
    with migrated(sqlite_database_url) as engine:
        yield Scene(engine, nats_server)


def _hosts(scene: Scene, *numbers: int, version: str = "2") -> list[Publisher]:
    publishers = [Publisher(f"host-{number}") for number in numbers]
    for publisher in publishers:
        scene.publish(publisher, *publisher.snapshot(look(mtty(version=version), hostname=publisher.host)))
    eventually(lambda: all(_settled(scene, each.host) == each.seq for each in publishers), "they are applied")
    return publishers


def _settled(scene: Scene, host: str) -> int | None:
    with scene.engine.connect() as connection:
        return connection.scalar(sa.select(HostState.settled).where(HostState.host == host))


def _all(scene: Scene) -> list[Msg]:
    return read_on(scene.broker.url, subjects.FLEET_STREAM, 0)


def _subjects(scene: Scene) -> list[str]:
    return [msg.subject.removeprefix(f"{subjects.FLEET}.") for msg in _all(scene)]


def _of_hosts(order: list[str]) -> list[str]:
    return [subject for subject in order if subject.startswith(("host.", "digest."))]


def _last_seq(scene: Scene) -> int:
    return stream_info(scene.broker.url, subjects.FLEET_STREAM).state.last_seq


def _send(scene: Scene, sent: Sent) -> None:
    """Put messages into the fleet stream that no registry wrote."""

    async def work(client: Client) -> None:
        for subject, headers, data in sent:
            await client.jetstream().publish(subject, data, headers=headers or None, timeout=5)

    with_client(scene.broker.url, work)


def _decide(scene: Scene, message: str) -> Rule:
    request = msgspec.json.encode({"rule": msgspec.structs.replace(RULE, message=message)})
    return msgspec.json.decode(ask(scene.broker.url, subjects.decision("add-rule"), request).data, type=Rule)


def test_a_profile_is_published_before_the_first_host_that_has_it(scene: Scene) -> None:
    """As it is in the database; also for who reads the stream after another start, and after a broker's loss."""
    for number in (1, 2):
        with scene.serving() as registry:
            _hosts(scene, 2 * number)
            _hosts(scene, 2 * number + 1, version="3")
            scene.agree(registry)
            _see_profiles_first(scene)
        if number == 1:
            wipe(scene.broker)
    with scene.engine.connect() as connection:
        stored = {row.digest: row.body for row in connection.execute(sa.select(Profile.digest, Profile.body))}
    assert {token: data.decode() for token, data in scene.reader.below("profile").items()} == stored
    before = {msg.subject: msg.metadata.sequence.stream for msg in _profiles(scene)}
    with scene.serving() as registry:
        scene.agree(registry)
    assert {msg.subject: msg.metadata.sequence.stream for msg in _profiles(scene)} == before


def _profiles(scene: Scene) -> list[Msg]:
    return fleet(scene.broker.url, f"{subjects.FLEET}.profile.*")


def _see_profiles_first(scene: Scene) -> None:
    known: set[str] = set()
    for msg in _all(scene):
        kind, _, token = msg.subject.removeprefix(f"{subjects.FLEET}.").partition(".")
        if kind == "profile":
            assert digest_of(msg.data) == token
            known.add(token)
        elif kind == "host":
            index = decode_head(msg.data).index
            assert index is not None
            assert set(index.profiles) <= known


def test_decisions_are_in_the_stream_before_they_are_answered(scene: Scene) -> None:
    """With their log position; so whoever asks a replica next is answered by them."""
    with scene.serving() as registry:
        _hosts(scene, 1)
        for number in range(3):
            reply = _decide(scene, f"build {number}")
            believed = FleetReader(scene.broker.url).read_on().knowledge
            assert reply.id in believed.rules
        scene.agree(registry)
    headers = {msg.subject: msg.headers for msg in fleet(scene.broker.url, f"{subjects.FLEET}.amendment.*")}
    assert headers == {
        subjects.fleet_amendment(position, 0): {subjects.POSITION_HEADER: str(position)} for position in (1, 5, 6, 7)
    }


def test_whoever_decided_waits_for_what_was_committed_before_but_not_for_ever(
    sqlite_database_url: str, nats_server: Broker
) -> None:
    """A broker that is slow, or away, keeps nobody from a reply."""

    async def work(desk: Desk, speaker: herald.Herald) -> None:
        assert await speaker.told(0.1)
        async with speaker._lock:  # as a large lot does
            change = RuleChange(rule=RULE)
            speaker.committed(desk.ledger.amend(lambda _: change, author="bob", now_us=1))
            assert not await speaker.told(0.1)
        assert await speaker.told(5.0)

    with migrated(sqlite_database_url) as engine:
        _with_herald(nats_server, Desk(engine), work)
    assert "1" in FleetReader(nats_server.url).read_on().below("amendment")


def _with_herald(broker: Broker, desk: Desk, work: Callable[[Desk, herald.Herald], Awaitable[None]]) -> None:
    """A herald that is attached, and does nothing by itself but what it does with amendments."""

    async def run() -> None:
        client = await connect(broker.url, creds=None, timeout_s=5, say=lambda _: None)
        _, info = await ensure_streams(client.jetstream(), AS_IT_IS)
        with ThreadPoolExecutor(1) as writer:
            speaker = herald.Herald(desk.ledger, writer, published=lambda _: None, say=lambda _: None)
            running = asyncio.ensure_future(speaker.run())
            await speaker.attach(Fleet(client, client.jetstream(), info))
            await work(desk, speaker)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await speaker.close()
        await client.close()

    asyncio.run(run())


def test_a_catalog_too_large_for_the_broker_comes_in_parts(sqlite_database_url: str, start_broker: StartBroker) -> None:
    """Each part is an amendment; removed entries are in them too."""
    broker = start_broker(max_payload=16_000)
    many = [entry(f"site-{number}", about=random_text(900, number)) for number in range(60)]
    with migrated(sqlite_database_url) as engine:
        desk, scene = Desk(engine), Scene(engine, broker)
        desk.book.import_entries(many, author="bob")
        desk.book.set_entries("import", _mixed(many), author="bob")
        with scene.serving() as registry:
            scene.agree(registry)
        parts = [token for token in scene.reader.below("amendment") if "-" in token]
        assert len(parts) > 6
        assert scene.reader.knowledge.entries["import"].keys() == {each.id for each in _mixed(many)}


def _mixed(entries: list[Entry]) -> list[Entry]:
    return [*entries[40:], *(entry(f"new-{number}", about=random_text(900, -number)) for number in range(30))]


def test_what_the_folder_says_while_the_broker_is_away_is_published_when_it_is_back(
    scene: Scene, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The log has it."""
    folder = folder_of(tmp_path_factory.mktemp("catalog"), good=file_of("site-1"))
    with scene.serving(catalog=folder) as registry:
        scene.broker.kill()
        folder_of(folder, good=file_of("site-1", "site-2"))
        registry.until(lambda: "site-2" in _believed(scene), "it is believed")
        scene.broker.start()
        scene.agree(registry)
        assert "site-2" in scene.reader.knowledge.entries["folder"]


def _believed(scene: Scene) -> set[str]:
    return set(NOTHING.amended(amendment for _, _, amendment in amendments(scene.engine)).entries["folder"])


def test_presence_is_what_the_database_says_of_it(scene: Scene) -> None:
    """Beats, goodbyes, a second agent, and a person who decides; also of a host that is only heard."""
    with scene.serving() as registry:
        one, two = _hosts(scene, 1, 2)
        scene.agree(registry)
        first = scene.reader.presence("host-1").seen_us["host-1"]
        scene.beat(one)
        scene.beat(two, leaving=True)
        scene.beat(Publisher("host-9"))
        registry.until(lambda: "host-9" in scene.reader.read_on().presence("host-9").seen_us, "it is heard")
        scene.agree(registry)
        assert scene.reader.presence("host-1").seen_us["host-1"] > first
        assert "host-2" in scene.reader.presence("host-2").leaving
        rival = Publisher("host-1")
        publish(scene.broker.url, rival.snapshot(look(mtty(free=0), hostname="rival")))
        registry.until(lambda: evidence_in(scene.url)["host-1"].conflict, "two claim it")
        scene.agree(registry)
        assert "host-1" in scene.reader.presence("host-1").conflicts
        with scene.engine.begin() as connection:
            clear_conflict(connection, "host-1")
        registry.until(lambda: "host-1" not in scene.reader.read_on().presence("host-1").conflicts, "it is cleared")
        scene.agree(registry)
        registry.until(lambda: not scene.reader.read_on().hosts["host-1"].conflict, "its state says so too")


def test_a_clock_beyond_the_bound_is_told_until_it_is_right(scene: Scene) -> None:
    """Of the database, to readers who follow, and to those who come later; an agent of before tells nothing."""
    with scene.serving(max_clock_skew_s=30.0) as registry:
        one, two, three = _hosts(scene, 1, 2, 3)
        scene.beat(one, ahead_s=7_200.0)
        scene.beat(two, ahead_s=-90.0)
        scene.beat(three, ahead_s=20.0)
        registry.until(lambda: evidence_in(scene.url)["host-2"].clock_skew_s is not None, "they are measured")
        scene.agree(registry)
        told = {host: evidence.clock_skew_s for host, evidence in evidence_in(scene.url).items()}
        assert told == {"host-1": pytest.approx(7_200, abs=5), "host-2": pytest.approx(-90, abs=5), "host-3": None}
        assert scene.reader.presence("host-1").skew_us.keys() >= {"host-1"}
        assert any(line.startswith("clock.skewed host=host-1 skew_s=+7") for line in registry.said)
        scene.beat(one)
        scene.beat(two, ahead_s=0.0)
        registry.until_said("clock.right host=host-2")
        registry.until(lambda: set(_skews(scene)) == {None}, "they are right")
        scene.agree(registry)


def _skews(scene: Scene) -> list[float | None]:
    return [evidence.clock_skew_s for evidence in evidence_in(scene.url).values()]


def test_a_conflict_that_is_cleared_at_once_leaves_no_trace(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two rounds it came, wrote the host's presence, and went."""
    with scene.serving() as registry:
        _hosts(scene, 1)
        scene.agree(registry)
        with monkeypatch.context() as slower:
            slower.setattr(herald, "PRESENCE_S", 1_000.0)
            publish(scene.broker.url, Publisher("host-1").snapshot(look(mtty(free=0), hostname="rival")))
            registry.until(lambda: evidence_in(scene.url)["host-1"].conflict, "two claim it")
            with scene.engine.begin() as connection:
                clear_conflict(connection, "host-1")
        scene.agree(registry)


def test_presence_that_could_not_be_told_is_told_when_the_broker_is_back(scene: Scene) -> None:
    """It stays due."""
    with scene.serving() as registry:
        (one,) = _hosts(scene, 1)
        scene.agree(registry)
        scene.broker.kill()
        with scene.engine.begin() as connection:
            presence.flag_conflict(connection, "host-1", "by hand", 2_000_000_000_000_000)
        scene.broker.start()
        scene.agree(registry)
        assert scene.reader.presence("host-1").conflicts == (one.host,)


def test_a_digest_counts_what_is_before_it_and_comes_when_all_is_quiet(scene: Scene) -> None:
    """One for many hosts; it is the stream's last word on them."""
    with scene.serving() as registry:
        _hosts(scene, *range(20))
        scene.agree(registry)
        told = decode_digest(scene.reader.below("digest")["0"])
        assert (told.hosts, len(told.buckets)) == (20, len({bucket_of(f"host-{n}") for n in range(20)}))
        registry.until(lambda: _of_hosts(_subjects(scene))[-1] == "digest.0", "it is the last word on them")


def test_what_the_stream_has_and_the_database_has_not_is_taken_back(scene: Scene) -> None:
    """Hosts, amendments and their parts, presence, digests: seen at the next start. Agents learn of it."""
    with scene.serving() as registry:
        _hosts(scene, 1)
        scene.agree(registry)
    ghost = fleet(scene.broker.url)[0].data.replace(b"host-1", b"host-8")
    amendment = scene.reader.below("amendment")["1"]
    sent: Sent = [
        (subjects.fleet_host("host-8"), {subjects.EPOCH_HEADER: "epoch-1", subjects.SEQ_HEADER: "3"}, ghost),
        (subjects.fleet_amendment(9, 0), {}, amendment),
        (subjects.fleet_amendment(9, 1), {}, amendment),
        (subjects.fleet_amendment(1, 1), {}, amendment),
        (subjects.fleet_presence(bucket_of("nobody")), {}, b'{"schema":"1.2","seen_us":{"nobody":1}}'),
        (subjects.fleet_digest(3), {}, b'{"schema":"1.2","position":99,"hosts":0}'),
    ]
    for marked in (True, False):
        _send(scene, sent)
        if not marked:
            _forget_mark(scene)
        with scene.serving() as registry:
            scene.agree(registry)
            assert scene.reader.hosts.keys() == {"host-1"}
            assert scene.reader.below("amendment").keys() == {"1"}
            assert scene.reader.below("digest").keys() == {"0"}
            assert "nobody" not in scene.reader.presence("nobody").seen_us
            [receipt] = [msg for msg in fleet(scene.broker.url) if msg.subject == subjects.fleet_host("host-8")]
            assert receipt.headers is not None
            assert (receipt.headers[subjects.EPOCH_HEADER], receipt.headers[subjects.SEQ_HEADER]) == ("", "0")


def _forget_mark(scene: Scene) -> None:
    with scene.engine.begin() as connection:
        connection.execute(sa.delete(StreamPosition).where(StreamPosition.stream == subjects.FLEET_STREAM))


def test_a_restart_publishes_no_host_again(scene: Scene) -> None:
    """The mark vouches for what is in the stream: a hundred thousand hosts are not written at every start."""
    with scene.serving() as registry:
        _hosts(scene, 1, 2)
        scene.agree(registry)
    before = [msg.metadata.sequence.stream for msg in fleet(scene.broker.url)]
    with scene.serving() as registry:
        scene.agree(registry)
    assert [msg.metadata.sequence.stream for msg in fleet(scene.broker.url)] == before


def test_a_mark_of_another_format_is_none(scene: Scene) -> None:
    """Written by the program before: everything is published in the new format, once."""
    with scene.serving() as registry:
        _hosts(scene, 1, 2)
        scene.agree(registry)
    info = stream_info(scene.broker.url, subjects.FLEET_STREAM)
    with scene.engine.begin() as connection:
        mine = StreamPosition.stream == subjects.FLEET_STREAM
        row = connection.execute(sa.select(StreamPosition.created).where(mine)).one()
        assert row.created == f"{life_of(info)} {FLEET_SCHEMA}"
        connection.execute(sa.update(StreamPosition).where(mine).values(created=life_of(info)))
    with scene.serving() as registry:
        scene.agree(registry)
    assert all(msg.metadata.sequence.stream > info.state.last_seq for msg in fleet(scene.broker.url))


@contextmanager
def _where_it_was(scene: Scene) -> Iterator[None]:
    """What is written meanwhile is committed as if the stream had brought it: nothing comes again."""
    mine = StreamPosition.stream == subjects.RECORDS_STREAM
    with scene.engine.connect() as connection:
        before = connection.execute(sa.select(StreamPosition.created, StreamPosition.stream_seq).where(mine)).one()
    yield
    with scene.engine.begin() as connection:
        connection.execute(sa.update(StreamPosition).where(mine).values(**before._mapping))


def test_what_was_settled_and_not_published_is_published_at_the_next_start(scene: Scene) -> None:
    """A refused record moves what is settled, and no position: the registry died before it could say so."""
    publisher = Publisher("host-1")
    records = publisher.snapshot(look(mtty(), hostname="host-1"))
    with scene.serving() as registry:
        publish(scene.broker.url, records)
        scene.agree(registry)
    refused = publisher.changes(look(mtty(free=1), hostname="host-1"))[0].replace(b'"schema":"1.', b'"schema":"9.')
    with _where_it_was(scene):
        Desk(scene.engine).take(refused)
    with scene.serving() as registry:
        scene.agree(registry)
        assert scene.reader.hosts["host-1"].seq == 4


def test_a_host_too_large_for_the_broker_does_not_stop_the_others(
    sqlite_database_url: str, start_broker: StartBroker
) -> None:
    """Its documents stay away; its index and its agent's receipt come."""
    broker = start_broker(max_payload=64 * 1024)
    with migrated(sqlite_database_url) as engine:
        scene = Scene(engine, broker)
        with scene.serving() as registry:
            large = Publisher("host-1")
            big = [_described(f"mtty{number}", number) for number in range(24)]
            scene.publish(large, *large.snapshot(look(*big, hostname="host-1")))
            _hosts(scene, 2)
            scene.agree(registry)
        state = scene.reader.hosts["host-1"]
        assert (state.seq, state.parents, bytes(state.facts)) == (large.seq, {}, b"null")
        assert state.index is not None
        assert len(state.index.parents) == 24


def _described(name: str, seed: int) -> Parent:
    return msgspec.structs.replace(mtty(name), attributes={"text": random_text(3_000, seed)})


def _allow(scene: Scene, max_msg_size: int) -> None:
    """Let the broker refuse larger messages of the fleet stream; -1: none."""

    async def work(client: Client) -> None:
        js = client.jetstream()
        config = (await js.stream_info(subjects.FLEET_STREAM)).config
        await js.update_stream(config.evolve(max_msg_size=max_msg_size))

    with_client(scene.broker.url, work)


def test_a_decision_that_the_broker_does_not_take_is_taken_all_the_same(scene: Scene) -> None:
    """It is answered, though later, and published as soon as that can be; the registry says why it is not."""
    with scene.serving() as registry:
        scene.agree(registry)
        _allow(scene, 2_000)
        rule = _decide(scene, "\N{LABEL}" * 1_000)  # four bytes each
        registry.until_said("message size exceeds maximum allowed")
        assert rule.id not in scene.reader.read_on().knowledge.rules
        _allow(scene, -1)
        scene.agree(registry)
        assert rule.id in scene.reader.knowledge.rules


def test_a_rule_that_no_message_can_hold_stops_the_line_with_the_way_out(scene: Scene) -> None:
    """A replica without it would say yes where the registry says no."""
    Desk(scene.engine).book.add_rule(msgspec.structs.replace(RULE, message="\N{LABEL}" * 1_000))
    with scene.serving() as registry:
        scene.agree(registry)
    _allow(scene, 3_000)
    _forget_mark(scene)
    registry = Serving(ServeConfig(database=scene.url, nats=scene.broker.url))
    registry.start()
    try:
        registry.until_said("the broker takes 3000; raise its max_payload, or the stream's max_msg_size")
        _allow(scene, -1)
        registry.wait_until_ready()
        scene.agree(registry)
    finally:
        registry.stop()


def test_a_lot_that_was_refused_in_its_midst_is_published_again(scene: Scene) -> None:
    """Nobody knows what of it was stored, so no digest counts it; the line learns the broker's bound and goes on."""
    with scene.serving() as registry:
        (one,) = _hosts(scene, 1)
        scene.agree(registry)
        _allow(scene, 12_000)
        many = [_described(f"mtty{number}", number) for number in range(12)]
        scene.publish(one, *one.changes(look(*many, hostname="host-1")))
        _hosts(scene, 2)
        registry.until_said("code=FLEET_REFUSED")
        registry.until(lambda: "host-2" in evidence_in(scene.url), "the line goes on")
        scene.agree(registry)
        assert scene.reader.hosts["host-1"].parents == {}


def _asked(scene: Scene, endpoint: str, request: Any) -> Any:
    return msgspec.json.decode(ask(scene.broker.url, subjects.query(endpoint), msgspec.json.encode(request)).data)


def test_a_reader_that_found_a_difference_asks_which_hosts_and_for_those_again(scene: Scene) -> None:
    """By id or by bucket; one that the database does not know is taken back."""
    with scene.serving() as registry:
        _hosts(scene, 1, 2)
        scene.agree(registry)
        name = f"{bucket_of('host-1'):02x}"
        tokens = _asked(scene, "tokens", {"buckets": [name]})
        state = scene.reader.hosts["host-1"]
        assert tokens["hosts"].keys() == {
            host for host in ("host-1", "host-2") if bucket_of(host) == bucket_of("host-1")
        }
        assert tokens["position"] == 7
        assert tokens["hosts"]["host-1"] == decode_digest(scene.reader.below("digest")["0"]).buckets[name]
        _send(scene, [(subjects.fleet_host("host-8"), {}, wire.encode(state).replace(b"host-1", b"host-8"))])
        before = _last_seq(scene)
        assert _asked(scene, "republish", {"hosts": ["host-8", "host-2"]}) == {"published": 2}
        again = {msg.subject for msg in read_on(scene.broker.url, subjects.FLEET_STREAM, before)}
        assert {subjects.fleet_host("host-2"), subjects.fleet_host("host-8")} <= again
        assert subjects.fleet_host("host-1") not in again
        assert _asked(scene, "republish", {"buckets": [name]})["published"] >= 1
        scene.agree(registry)
        assert _asked(scene, "republish", {})["code"] == "USAGE"
        assert _asked(scene, "tokens", {"buckets": ["xx"]})["code"] == "BAD_REQUEST"


def test_a_digest_is_never_behind_a_host_that_was_asked_for(sqlite_database_url: str, nats_server: Broker) -> None:
    """Its newest state was said at once, and what was committed before it comes before the next digest."""
    one, two = Publisher("host-1"), Publisher("host-2")

    async def work(desk: Desk, speaker: herald.Herald) -> None:
        speaker.committed(desk.take(*two.snapshot(look(mtty()))))
        speaker.committed(desk.take(*one.snapshot(look(mtty()))))
        assert await speaker.publish(["host-1"]) == 1
        await asyncio.sleep(0.1)
        await speaker.catch_up()

    with migrated(sqlite_database_url) as engine:
        _with_herald(nats_server, Desk(engine), work)
        scene = Scene(engine, nats_server)
        assert decode_digest(scene.reader.read_on().below("digest")["0"]).position == 6
        assert "buckets" not in scene.differences(scene.reader)


def test_after_a_rebuild_everything_is_published_anew(scene: Scene) -> None:
    """A newer program may make something else of the log."""
    with scene.serving() as registry:
        _hosts(scene, 1, 2)
        scene.agree(registry)
    before = _last_seq(scene)
    Desk(scene.engine).ledger.rebuild()
    with scene.serving() as registry:
        scene.agree(registry)
    assert all(msg.metadata.sequence.stream > before for msg in fleet(scene.broker.url))


def test_registries_that_share_a_fleet_say_as_much_but_its_digest(
    postgresql_database_url: str, nats_server: Broker
) -> None:
    """Hosts by whoever has their partition; amendments, presence and what is asked for again whoever was asked."""
    with migrated(postgresql_database_url) as engine:
        scene = Scene(engine, nats_server)
        with scene.serving() as registry:
            _hosts(scene, 1)
            scene.agree(registry)
        with scene.serving(partitions=2) as one, scene.serving(partitions=2) as two:
            _hosts(scene, *range(2, 8))
            for number in range(4):
                _decide(scene, f"build {number}")
            scene.beat(Publisher("host-9"))
            two.until(lambda: scene.differences(scene.reader.read_on()) == {"buckets": "no digest"}, "all is said")
            before = _last_seq(scene)
            hosts = [f"host-{number}" for number in range(1, 8)]
            assert _asked(scene, "republish", {"hosts": hosts}) == {"published": 7}
            told = {subjects.fleet_host(host) for host in hosts}
            one.until(lambda: told <= {msg.subject for msg in _after(scene, before)}, "they are said again")


def _after(scene: Scene, seq: int) -> list[Msg]:
    return read_on(scene.broker.url, subjects.FLEET_STREAM, seq)


def test_a_reader_ends_where_the_database_is_whatever_happened(database_url: str, nats_server: Broker) -> None:
    """Records, decisions, beats, refused records, restarts, a wiped broker, an older copy of the database."""
    chance = random.Random(1)
    with migrated(database_url) as engine:
        scene = Scene(engine, nats_server)
        life = _Life(scene, chance)
        restore: Callable[[], None] | None = None
        for number in range(6):
            with scene.serving() as registry:
                for _ in range(chance.randint(3, 8)):
                    life.step()
                if chance.random() < 0.5:
                    chance.choice((wipe, restart))(nats_server)
                    registry.until(lambda: _attached(registry) == 2, "it attaches again")
                    life.step()
                scene.agree(registry)
            engine.dispose()
            if number == 2:
                restore = copied(database_url)
            elif number == 4 and restore is not None:
                restore()
        assert scene.reader.hosts


def _attached(registry: Serving) -> int:
    return sum(line.startswith("ingest.attached") for line in list(registry.said))


class _Life:
    """What happens to a fleet."""

    def __init__(self, scene: Scene, chance: random.Random) -> None:
        self._scene, self._chance = scene, chance
        self._publishers = [Publisher(f"host-{number}") for number in range(8)]
        self._steps = (
            self._look,
            self._look,
            self._look,
            self._snapshot,
            self._beat,
            self._leave,
            self._decide,
            self._refused,
        )

    def step(self) -> None:
        """The next thing."""
        self._chance.choice(self._steps)()

    def _seen(self, publisher: Publisher) -> Any:
        names = self._chance.sample(("mtty", "mtty2", "mtty3"), self._chance.randint(0, 3))
        free, version = self._chance.randint(0, 3), self._chance.choice("123")
        return look(*(mtty(name, free=free, version=version) for name in names), hostname=publisher.host)

    def _one(self) -> Publisher:
        return self._chance.choice(self._publishers)

    def _look(self) -> None:
        publisher = self._one()
        seen = self._seen(publisher)
        self._scene.publish(publisher, *(publisher.changes(seen) if publisher.seq else publisher.snapshot(seen)))

    def _snapshot(self) -> None:
        at = self._chance.randrange(len(self._publishers))
        publisher = Publisher(f"host-{at}", f"epoch-{self._chance.getrandbits(32)}")
        self._publishers[at] = publisher
        self._scene.publish(publisher, *publisher.snapshot(self._seen(publisher)))

    def _beat(self) -> None:
        self._scene.beat(self._one())

    def _leave(self) -> None:
        self._scene.beat(self._one(), leaving=True)

    def _decide(self) -> None:
        _decide(self._scene, f"build {self._chance.getrandbits(32)}")

    def _refused(self) -> None:
        publisher = self._one()
        seen = self._seen(publisher)
        for record in publisher.changes(seen) if publisher.seq else publisher.snapshot(seen):
            publish(self._scene.broker.url, [record.replace(b'"cause":{', b'"cause":{"events":"many",', 1)])
