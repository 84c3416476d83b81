"""The agent's link to NATS: the only file that imports the client.

Rules of this file:

1. It never gives up: nats-py reconnects for ever, and when the server closes the connection for good
   (credentials expired, for one) a new client is made.
2. Nothing is handed to a client that is not connected: nats-py would send it later, after we had counted it as failed.
3. Receipts are heard before the first record is published, and the last one is fetched after every (re)connect.
4. Every error that leaves is ``UnreachableError`` or ``AuthError``.
"""

from __future__ import annotations

import asyncio
import importlib.util
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec
import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from mdevreg import subjects
from mdevreg.addresses import shown
from mdevreg.errors import AuthError, MdevregError, MissingExtraError, UnreachableError
from mdevreg_agent.pace import Backoff
from mdevreg_agent.standing import Receipt

#: What a server says when it refuses credentials (nats-server, ``-ERR``).
_REFUSALS = (
    "authorization violation",
    "authentication expired",
    "account authentication expired",
    "user authentication",
)


class Address(msgspec.Struct, frozen=True):
    """Where the broker is, and who we are to it."""

    url: str  # several servers: separated by commas
    client: str  # the token behind "_INBOX_": replies are readable by their asker only
    creds: str | None = None
    host: str | None = None  # whose receipts to hear; None: nobody's
    request_timeout_s: float = 5.0

    @property
    def shown(self) -> str:
        """``url`` for people: without a password."""
        return shown(self.url)


def check_creds(creds: str | None) -> None:
    """Raise ``AuthError`` if the credentials file can't be one, ``MissingExtraError`` if nothing here can sign."""
    if creds is None:
        return
    try:
        text = Path(creds).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise AuthError(f"the credentials file {creds} can't be read: {error}") from error
    if "BEGIN NATS USER JWT" not in text or "BEGIN USER NKEY SEED" not in text:
        raise AuthError(
            f"{creds} is no NATS credentials file: it needs a user JWT and an nkey seed (nsc, `nsc generate creds`)"
        )
    if importlib.util.find_spec("nkeys") is None:
        raise MissingExtraError("a NATS credentials file", "creds")


