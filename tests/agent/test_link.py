"""The link over a real nats-server: it comes back by itself, and its errors are ours."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from mdevreg import subjects
from mdevreg.errors import AuthError, MdevregError, UnreachableError
from mdevreg_agent.link import Address, Link, check_creds
from mdevreg_agent.standing import Receipt
from mdevreg_server.broker import Broker
from support.nats_server import StartBroker
from support.registry_peer import registry_peer, until

CHANCE = random.Random(1)


@asynccontextmanager
async def kept(url: str, changes: list[MdevregError | None] | None = None) -> AsyncIterator[Link]:
    told = changes if changes is not None else []
    address = Address(url=url, client="h1", host="h1", request_timeout_s=1.0)
    link = Link(address, chance=CHANCE, on_change=told.append)
    keeping = asyncio.create_task(link.keep())
    try:
        yield link
    finally:
        keeping.cancel()
        with suppress(asyncio.CancelledError):
            await keeping
        await link.close()


def test_a_record_published_twice_is_stored_once(nats_server: Broker) -> None:
    """MUST: the message id lets the broker drop what a lost acknowledgement made us send again."""

    async def scenario() -> None:
        async with registry_peer(nats_server.url) as peer, kept(nats_server.url) as link:
            await link.up()
            peer.deaf = True
            for _ in range(2):
                await link.publish(subjects.record("h1"), b"{}", subjects.message_id("h1", "e1", 1, b"{}"))
            stream = await peer._client.jetstream().stream_info(subjects.RECORDS_STREAM)
            assert stream.state.messages == 1

    asyncio.run(scenario())


def test_a_broker_without_the_stream_is_an_error_that_says_so(nats_server: Broker) -> None:
    """MUST: nothing took the record, so nothing counts as published."""

    async def scenario() -> None:
        async with kept(nats_server.url) as link:
            await link.up()
            with pytest.raises(UnreachableError, match="no stream takes it"):
                await link.publish(subjects.record("h1"), b"{}", "h1.e1.1")

    asyncio.run(scenario())


def test_receipts_are_heard_and_the_last_one_is_fetched_at_connect(nats_server: Broker) -> None:
    """MUST: a receipt published while we were away is not missed."""

    async def scenario() -> None:
        async with registry_peer(nats_server.url) as peer:
            await peer.say("h1", "e1", 7, "d7")
            async with kept(nats_server.url) as link:
                await link.up_again()
                await link.fetch_receipt()
                assert await link.receipts.get() == Receipt(epoch="e1", seq=7, digest="d7")
                await peer.say("h1", "e1", 8, "d8")
                assert (await asyncio.wait_for(link.receipts.get(), 5)).seq == 8

    asyncio.run(scenario())


def test_without_a_receipt_there_is_nothing_to_fetch(nats_server: Broker) -> None:
    """MUST: neither a missing stream nor an empty one is an error."""

    async def scenario() -> None:
        async with kept(nats_server.url) as link:
            await link.up()
            await link.fetch_receipt()
            async with registry_peer(nats_server.url):
                await link.fetch_receipt()
            assert link.receipts.empty()

    asyncio.run(scenario())


def test_a_broker_that_dies_and_returns_finds_us_again(nats_server: Broker) -> None:
    """MUST: refused at once while it is away, connected again without help when it is back."""

    async def scenario() -> None:
        async with kept(nats_server.url) as link:
            await link.up_again()
            nats_server.kill()
            await until(lambda: not link.is_up, "link down")
            with pytest.raises(UnreachableError):
                await link.publish(subjects.record("h1"), b"{}", "h1.e1.1")
            nats_server.start()
            await asyncio.wait_for(link.up_again(), 15)
            await link.tell(subjects.beat("h1"), b"{}")

    asyncio.run(scenario())


def test_a_broker_that_is_not_there_yet_is_waited_for(start_broker: StartBroker) -> None:
    """MUST: the order in which a data centre powers on does not matter."""

    async def scenario() -> None:
        broker = start_broker()
        broker.kill()
        changes: list[MdevregError | None] = []
        async with kept(broker.url, changes) as link:
            await until(lambda: len(changes) == 1, "told that it is away")
            await asyncio.sleep(0.3)
            assert isinstance(changes[0], UnreachableError)
            assert len(changes) == 1  # said once, not at every attempt
            broker.start()
            await asyncio.wait_for(link.up(), 15)

    asyncio.run(scenario())


def test_refused_credentials_are_an_auth_error_and_are_tried_again(nats_server: Broker) -> None:
    """MUST: a refused agent keeps asking, and says what is wrong in our words."""

    async def scenario() -> None:
        async with refusing() as (url, asked):
            changes: list[MdevregError | None] = []
            async with kept(url, changes):
                await until(lambda: len(asked) >= 2, "asked again")
                assert isinstance(changes[0], AuthError)

    asyncio.run(scenario())


def test_a_credentials_file_is_checked_before_anything_starts(tmp_path_factory: pytest.TempPathFactory) -> None:
    """MUST: what can't be a credentials file is refused with its name."""
    path = tmp_path_factory.mktemp("creds") / "agent.creds"
    with pytest.raises(AuthError, match="can't be read"):
        check_creds(str(path))
    path.write_text("nothing of the sort")
    with pytest.raises(AuthError, match="no NATS credentials file"):
        check_creds(str(path))


@asynccontextmanager
async def refusing() -> AsyncIterator[tuple[str, list[int]]]:
    """A server that speaks just enough of the NATS protocol to refuse, as nats-server does."""
    asked: list[int] = []

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'INFO {"server_id":"x","version":"2.15.1","max_payload":1048576,"auth_required":true}\r\n')
        await reader.readline()
        asked.append(1)
        writer.write(b"-ERR 'Authorization Violation'\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    async with server:
        yield f"nats://127.0.0.1:{server.sockets[0].getsockname()[1]}", asked


def test_the_client_is_imported_by_the_link_only() -> None:
    """MUST: nats-py has a successor; changing it must touch one file."""
    from pathlib import Path

    import mdevreg_agent

    folder = Path(mdevreg_agent.__file__).parent
    assert [path.name for path in folder.glob("*.py") if "import nats" in path.read_text()] == ["link.py"]


def test_a_password_in_the_url_is_never_shown() -> None:
    """MUST: what goes to stderr and into errors names the server, not the secret."""
    address = Address(url="nats://me:secret@a:4222,nats://token@b:4222,nats://c:4222", client="h1")
    assert address.shown == "nats://a:4222,nats://b:4222,nats://c:4222"


def test_a_link_that_never_began_can_be_closed() -> None:
    """MUST: an agent that is told to stop at once does."""

    async def scenario() -> None:
        link = Link(Address(url="nats://127.0.0.1:1", client="h1"), chance=CHANCE, on_change=lambda _: None)
        await link.close()
        assert not link.is_up

    asyncio.run(scenario())
