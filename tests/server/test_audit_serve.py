"""A registry that runs keeps its tree up and has checkpoints leave, alone or as one of several."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from nats.aio.client import Client

from mdevreg import subjects
from mdevreg.audit.notes import Checkpoint, read_checkpoint, read_note, signers
from mdevreg.signing import SigningKey, verify
from mdevreg_server.audit.auditor import SqlAuditor
from mdevreg_server.audit.files import CheckpointFolder, make_key
from mdevreg_server.audit.keeper import AuditConfig
from mdevreg_server.broker import Broker
from mdevreg_server.engine import open_engine
from support.bus_client import publish
from support.hosts import look, mtty
from support.processes import RunCli
from support.publisher import Publisher
from support.registry import logged, migrated
from support.serving import serving

#: Takeover is looked after every two seconds.
TAKEN_WITHIN_S = 20.0
#: A log that grows is verified at more sizes than so many.
AT_SIZES = 3


@pytest.fixture
def key(tmp_path: Path) -> SigningKey:
    return make_key(tmp_path / "audit.key", "log.example")


@pytest.fixture
def audit(tmp_path: Path, key: SigningKey) -> AuditConfig:
    return AuditConfig(tmp_path / "audit.key", tmp_path / "out", 0.2)


def _snapshot(name: str) -> list[bytes]:
    return Publisher(name).snapshot(look(mtty(), hostname=name))


@contextmanager
def _listening(url: str) -> Iterator[list[bytes]]:
    """What is published as checkpoints meanwhile."""
    heard: list[bytes] = []
    ready, done = threading.Event(), threading.Event()

    async def listen() -> None:
        client = Client()
        await client.connect(url)
        subscription = await client.subscribe(subjects.CHECKPOINTS)
        await client.flush()
        ready.set()
        while not done.is_set():
            if subscription.pending_msgs:
                heard.append((await subscription.next_msg()).data)
            await asyncio.sleep(0.01)
        await client.close()

    thread = threading.Thread(target=lambda: asyncio.run(listen()))
    thread.start()
    assert ready.wait(10)
    try:
        yield heard
    finally:
        done.set()
        thread.join(10)


def _last(out: Path) -> Checkpoint:
    found = CheckpointFolder(out).latest("log.example")
    assert found is not None
    return found


def test_checkpoints_leave_over_nats_and_into_the_folder(
    database_url: str, nats_server: Broker, key: SigningKey, audit: AuditConfig, run_cli: RunCli, tmp_path: Path
) -> None:
    """Verified while it ingests, by the command; the last one, at the end, vouches for all."""
    assert audit.folder is not None
    with (
        migrated(database_url) as engine,
        serving(database_url, nats_server.url, audit=audit) as registry,
        _listening(nats_server.url) as heard,
    ):
        publish(nats_server.url, _snapshot("a"))
        registry.until(lambda: len(logged(engine)) == 3, "records are logged")
        registry.until(lambda: bool(heard), "a checkpoint is published")
        note = read_note(heard[-1])
        assert signers(note, [key.public], verify) == (key.public,)
        grown = read_checkpoint(note).size
        public = ["--public-key", key.public.text]
        command = ["mdevreg", "audit", "verify", *public, "--url", database_url]
        done = run_cli(command)
        assert (done.returncode, done.stdout.split(":")[0]) == (0, "yes"), done.stdout + done.stderr
        publish(nats_server.url, _snapshot("b"))
        registry.until(lambda: read_checkpoint(read_note(heard[-1])).size >= grown + 3, "the next one is published")
        publish(nats_server.url, _snapshot("c"))
        registry.until(lambda: len(logged(engine)) == 9, "records are logged")
    reader = open_engine(database_url, writer=False)
    outside = (audit.folder / "latest.checkpoint").read_bytes()
    found = SqlAuditor(reader).verify(checkpoints=[("latest", outside)], keys=[key.public])
    reader.dispose()
    assert (found.findings, found.vouched_size) == ((), found.records)
    assert _last(audit.folder).size == found.records
    with serving(database_url, nats_server.url, audit=audit) as again, _listening(nats_server.url) as heard:
        again.until(lambda: outside in heard, "who listens only now hears it too")


def test_a_registry_that_ingests_verifies_at_any_moment(
    database_url: str, nats_server: Broker, key: SigningKey, audit: AuditConfig
) -> None:
    """Each verification is of one snapshot: what is not in the tree yet, or half applied, is no trace of tampering."""
    enough, sizes = threading.Event(), set[int]()

    def go_on() -> None:
        for number in itertools.takewhile(lambda _: not enough.is_set(), itertools.count()):
            publish(nats_server.url, _snapshot(f"host-{number}"))

    with migrated(database_url), serving(database_url, nats_server.url, audit=audit) as registry:
        publishing = threading.Thread(target=go_on)
        publishing.start()
        reader = open_engine(database_url, writer=False)
        try:
            while len(sizes) <= AT_SIZES:
                found = SqlAuditor(reader).verify(keys=[key.public])
                assert found.findings == ()
                sizes.add(found.records)
                assert registry.error is None
        finally:
            enough.set()
            publishing.join()
            reader.dispose()


def test_a_tampered_log_stops_the_signing_and_nothing_else(
    database_url: str, nats_server: Broker, audit: AuditConfig
) -> None:
    """It is said; ingest goes on."""
    assert audit.folder is not None
    with migrated(database_url) as engine:
        with serving(database_url, nats_server.url, audit=audit) as registry:
            publish(nats_server.url, _snapshot("a"))
            registry.until(lambda: len(logged(engine)) == 3, "records are logged")
        before = _last(audit.folder)
        with engine.begin() as connection:
            connection.execute(sa.text("UPDATE record_log SET seq = 99 WHERE seq = 1 AND host = 'a'"))
            connection.execute(sa.text("DELETE FROM log_tile"))
        with serving(database_url, nats_server.url, audit=audit) as registry:
            publish(nats_server.url, _snapshot("b"))
            registry.until_said("audit.failed code=LOG_REWRITTEN")
            registry.until(lambda: len(logged(engine)) == 6, "records are logged all the same")
        assert _last(audit.folder) == before


def test_of_several_registries_one_signs_and_another_takes_over(
    postgresql_database_url: str, nats_server: Broker, key: SigningKey, audit: AuditConfig
) -> None:
    """The leading one; when it is gone, the tree goes on where it was."""
    url = postgresql_database_url
    assert audit.folder is not None
    out = audit.folder
    with migrated(url) as engine, serving(url, nats_server.url, partitions=2, audit=audit) as second:
        with serving(url, nats_server.url, partitions=2, audit=audit) as first:
            publish(nats_server.url, [*_snapshot("a"), *_snapshot("b")])
            second.until(lambda: len(logged(engine)) == 6, "records are logged")
            second.until(lambda: _last(out).size >= 6, "they are signed")
            signing = [each for each in (first, second) if any("audit.checkpoint" in line for line in each.said)]
            assert len(signing) == 1
        before = _last(out).size
        publish(nats_server.url, _snapshot("c"))
        second.until(lambda: len(logged(engine)) == 9, "records are logged", TAKEN_WITHIN_S)
        second.until(lambda: _last(out).size >= before + 3, "the other one signs", TAKEN_WITHIN_S)
        found = SqlAuditor(engine).verify(keys=[key.public])
    assert (found.findings, found.vouched_size) == ((), found.records)


def test_an_old_log_is_integrated_by_the_first_start(database_url: str, nats_server: Broker) -> None:
    """A database that had no tree, as after the upgrade; without a key nothing is signed, and that is told."""
    from support.audit import RECORDS, Archive

    with migrated(database_url) as engine:
        Archive(engine).forget_tree()
        with serving(database_url, nats_server.url) as registry:
            auditor = SqlAuditor(engine)
            registry.until(lambda: auditor.verify(log_only=True).integrated > RECORDS, "the whole log is in the tree")
        found = SqlAuditor(engine).verify()
        assert (found.findings, found.vouched_size, found.checkpoints) == ((), 0, ())