class Link:
    """One connection, kept up by the task that runs ``keep``. ``receipts`` holds what the registry confirmed."""

    def __init__(
        self, address: Address, *, chance: random.Random, on_change: Callable[[MdevregError | None], None]
    ) -> None:
        self.receipts: asyncio.Queue[Receipt] = asyncio.Queue()
        self._address = address
        self._chance = chance
        self._on_change = on_change
        self._up = asyncio.Event()
        self._again = asyncio.Event()
        self._closed = asyncio.Event()
        self._heard = 0
        self.error: MdevregError | None = None
        self._client = Client()

    @property
    def is_up(self) -> bool:
        """Connected now."""
        return self._up.is_set()

    async def up(self) -> None:
        """Wait until connected."""
        await self._up.wait()

    async def up_again(self) -> None:
        """Wait until connected anew since the last time this returned."""
        await self._again.wait()
        self._again.clear()

    async def keep(self) -> None:
        """Connect and stay connected until cancelled. Cancel and await this before ``close``."""
        backoff = Backoff(first_s=1.0, most_s=60.0, chance=self._chance)
        while True:
            self._client, self._closed = Client(), asyncio.Event()
            try:
                await self._connect(self._client)
                await self._came_up()
                backoff.reset()
                await self._closed.wait()
            except (nats.errors.Error, OSError) as error:
                await self._failed(error)
            self._up.clear()
            await _end(self._client)
            await asyncio.sleep(backoff.pause())

    async def publish(self, subject: str, data: bytes, message_id: str) -> None:
        """Store in JetStream and wait for its acknowledgement. Raises ``UnreachableError``."""
        with _translated("the broker did not store the record"):
            self._need_connection()
            await self._client.jetstream(timeout=self._address.request_timeout_s).publish(
                subject, data, headers={"Nats-Msg-Id": message_id}
            )

    async def tell(self, subject: str, data: bytes) -> None:
        """Publish without an answer (core NATS). Raises ``UnreachableError``."""
        with _translated("the broker did not take the message"):
            self._need_connection()
            await self._client.publish(subject, data)

    async def fetch_receipt(self) -> None:
        """Ask for the last receipt and put it with the others, unless one was heard meanwhile. Never fails."""
        host = self._address.host
        if host is None or not self.is_up:
            return
        heard = self._heard
        stream = self._client.jetstream(timeout=self._address.request_timeout_s)
        with suppress(nats.errors.Error, TimeoutError):  # no stream or no message yet: no receipt
            found = await stream.get_last_msg(subjects.FLEET_STREAM, subjects.fleet_host(host), direct=True)
            receipt = _receipt_of(found.headers)
            if receipt and heard == self._heard:
                self.receipts.put_nowait(receipt)

    async def close(self, *, timeout_s: float = 2.0) -> None:
        """Send what is waiting to be sent, and leave. ``keep`` must have ended before."""
        self._up.clear()
        with suppress(nats.errors.Error, TimeoutError, OSError):
            if self._client.is_connected:
                await self._client.flush(timeout=max(1, round(timeout_s)))
        await _end(self._client)

    async def _connect(self, client: Client) -> None:
        await client.connect(
            servers=[server.strip() for server in self._address.url.split(",")],
            name=f"mdevreg-agent {self._address.client}",
            inbox_prefix=f"_INBOX_{self._address.client}",
            user_credentials=self._address.creds,
            max_reconnect_attempts=-1,
            reconnect_time_wait=self._chance.randint(1, 3),  # seconds; a fleet must not return as one
            error_cb=self._failed,
            disconnected_cb=self._went_down,
            reconnected_cb=self._came_up,
            closed_cb=self._was_closed,
        )
        if self._address.host is not None:
            await client.subscribe(subjects.fleet_host(self._address.host), cb=self._hear)

    async def _came_up(self) -> None:
        self.error = None
        self._up.set()
        self._again.set()
        self._on_change(None)

    async def _went_down(self) -> None:
        self._up.clear()

    async def _was_closed(self) -> None:
        self._up.clear()
        self._closed.set()

    async def _failed(self, error: Exception) -> None:
        if isinstance(self.error, AuthError) and isinstance(error, ConnectionResetError | BrokenPipeError):
            return  # the end of the connection that was refused; the refusal is what to know
        known, self.error = self.error, _error_of(error, self._address.shown)
        if known is None or str(known) != str(self.error):
            self._on_change(self.error)

    async def _hear(self, message: Msg) -> None:
        receipt = _receipt_of(message.headers)
        if receipt:
            self._heard += 1
            self.receipts.put_nowait(receipt)

    def _need_connection(self) -> None:
        if not self.is_up:
            raise self.error or UnreachableError(f"no connection to {self._address.shown}")


async def _end(client: Client) -> None:
    # AssertionError: nats-py's word for a client whose connect had not got far enough to need closing.
    with suppress(nats.errors.Error, TimeoutError, OSError, AssertionError):
        await client.close()


def _receipt_of(headers: dict[str, str] | None) -> Receipt | None:
    if not headers or subjects.EPOCH_HEADER not in headers:
        return None
    seq, position = headers.get(subjects.SEQ_HEADER, ""), headers.get(subjects.POSITION_HEADER, "")
    return Receipt(
        epoch=headers[subjects.EPOCH_HEADER],
        seq=int(seq) if seq.isdecimal() else 0,
        digest=headers.get(subjects.DIGEST_HEADER, ""),
        position=int(position) if position.isdecimal() else 0,
    )


def _error_of(error: Exception, where: str) -> MdevregError:
    text = str(error) or type(error).__name__
    if isinstance(error, nats.errors.AuthorizationError) or any(word in text.lower() for word in _REFUSALS):
        return AuthError(f"{where} refused the credentials: {text}; see --creds")
    return UnreachableError(f"{where}: {text}")


@contextmanager
def _translated(what: str) -> Iterator[None]:
    try:
        yield
    except nats.js.errors.NoStreamResponseError as error:
        raise UnreachableError(
            f"{what}: no stream takes it (is the registry set up, has the broker JetStream?)"
        ) from error
    except (TimeoutError, nats.errors.Error, OSError) as error:
        raise UnreachableError(f"{what}: {str(error) or type(error).__name__}") from error
