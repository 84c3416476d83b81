"""Care for readers of the fleet stream that found a difference: which hosts differ, and those again.

* ``mdevreg.v1.q.tokens`` ``{"buckets": ["a3"]}`` → ``{"position": 4711, "hosts": {"host-1": "<16 hex digits>"}}``:
  what the database has.
* ``mdevreg.v1.q.republish`` ``{"hosts": ["host-1"]}`` or ``{"buckets": ["a3"]}`` → ``{"published": 1}``; a host that
  the database does not know is taken back.

Errors as of every question.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Annotated, TypeVar

import msgspec
import sqlalchemy as sa
from msgspec import Meta

from mdevreg import subjects
from mdevreg.errors import DecodeError, MdevregError, UnreachableError, UsageError
from mdevreg.published import BUCKETS, Bucket, bucket_of, token_of
from mdevreg.shapes import Strict, Token
from mdevreg_server import shelf
from mdevreg_server.answers import body_of, http_status
from mdevreg_server.bus import BROKEN

if TYPE_CHECKING:  # only the bus speaks NATS
    from nats.aio.client import Client
    from nats.aio.msg import Msg

T = TypeVar("T")

#: Hosts in one request.
MOST_HOSTS = 1_000
#: Buckets whose hosts are published again by one request: a sixteenth of the fleet.
MOST_BUCKETS = 16


class Republish(Strict, frozen=True):
    """Whose states are to be published again."""

    hosts: Annotated[tuple[Token, ...], Meta(max_length=MOST_HOSTS)] = ()
    buckets: Annotated[tuple[Bucket, ...], Meta(max_length=MOST_BUCKETS)] = ()


class AskTokens(Strict, frozen=True):
    """The buckets whose hosts are compared."""

    buckets: Annotated[tuple[Bucket, ...], Meta(min_length=1, max_length=BUCKETS)]


class Republished(msgspec.Struct, frozen=True):
    """How many hosts were published again."""

    published: int


class Tokens(msgspec.Struct, frozen=True):
    """What each host of the buckets adds to its bucket's digest, at a log position."""

    position: int
    hosts: dict[str, str]


_republish = msgspec.json.Decoder(Republish)
_tokens = msgspec.json.Decoder(AskTokens)


class FleetCare:
    """Answers over NATS. ``engine``: for reading, in ``pool``; ``publish``: returns how many it published.

    ``shared``: others publish some of the hosts; they are told too.
    """

    def __init__(
        self,
        client: Client,
        engine: sa.Engine,
        pool: Executor,
        publish: Callable[[Sequence[str]], Awaitable[int]],
        *,
        shared: bool,
        say: Callable[[str], None],
    ) -> None:
        self._client, self._engine, self._pool = client, engine, pool
        self._publish, self._shared, self._say = publish, shared, say

    async def listen(self) -> None:
        """Answer from now on; the load is shared with other processes."""
        for name, answer in (("tokens", self._on_tokens), ("republish", self._on_republish)):
            await self._client.subscribe(subjects.query(name), queue=subjects.SERVICE, cb=answer)
        if self._shared:
            await self._client.subscribe(subjects.REPUBLISH, cb=self._on_told)

    async def republish(self, asked: Republish) -> Republished:
        """Publish hosts again. Raises ``UnreachableError`` while the stream is not written here."""
        hosts = await self._in_pool(lambda: self._hosts(asked))
        if self._shared:
            for first in range(0, len(hosts), MOST_HOSTS):
                told = Republish(hosts=tuple(hosts[first : first + MOST_HOSTS]))
                await self._client.publish(subjects.REPUBLISH, msgspec.json.encode(told))
            return Republished(len(hosts))
        done = await self._publish(hosts)
        if done < len(hosts):
            text = f"{done} of {len(hosts)} hosts were published; the registry is just bringing the stream up to date"
            raise UnreachableError(f"{text}, ask again in a while")
        return Republished(done)

    async def tokens(self, asked: AskTokens) -> Tokens:
        """Each host's token, as the database has it."""
        return await self._in_pool(lambda: self._read(asked))

    def _hosts(self, asked: Republish) -> list[str]:
        if not asked.hosts and not asked.buckets:
            raise UsageError("the request has neither 'hosts' nor 'buckets'")
        found = shelf.hosts_in(self._engine, _numbers(asked.buckets)) if asked.buckets else []
        return sorted({*asked.hosts, *found})

    def _read(self, asked: AskTokens) -> Tokens:
        wanted = _numbers(asked.buckets)
        position, found = shelf.tokens(self._engine, lambda host: bucket_of(host) in wanted)
        return Tokens(position, {host: f"{token_of(digest, at):016x}" for host, digest, at in found})

    async def _on_tokens(self, msg: Msg) -> None:
        await self._answer(msg, _tokens, self.tokens)

    async def _on_republish(self, msg: Msg) -> None:
        await self._answer(msg, _republish, self.republish)

    async def _on_told(self, msg: Msg) -> None:
        try:
            await self._publish(_read(_republish, msg.data).hosts)
        except (*BROKEN, MdevregError) as error:  # whoever asked still finds a difference, and asks again
            self._say(f"republish.failed error={error!r}")

    async def _answer(
        self, msg: Msg, decoder: msgspec.json.Decoder[T], work: Callable[[T], Awaitable[msgspec.Struct]]
    ) -> None:
        if not msg.reply:
            return  # nobody asks
        try:
            data = msgspec.json.encode(await work(_read(decoder, msg.data)))
            if len(data) > self._client.max_payload:
                text = f"the answer has {len(data)} bytes; ask for fewer buckets"
                raise UsageError(text, code="ANSWER_TOO_LARGE")
            await msg.respond(data)
        except MdevregError as error:
            await self._refuse(msg, error)
        except BROKEN as error:
            await self._refuse(msg, UnreachableError(f"the broker did not store what was published: {error!r}"))

    async def _refuse(self, msg: Msg, error: MdevregError) -> None:
        headers = {
            "Nats-Service-Error": " ".join(error.message.split())[:500],
            "Nats-Service-Error-Code": str(http_status(error)),
        }
        await self._client.publish(msg.reply, msgspec.json.encode(body_of(error)), headers=headers)

    async def _in_pool(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)


def _numbers(buckets: Sequence[str]) -> frozenset[int]:
    return frozenset(int(name, 16) for name in buckets)


def _read(decoder: msgspec.json.Decoder[T], data: bytes) -> T:
    try:
        return decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise DecodeError(f"the request can't be read: {error}", code="BAD_REQUEST") from error
